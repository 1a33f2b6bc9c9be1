"""The list of the studies whose results lie side by side, those that decide something first."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gliomalib import settings
from gliomalib.provenance import write_atomic
from gliomalib.report import entries
from gliomalib.report.pages import Report, collect, render
from gliomalib.schema import SettingsError

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

    @property
    def rank(self) -> tuple[bool, int]:
        """Its place in the list: real patients first, then who decides most."""
        decided = sum(statement.decided for statement in self.report.statements)
        return not self.report.study.real_data, -decided


def write(reports_dir: Path, built: str = "") -> Path:
    """Write ``index.html`` with every study of the project that has records there, and return it.

    ``built`` is a study whose own index is about to be written.
    """
    made = (
        name
        for name in settings.studies()
        if name == built or any((reports_dir / name / "records").glob("*.json"))
    )
    listed = [
        Listed(
            collect(study, reports_dir / study.study),
            page=study.study == built or (reports_dir / study.study / "index.html").is_file(),
        )
        for study in _loaded(made)
    ]
    listed.sort(key=lambda one: one.rank)
    return write_atomic(reports_dir / "index.html", render("studies.html.j2", studies=listed))


def _loaded(names: Iterable[str]) -> Iterator[settings.Study]:
    for name in names:
        try:
            yield settings.load(name)
        except SettingsError as error:
            # the file of one study is no reason to have no report of another
            log.warning("%s is not in the list of studies: %s", name, error)
