"""Downloads, and what methods, model card, errors and downloads have in common."""

import json
from pathlib import Path

import pytest

from gliomalib import records, settings
from gliomalib.report import documents, pages
from gliomalib.schema import Exclusion, Value
from tests import planted_report as planted
from tests.report.reading import DOCUMENTS, collected, part, soup, text


def test_every_table_and_record_can_be_taken_away(folder: Path) -> None:
    (folder / "tables" / "99_else.x y.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    (folder / "tables" / "05_fusion.broken.csv").write_bytes(b"\xff\xfe\x00")
    page = documents.downloads_page(collected(folder), folder)
    links = [tag["href"] for tag in soup(page).select(".files a")]
    wanted = {f"../{path.parent.name}/{path.name}" for path in
              [*folder.glob("tables/*.csv"), *folder.glob("records/*.json")]}  # fmt: skip
    assert {link.replace("%20", " ") for link in links} == wanted
    assert len(links) == len(wanted)
    assert "CSV, 3 rows, 2 columns, 16 bytes a , b" in text(page)
    assert "a table that cannot be read" in text(page)
    assert "demo.zip" in text(page), "and the archive is named, which git does not keep"
    values = len(json.loads((folder / "records" / "05_fusion.json").read_text())["values"])
    assert f"JSON, {values} values" in text(page)


@pytest.mark.parametrize(
    ("count", "told"),
    [(1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (2_560_000, "2.6 MB")],
)
def test_file_sizes(count: int, told: str) -> None:
    assert documents.file_size(count) == told


def test_hostile_names_are_text(folder: Path) -> None:
    planted.exclude(folder, "demo", Exclusion(planted.ATTACK, "x", "kind", planted.ATTACK))
    own, name = settings.load("demo"), "05_fusion"
    caveats = (*own.caveats, f"Look at {planted.ATTACK}.")
    found = [Value(planted.ATTACK, 1.0, None, 2, rule=planted.ATTACK)]
    records.write(planted.record(own, name, found, caveats=caveats), folder)
    (folder / "tables" / "05_fusion.odd.csv").write_text(f'"{planted.ATTACK[:20]}"\n1\n')
    for name, page in documents.every_page(collected(folder), folder):
        assert "<script" not in page, name
        assert not soup(page).find_all("script")
    errors = documents.errors_page(collected(folder), folder)
    told = [tag.get_text() for tag in part(errors, "excluded").find_all("bdi")]
    assert any(planted.ATTACK in one for one in told), "marks of direction must stay isolated"


@pytest.mark.parametrize("study", ["brats-mini", "demo"])
def test_pages_stand_on_their_own(tmp_path: Path, study: str) -> None:
    folder = planted.fill(tmp_path / study, study)
    report_of = collected(folder, study)
    pages_of = dict(documents.every_page(report_of, folder))
    assert tuple(pages_of) == DOCUMENTS
    for name, page in pages_of.items():
        found = soup(page)
        assert len(page.encode()) < pages.MOST_BYTES
        assert len(found.find_all("h1")) == 1
        assert not found.find_all(["script", "link", "iframe", "img"])
        assert str(tmp_path) not in page
        ids = [tag["id"] for tag in found.find_all(id=True)]
        assert len(ids) == len(set(ids)), name
        assert ("Synthetic patients" in text(page)) == (not report_of.study.real_data)
        assert page == dict(documents.every_page(report_of, folder))[name]
