"""One of two runs: where it is found, what is named as missing."""

from pathlib import Path

import pytest

from gliomalib.report.compare import page as compare
from gliomalib.report.compare import runs
from gliomalib.schema import RecordError, SettingsError
from tests.report.compare.two_runs import FUSION, VARIANT, page_of, said


def test_a_missing_record_is_named_on_both_ways(a: Path, b: Path) -> None:
    (b / "records" / f"{FUSION}.json").unlink()
    (a / "records" / f"{VARIANT}.json").write_text("{}")
    soup = page_of(a, b)
    told = said(soup, ".banner.stop")
    assert f"B has no record of {FUSION}." in told and f"A has no record of {VARIANT}." in told
    assert f"A: records/{VARIANT}.json: not a record" in told and str(a) not in soup.get_text()
    assert "Others are on one side alone: 3 in A and 3 in B." in said(soup, ".answer")
    assert f"{FUSION} 1 min 2 s no record" in said(soup, "#times")


def test_a_report_is_a_name_or_a_folder(a: Path, b: Path, tmp_path: Path) -> None:
    assert runs.find("smoke", a.parent) == a
    assert runs.find(str(b), a.parent) == b
    path = compare.build("smoke", str(b), a.parent)
    assert path == a.parent / "compare-smoke-smoke.html" and path.is_file()
    other = compare.build("smoke", str(b), a.parent, tmp_path / "new" / "page.html")
    assert other == tmp_path / "new" / "page.html"
    assert other.read_bytes() == path.read_bytes()
    assert str(tmp_path) not in path.read_text(encoding="utf-8")


def test_what_cannot_be_compared_is_one_sentence(a: Path, tmp_path: Path) -> None:
    reports = a.parent
    (reports / "empty").mkdir()
    for given in ("other", "", "empty"):
        message = f"there is no report '{given}' with records: take one of smoke in"
        with pytest.raises(SettingsError, match=message):
            compare.build("smoke", given, reports)
    with pytest.raises(SettingsError, match="A and B are this one folder"):
        compare.build("smoke", str(a), reports)
    (reports / "empty" / "records").mkdir()
    (reports / "empty" / "records" / "05_fusion.json").write_text("{}")
    with pytest.raises(RecordError, match=r"not one record can be read: records/05_fusion\.json"):
        compare.build("smoke", "empty", reports)
    assert not list(reports.glob("*.html"))
