"""The front door: what was found, on what, and the studies that lie side by side."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from markupsafe import Markup

from gliomalib import settings
from gliomalib.provenance import write_atomic
from gliomalib.report import entries, evidence, references
from gliomalib.report.pages import Report, collect, render
from gliomalib.report.statements import Statement
from gliomalib.schema import SettingsError
from gliomalib.verdicts import claims

BENCHMARKS = "benchmarks"
"""Folder of the page that `make bench` writes, beside the studies."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listed:
    """A study of the list; ``page`` says whether it has an index to link to."""

    report: Report
    page: bool

    @property
    def runs(self) -> list[str]:
        """The runs that the study should have left a record of."""
        return entries.expected(self.report.study)

    @property
    def lacking(self) -> int:
        """How many of them left none, or a damaged one: the study's own index says which."""
        return sum(run not in self.report.records for run in self.runs)

    def statement(self, name: str) -> Statement | None:
        """Return what the study says of a statement, None where it has no row of it."""
        return next((each for each in self.report.statements if each.row["claim"] == name), None)


Group: TypeAlias = tuple[dict[str, str], list[Listed]]
"""Statements of one kind on one paper, id → text, and the studies that were asked them."""


def write(reports_dir: Path, built: str = "") -> Path:
    """Write ``index.html``, the front door to every study with records there, and return it.

    ``built`` is a study whose own index is about to be written.
    """
    listed = sorted(_listed(reports_dir, built), key=_rank)
    paper = claims.paper()
    examining = [study for study in listed if study.report.paper == paper]
    page = render(
        "studies.html.j2",
        studies=listed,
        findings=list(filter(None, (_finding(asked, examining) for asked in paper.findings))),
        groups=_groups(listed, paper),
        picture=next((study for study in listed if study.report.example), None),
        first=claims.load()[0],
        citations=references.sentences(paper),
        timed=(reports_dir / BENCHMARKS / "index.html").is_file(),
    )
    return write_atomic(reports_dir / "index.html", page)


def _finding(asked: claims.Finding, listed: Sequence[Listed]) -> dict[str, Any] | None:
    """Return what the first study that decides one of the statements of a question says of it.

    Where that is not the first statement, of which alone the answers speak, it is told as it is.
    """
    for study in listed:
        rows = [study.statement(name) for name in asked.statements]
        decided = tuple(row for row in rows if row and row.decided and row.claim)
        if not study.page or not decided or decided[0].claim is None:
            continue
        claim, row = decided[0].claim, decided[0].row
        answers = asked.answers if claim.id == asked.statements[0] else {}
        said = {str(kind): text for kind, text in answers.items()}
        by_id = {each.row["claim"]: each.claim for each in decided}
        drawn = by_id.get(asked.shown_by) or claim
        return {
            "question": asked.question,
            "answer": said.get(row["verdict"], f"{row['statement']} Verdict: {row['verdict']}."),
            "study": study.report.study,
            "run": claim.run,
            "statements": decided,
            "picture": Markup(evidence.figure(study.report, drawn.run, drawn.figure, drawn.id)),
        }
    return None


def _groups(listed: Sequence[Listed], first: claims.Paper) -> dict[str, Group]:
    """Return all statements by what kind they are, those on the ``first`` paper first.

    The headings of another paper name it: its C1 is another statement.
    """
    groups: dict[str, Group] = {}
    for study in sorted(listed, key=lambda one: one.report.paper != first):
        paper = study.report.paper
        behind = "" if paper == first else f" ({paper.topic})"
        asked = [one for one in listed if one.report.paper == paper]
        for row in (each.row for each in study.report.statements):
            kind = row.get("group") or "statements"
            heading = f"{kind[:1].upper()}{kind[1:]}{behind}"
            statements, _ = groups.setdefault(heading, ({}, asked))
            statements.setdefault(row["claim"], row["statement"])
    return groups


def _rank(one: Listed) -> tuple[bool, int]:
    # real patients first, then who decides most
    return not one.report.study.real_data, -sum(said.decided for said in one.report.statements)


def _listed(reports_dir: Path, built: str) -> Iterator[Listed]:
    for name in settings.studies():
        folder = reports_dir / name
        if name == built or any(folder.glob("records/*.json")):
            try:
                report = collect(settings.load(name), folder)
                yield Listed(report, name == built or (folder / "index.html").is_file())
            except SettingsError as error:
                # the file of one study is no reason to have no report of another
                log.warning("%s is not in the list of studies: %s", name, error)
