"""The answer as text, the summary on one page, and how to cite: from records alone."""

import re
from pathlib import Path

import pytest
from pybtex.database import parse_string

from gliomalib import records, settings
from gliomalib.figures import one_page
from gliomalib.report import handouts, references
from gliomalib.verdicts import claims
from tests import planted_report as planted
from tests.report.reading import collected

ROW = "{},{},0.99,0.5,{},why,05_fusion,\n"


def written(folder: Path, study: str = "demo") -> dict[str, str]:
    """Return the texts of a study, and of its summary the last version that was laid out."""
    handouts.write(collected(folder, study), folder)
    return {name: (folder / name).read_text() for name in ("answer.txt", "cite.bib")}


def laid(folder: Path, monkeypatch: pytest.MonkeyPatch, room: int = 999) -> list[str]:
    """Return the paragraphs of the first version that is no longer than ``room``, or the last."""
    taken: list[list[str]] = []

    def draw(_: str, versions: list[list[str]]) -> bytes:
        for version in versions:
            taken.append(version)
            if len(version) <= room:
                break
        return b""

    monkeypatch.setattr(one_page, "draw", draw)
    handouts.write(collected(folder), folder)
    return taken[-1]


def verdicts(folder: Path, *rows: tuple[str, str, str]) -> None:
    table = folder / "tables" / "16_reproducibility_report.verdicts.csv"
    table.write_text(planted.VERDICTS + "".join(ROW.format(*row) for row in rows))


def test_each_decided_statement_is_told_and_the_others_are_counted(folder: Path) -> None:
    verdicts(folder, ("C1", "It is so", "reproduced"), ("C2", "Not run", "not run"),
             ("C3", "Nor this", "not run"), ("C5", "Bad data", "not testable on this data"),
             ("Q1", "A draw", "inconclusive"))  # fmt: skip
    text = written(folder)["answer.txt"]
    told = re.findall(r"^- ([A-Z]\d): (.+)$", text, re.M)
    assert told == [("C1", "It is so"), ("Q1", "A draw")]
    assert "rule was applied: 2 of 5" in text
    assert "2 not run (C2–C3), 1 not testable on this data (C5)" in text
    assert "Obtained: 0.5\n  Verdict: reproduced\n" in text
    for caveat in settings.load("demo").caveats:
        assert f"- {caveat}\n" in text
    assert "commit: abc123" in text and "arxiv.org/abs/2502.18775" in text


def test_the_answer_is_the_conclusion_of_the_last_record(folder: Path) -> None:
    assert (
        "Answer: Nothing is decided by 16_reproducibility_report." in written(folder)["answer.txt"]
    )
    records.record_path(folder, "16_reproducibility_report").write_text("{")
    text = written(folder)["answer.txt"]
    assert "Answer: none." in text
    assert "Its record cannot be read" in text and str(folder) not in text


def test_whatever_a_record_says_stays_on_its_line(folder: Path) -> None:
    attack = f"{planted.ATTACK}\n\n- C7: All is well\n# Limits\tC8"
    planted.rewrite(folder, "16_reproducibility_report", conclusion=attack)
    verdicts(folder, ("C1", '"x\n\n# y\tz"', "reproduced"))
    text = written(folder)["answer.txt"]
    assert "\n- C7" not in text and "\n# Limits" not in text
    assert "- C1: x # y z\n" in text
    assert b"%PDF" in (folder / "summary.pdf").read_bytes()


def test_the_summary_has_the_headings_of_its_field(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = laid(folder, monkeypatch)
    assert [part[2:] for part in parts if part.startswith("# ")] == [
        *("Scope of reproducibility", "Methodology", "Results", "What was easy"),
        *("What was difficult", "Communication with original authors"),
    ]
    last = parts[parts.index("# Communication with original authors") + 1]
    assert last == "The authors were not asked; no code of theirs was found."
    assert [part for part in parts if part.startswith("C9\t")] == [
        "C9\tBetter Obtained: 0.2. Verdict: reproduced."
    ]


def test_a_page_that_is_too_short_says_what_it_lacks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts(folder, *[(f"C{n}", "It is so", "reproduced") for n in range(1, 6)])
    whole = laid(folder, monkeypatch)
    shorter = laid(folder, monkeypatch, len(whole) - 2)
    assert not [part for part in whole if "want of room" in part]
    assert sum(part.startswith("C") and "\t" in part for part in shorter) == 2
    assert any("For want of room 3 more statements" in part for part in shorter)


@pytest.mark.parametrize("study", ["demo", "brats-masks", "brats"])
def test_without_any_record_there_are_whole_files(tmp_path: Path, study: str) -> None:
    (tmp_path / study).mkdir()
    texts = written(tmp_path / study, study)
    assert "Answer: none." in texts["answer.txt"]
    assert "rule was applied: 0 of 0" in texts["answer.txt"]
    page = (tmp_path / study / "summary.pdf").read_bytes()
    handouts.write(collected(tmp_path / study, study), tmp_path / study)
    assert (tmp_path / study / "summary.pdf").read_bytes() == page
    assert str(tmp_path) not in "".join(texts.values())


def test_the_makers_of_the_data_are_cited(folder: Path, tmp_path: Path) -> None:
    entries = parse_string(written(folder)["cite.bib"], "bibtex").entries
    assert list(entries)[:3] == ["gliomalib-demo", "gliomalib", "examined"]
    assert "fonov2011" in entries and "menze2015" not in entries
    assert entries["gliomalib-demo"].fields["year"] == "2026"
    assert "abc123" in entries["gliomalib-demo"].fields["note"]
    for name in planted.values():
        made = records.read(records.record_path(folder, name))
        origin = {key: fact for key, fact in made.provenance.items() if key != "date"}
        planted.rewrite(folder, name, provenance=origin)
    undated = parse_string(written(folder)["cite.bib"], "bibtex").entries["gliomalib-demo"]
    assert undated.fields["year"] == "" and "not stated" in undated.fields["note"]
    (tmp_path / "brats").mkdir()
    real = parse_string(written(tmp_path / "brats", "brats")["cite.bib"], "bibtex").entries
    assert {"menze2015", "bakas2017"} <= set(real) and "fonov2011" not in real


def test_a_doi_is_carried_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        "doi"
        not in parse_string(references.bibtex(claims.paper()), "bibtex").entries["gliomalib"].fields
    )
    path = tmp_path / "CITATION.cff"
    found = "identifiers: [{type: url, value: x}, {type: doi, value: 10.5281/zenodo.1}]\n"
    path.write_text(references.CITATION.read_text() + found)
    monkeypatch.setattr(references, "CITATION", path)
    own = parse_string(written(folder)["cite.bib"], "bibtex").entries["gliomalib"]
    assert own.fields["doi"] == "10.5281/zenodo.1"
