"""The page of what went wrong: every kind of fault, also where there is none."""

import csv
from pathlib import Path

from nbformat import v4

from gliomalib import records, report, settings
from gliomalib.parameters import LAST_NOTEBOOK
from gliomalib.report import documents
from gliomalib.schema import Exclusion
from tests import planted_report as planted
from tests.report.reading import collected, faults_of, part, soup, text


def test_nothing_is_said_under_every_heading(folder: Path) -> None:
    page = soup(dict(documents.every_page(collected(folder), folder))["errors"])
    sections_of = page.select("section.document")
    anchors = [tag["href"] for tag in page.select(".tally-list a")]
    assert anchors == [f"#{one['id']}" for one in sections_of]
    for one in sections_of:
        assert one.find("li") or one.p.get_text().startswith("Nothing"), one["id"]
    for name in ("excluded", "files", "missed", "settings"):
        assert part(str(page), name).find("li") is None, name


def test_deleted_record_failed_notebook_and_excluded_patient_are_on_errors_and_index(
    folder: Path,
) -> None:
    records.record_path(folder, "04_train_unet3d").unlink()
    failed = planted.executed("05 · Fused?")
    error = v4.new_output("error", ename="ValueError", evalue="went wrong", traceback=[])
    failed.cells[-1].outputs = [error]
    planted.write_notebook(folder, "05_fusion", failed)
    planted.exclude(folder, "demo", Exclusion("P77", "brats2020", "labels", "mask has 7: really"))
    index = text(report.build("demo", folder).read_text())
    errors = (folder / "html" / "errors.html").read_text()
    assert "04_train_unet3d" in text(str(part(errors, "missing")))
    assert "ValueError: went wrong" in text(str(part(errors, "doubts")))
    assert "P77 (brats2020) : mask has 7: really" in text(str(part(errors, "excluded")))
    excluded = "P77 (brats2020): mask has 7: really"
    for told in ("04_train_unet3d", "ValueError: went wrong", excluded):
        assert told in index


def test_without_its_record_nobody_can_tell_who_was_excluded(folder: Path) -> None:
    records.record_path(folder, "01_data_exploration").unlink()
    (folder / "tables" / "01_data_exploration.faults.csv").unlink()
    for anchor in ("excluded", "files"):
        (item,) = faults_of(folder, anchor)
        assert "not known" in item.text


def test_missed_masks_are_named_patient_by_patient(folder: Path) -> None:
    # a slash is refused in an ID
    attack = planted.ATTACK.replace("/", "")
    rows = [
        (attack, "ET", 0, "", "missed", 2, 0, "fused", "test", 0),
        (attack, "NCR", 0, "", "spurious", 0, 2, "2D", "test", 0),
        ("P2", "ET", 1, 0, "empty", 0, 0, "fused", "test", 0),
    ]
    with (folder / "tables" / "05_fusion.scores.csv").open("a", newline="") as stream:
        csv.writer(stream).writerows(rows)
    (item,) = faults_of(folder, "missed")
    assert item.subject == attack
    assert "ET (fused, fold 0)" in item.text
    assert "NCR (2D, fold 0)" in item.text
    (folder / "tables" / "05_fusion.scores.csv").unlink()
    found = faults_of(folder, "patients")
    assert any("05_fusion.scores.csv is missing" in one.text for one in found)
    (item,) = faults_of(folder, "missed")
    assert item.text.startswith("This is not known: tables/05_fusion.scores.csv is missing")


def test_who_lacks_what_others_have_is_named(folder: Path) -> None:
    path = folder / "tables" / "06_train_resnet50.slices.csv"
    path.write_text("patient_id,part,fold,z,truth,predicted\nP2,test,0,1,0,0\n")
    lacking = [(one.subject, one.text) for one in faults_of(folder, "patients") if one.link]
    assert ("P1", "There are no answers of the classifier.") in lacking
    assert ("P2", "There are no scores.") in lacking
    assert len(lacking) == 4, "and of neither there are pictures"


def test_undecided_statements_keep_their_reason(folder: Path) -> None:
    told = [one.text for one in faults_of(folder, "undecided") if one.subject == "C1"]
    assert told[0] == "not testable on this data: too few"
    (folder / "tables" / f"{LAST_NOTEBOOK}.verdicts.csv").unlink()
    (item,) = faults_of(folder, "undecided")
    assert "No statement is decided" in item.text


def test_statements_with_one_reason_share_a_line_and_are_counted(folder: Path) -> None:
    path = folder / "tables" / f"{LAST_NOTEBOOK}.verdicts.csv"
    row = path.read_text(encoding="utf-8").splitlines()[1]
    others = [row.replace("C1,", f"{name},", 1) for name in ("C2", "C3", "Q1")]
    path.write_text("\n".join([planted.VERDICTS.strip(), row, *others, ""]), encoding="utf-8")
    first = faults_of(folder, "undecided")[0]
    assert first.subject == "C1–C3, Q1"
    assert first.count == 4


def test_variants_that_did_not_run_are_listed(folder: Path) -> None:
    absent = [one.subject for one in faults_of(folder, "missing") if "." in one.subject]
    assert "04_train_unet3d.seed2" in absent
    assert len(absent) == sum(map(len, settings.load("demo").variants.values()))


def test_other_settings_than_the_files_are_told(folder: Path) -> None:
    variant = settings.load("demo", {"seed": 2026})
    values = planted.dice("", 0.5, 11)
    records.write(planted.record(variant, "04_train_unet3d.seed2", values), folder)
    assert not faults_of(folder, "settings"), "a variant's own parameters are no deviation"
    other = settings.load("demo", {"unet2d.epochs": 77})
    name = "03_train_unet2d"
    records.write(planted.record(other, name, planted.values()[name]), folder)
    (item,) = faults_of(folder, "settings")
    assert (item.subject, item.text) == (name, "unet2d.epochs is 77, the file says 7.")
    records.write(planted.record(other, name, planted.values()[name], parameters={}), folder)
    (item,) = faults_of(folder, "settings")
    assert "cannot be compared" in item.text
