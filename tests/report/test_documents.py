"""Methods, model card, errors and downloads: every number a record's, nothing silently absent."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag
from nbformat import v4

from gliomalib import records, report, settings
from gliomalib.report import documents, methods, pages, phrases, references
from gliomalib.report import errors as faults
from gliomalib.schema import Value
from gliomalib.scoring import comparisons
from tests import planted_report as planted

STUDIES = ("brats", "brats-mini", "demo", "phantom-full", "smoke")
DOCUMENTS = ("methods", "model-card", "errors", "downloads")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return planted.fill(tmp_path / "reports" / "demo")


def collected(folder: Path, study: str = "demo") -> pages.Report:
    return pages.collect(settings.load(study), folder)


def section(folder: Path, title: str, study: str = "demo") -> str:
    found = {one.title: one.text for one in methods.sections(collected(folder, study))}
    return found[title]


def soup(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def text(html: str) -> str:
    page = soup(html)
    for place in page.find_all("wbr"):
        place.decompose()
    page.smooth()
    return " ".join(page.get_text(" ").split())


def faults_of(folder: Path, anchor: str, study: str = "demo") -> faults.Heading:
    found = faults.headings(collected(folder, study), folder)
    return next(one for one in found if one.anchor == anchor)


def part(html: str, name: str) -> Tag:
    found = soup(html).find(id=name)
    assert isinstance(found, Tag)
    return found


# methods


def test_counts_are_those_of_the_record(folder: Path) -> None:
    data = section(folder, "Data")
    assert "Of 64 examinations, those of 47 patients" in data
    assert "those of 9 patients as external set" in data
    assert "6 further examinations" in data
    assert "2 examinations were excluded" in data
    split = section(folder, "Split")
    assert "20 % were held out for testing (11 patients), and 10 % of all were set aside" in split


def test_what_only_a_record_knows_is_said_to_be_unknown(folder: Path) -> None:
    for name in ("01_data_exploration", "02_preprocessing", "14_efficiency"):
        records.record_path(folder, name).unlink()
    assert "How many took part is not known" in section(folder, "Data")
    assert "What the box cuts off the tumour is not known" in section(folder, "Preprocessing")
    assert "parameters are not known" in section(folder, "Segmentation networks")
    # the plan of the study file alone gives no number of patients
    assert "patients)" not in section(folder, "Split")


def test_a_run_with_other_parameters_is_described_as_it_ran(folder: Path) -> None:
    other = settings.load("demo", {"fusion.alpha": 0.35, "unet2d.epochs": 77})
    for name in ("05_fusion", "03_train_unet2d"):
        records.write(planted.record(other, name, planted.values()[name]), folder)
    assert "α = 0.35" in section(folder, "Fusion")
    assert "for 77 epochs in batches of 16 slices" in section(folder, "Training")
    # the classifier ran with the study's own weight, which is now another one
    assert "with α = 0.6" in section(folder, "Classification")
    page = soup(documents.methods_page(collected(folder)))
    assert page.find("math") is not None
    assert page.find("math").find_all("mn")[-1].get_text() == "0.35"


@pytest.mark.parametrize("study", STUDIES)
def test_sentences_are_right_for_every_study(tmp_path: Path, study: str) -> None:
    own = settings.load(study)
    told = {one.title: one.text for one in methods.sections(collected(tmp_path, study))}
    whole = " ".join(told.values())
    assert ("All patients are synthetic" in whole) == (not own.real_data)
    assert ("MNI152" in whole) == (not own.real_data)
    assert ("Menze et al. 2015" in whole) == own.real_data
    folds = own.split.folds > 1
    assert (f"into {own.split.folds} folds" in told["Split"]) == folds
    assert ("counts once, with the mean" in told["Evaluation"]) == folds
    assert ("none was set aside for validation" in told["Split"]) == (not own.split.val_share)
    for network in (own.unet2d, own.unet3d):
        assert f"{network.channels[-2]} and {network.channels[-1]} channels" in whole
        assert f"a learning rate of {network.learning_rate:g}" in told["Training"]
    assert ("ImageNet (Deng" in whole) == (own.classifier.weights == "imagenet")
    assert f"{own.classifier.image_size} × {own.classifier.image_size}" in told["Classification"]
    assert f"{own.preprocessing.spacing_mm:g} mm" in told["Preprocessing"]
    draws = f"{own.evaluation.bootstrap:,}".replace(",", "\u202f")
    shown = draws if own.evaluation.bootstrap >= 10_000 else str(own.evaluation.bootstrap)
    assert f"from {shown} draws" in told["Evaluation"]
    assert f"±{comparisons.MARGIN:g} Dice" in told["Evaluation"]
    assert not re.search(r"\bNone\b|\bnan\b|[{}]|\.\.|  ", whole)


def test_external_releases_and_their_absence_are_told(tmp_path: Path) -> None:
    mini = section(tmp_path, "Data", "brats-mini")
    assert "is BraTS 2021 (Baid et al. 2021, Menze et al. 2015" in mini
    assert "There was no external set" in section(tmp_path, "Data", "brats")


@pytest.mark.parametrize("value", [None, (0.1, 1.0, 1.0, 2.0)])
@pytest.mark.parametrize(
    "loss", list(settings.Segmentation.model_fields["loss"].annotation.__args__)
)
def test_every_loss_has_words(loss: str, value: tuple[float, ...] | None) -> None:
    given = {"epochs": 1, "batch_size": 1, "loss": loss, "class_weights": value}
    told = phrases.loss(settings.Segmentation.model_validate(given))
    assert told
    assert ("weighted 0.1, 1, 1 and 2" in told) == (value is not None)
    assert ("γ = 2" in told) == (loss == "focal")


@pytest.mark.parametrize(
    ("model", "name", "table"),
    [
        (settings.Optimisation, "precision", phrases.PRECISIONS),
        (settings.Classifier, "loss", phrases.LOSSES),
        (settings.Classifier, "weights", phrases.WEIGHTS),
        (settings.Classifier, "image", phrases.IMAGES),
        (settings.Classifier, "label_rule", phrases.RULES),
        (settings.Evaluation, "empty", phrases.EMPTY),
    ],
)
def test_every_choice_has_words(
    model: type[settings.Model], name: str, table: dict[str, str]
) -> None:
    choices = set(model.model_fields[name].annotation.__args__)  # type: ignore[union-attr]
    assert choices <= set(table)


def test_variants_are_told_and_those_that_did_not_run(folder: Path) -> None:
    told = section(folder, "Further runs")
    assert "No run with other parameters left a record" in told
    assert "04_train_unet3d.seed2 (seed: 2026)" in told.partition("not run:")[2]
    own = settings.load("demo", {"seed": 2026})
    found = planted.dice("", 0.5, 11)
    records.write(planted.record(own, "04_train_unet3d.seed2", found), folder)
    told = section(folder, "Further runs")
    assert "04_train_unet3d.seed2 (seed: 2026)" in told.partition("not run:")[0]
    software = section(folder, "Software, seeds and hardware")
    assert "root seed 2025" in software
    assert "04_train_unet3d.seed2 was run from 2026" in software


def test_versions_and_hardware_are_the_records(folder: Path) -> None:
    told = section(folder, "Software, seeds and hardware")
    assert "Python 3.11.9, PyTorch (Paszke et al. 2019) 2.11.0 and MONAI" in told
    assert "A Good Machine (4 cores)" in told
    assert "commit abc123" in told
    assert "9 min 0 s of wall time" in told
    assert "1.2 GB" in told
    origin = {"commit": "other", "lock_sha256": "d1", "versions": {}}
    values = planted.values()["04_train_unet3d"]
    own = settings.load("demo")
    records.write(planted.record(own, "04_train_unet3d", values, provenance=origin), folder)
    told = section(folder, "Software, seeds and hardware")
    assert "abc123 or other (the records differ)" in told


def test_references_are_those_that_are_cited(tmp_path: Path) -> None:
    for study in STUDIES:
        report_of = collected(tmp_path, study)
        whole = methods.plain(methods.sections(report_of))
        body, _, listed = whole.partition("\n\nReferences\n")
        shorts = [one.short for one in references.REFERENCES if one.short in body]
        assert len(listed.splitlines()) == len(shorts)
        named = re.findall(
            r"[A-ZÇ][\w’]+ et al\. \d{4}|[A-Z]\w+ (?:and [A-Z]\w+ )?(?:19|20)\d\d\b", body
        )
        named = [name for name in named if not name.startswith(("BraTS", "Zenodo"))]
        assert named
        assert not [name for name in named if not any(name in short for short in shorts)]


def test_addresses_of_references() -> None:
    links = {one.place: one.link for one in references.REFERENCES}
    assert links["arXiv 1505.04597"] == "https://arxiv.org/abs/1505.04597"
    assert links["doi 10.1080/00031305.2015.1089789"].startswith("https://doi.org/10.1080/")
    assert all(link.startswith("https://") and " " not in link for link in links.values())
    assert len(links) == len(references.REFERENCES)


def test_bibtex_is_from_the_citation_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = references.bibtex()
    own = references.citation()
    assert found.count("@") == 2
    assert found.count("{") == found.count("}")
    for part_of in (own["title"], str(own["version"]), own["license"], "eprint = {2502.18775}"):
        assert part_of in found
    monkeypatch.setattr(references, "CITATION", tmp_path / "CITATION.cff")
    page = text(documents.methods_page(collected(tmp_path)))
    assert "There is none: CITATION.cff is missing" in page


def test_the_page_has_the_text_to_copy(folder: Path) -> None:
    report_of = collected(folder)
    copied = part(documents.methods_page(report_of), "copy").pre
    assert copied is not None
    assert copied.get_text() == methods.plain(methods.sections(report_of))
    assert "<" not in copied.get_text()


def test_a_text_without_records_says_that_it_is_a_plan(tmp_path: Path, folder: Path) -> None:
    told = "There is no record of 01_data_exploration, 02_preprocessing"
    for page in (documents.methods_page, documents.card_page):
        assert told in text(page(collected(tmp_path)))
        assert "There is no record of" not in text(page(collected(folder)))


# model card


def test_scores_of_the_card_are_the_records(folder: Path) -> None:
    page = documents.card_page(collected(folder))
    shown = {tag["value"] for tag in part(page, "metrics").find_all("data")}
    wanted = [value for name in ("03_train_unet2d", "04_train_unet3d", "05_fusion")
              for value in planted.values()[name] if "dice" in value.name]  # fmt: skip
    assert shown == {str(value.value) for value in wanted} | {"0.8125"}
    assert "11 patients, 1 missed" in text(str(part(page, "metrics")))


def test_sizes_of_the_card_are_the_records(folder: Path) -> None:
    shown = [
        tag["value"] for tag in part(documents.card_page(collected(folder)), "networks")("data")
    ]
    assert shown == ["402113.0", "1205117.0", "23516228.0"]
    records.record_path(folder, "14_efficiency").unlink()
    page = documents.card_page(collected(folder))
    assert text(page).count("not known: notebook 14 left no record of them") == 6


def test_known_failures_are_shown_and_silence_is_named(folder: Path) -> None:
    found = text(str(part(documents.card_page(collected(folder)), "failures")))
    assert "class_collapse" in found
    assert "ece_internal" in found
    assert "Not known of 04_train_unet3d and 06_train_resnet50" in found
    assert "Not known of 05_fusion: no record says anything of it" in found
    missed = found.partition("Lost classes")[0]
    assert "dice_ET" in missed
    assert "dice_WT" not in missed


def test_use_is_limited_by_what_the_networks_saw(tmp_path: Path) -> None:
    synthetic, real = (
        text(documents.card_page(collected(tmp_path, name))) for name in ("demo", "brats")
    )
    for page in (synthetic, real):
        assert "no medical device" in page
    assert "They have seen no patient" in synthetic
    assert "They have seen no patient" not in real
    assert "BraTS 2018 (the organisers' terms" in real
    assert "of CPU size" in synthetic
    assert "of CPU size" not in real


# errors


def test_nothing_is_said_under_every_heading(folder: Path) -> None:
    page = soup(documents.errors_page(collected(folder), folder))
    sections_of = page.select("section.document")
    anchors = [tag["href"] for tag in page.select(".tally-list a")]
    assert anchors == [f"#{one['id']}" for one in sections_of]
    for one in sections_of:
        assert one.find("li") or one.p.get_text().startswith("Nothing"), one["id"]
    for name in ("excluded", "files", "missed", "origin", "settings", "large", "caveats"):
        assert part(str(page), name).find("li") is None, name


def test_deleted_record_failed_notebook_and_excluded_patient_are_on_errors_and_index(
    folder: Path,
) -> None:
    records.record_path(folder, "04_train_unet3d").unlink()
    failed = planted.executed("05 · Fused?")
    error = v4.new_output("error", ename="ValueError", evalue="went wrong", traceback=[])
    failed.cells[-1].outputs = [error]
    planted.write_notebook(folder, "05_fusion", failed)
    planted.exclude(folder, "demo", ("Excluded: P77 (brats2020): mask has 7: really.",))
    index = text(report.build("demo", folder).read_text())
    errors = (folder / "html" / "errors.html").read_text()
    assert "04_train_unet3d" in text(str(part(errors, "missing")))
    assert "ValueError: went wrong" in text(str(part(errors, "doubts")))
    assert "P77 (brats2020) : mask has 7: really." in text(str(part(errors, "excluded")))
    for told in ("04_train_unet3d", "ValueError: went wrong", "P77 (brats2020): mask has 7"):
        assert told in index


def test_without_its_record_nobody_can_tell_who_was_excluded(folder: Path) -> None:
    records.record_path(folder, "01_data_exploration").unlink()
    (folder / "tables" / "01_data_exploration.faults.csv").unlink()
    for anchor in ("excluded", "files"):
        (item,) = faults_of(folder, anchor).found
        assert "cannot be told" in item.text


def test_missed_masks_are_named_patient_by_patient(folder: Path) -> None:
    rows = [
        (planted.ATTACK, "ET", 0, "", "missed", 2, 0, "fused", "test", 0),
        (planted.ATTACK, "NCR", 0, "", "spurious", 0, 2, "2D", "test", 0),
        ("P2", "ET", 1, 0, "empty", 0, 0, "fused", "test", 0),
    ]
    with (folder / "tables" / "05_fusion.scores.csv").open("a", newline="") as stream:
        csv.writer(stream).writerows(rows)
    (item,) = faults_of(folder, "missed").found
    assert item.subject == planted.ATTACK
    assert "ET (fused, fold 0)" in item.text
    assert "NCR (2D, fold 0)" in item.text
    (folder / "tables" / "05_fusion.scores.csv").unlink()
    found = faults_of(folder, "missed").found
    assert any("05_fusion.scores.csv is missing" in one.text for one in found)


def test_undecided_statements_keep_their_reason(folder: Path) -> None:
    told = [one.text for one in faults_of(folder, "undecided").found if one.subject == "C1"]
    assert told[0] == "not testable on this data: too few"
    (folder / "tables" / f"{settings.LAST}.verdicts.csv").unlink()
    (item,) = faults_of(folder, "undecided").found
    assert "No statement is decided" in item.text


def test_statements_with_one_reason_share_a_line_and_are_counted(folder: Path) -> None:
    path = folder / "tables" / f"{settings.LAST}.verdicts.csv"
    row = path.read_text(encoding="utf-8").splitlines()[1]
    others = [row.replace("C1,", f"{name},", 1) for name in ("C2", "C3", "Q1")]
    path.write_text("\n".join([planted.VERDICTS.strip(), row, *others, ""]), encoding="utf-8")
    heading = faults_of(folder, "undecided")
    assert heading.found[0].subject == "C1–C3, Q1"
    assert heading.found[0].count == 4 <= heading.count


def test_caveats_and_variants_that_did_not_run_are_listed(folder: Path) -> None:
    told = {one.text for one in faults_of(folder, "limits").found}
    assert any("random weights" in one for one in told)
    assert any("CPU-size" in one for one in told)
    absent = {one.subject: one.text for one in faults_of(folder, "variants").found}
    assert absent["04_train_unet3d.seed2"] == "It would have set seed: 2026."
    assert len(absent) == sum(map(len, settings.load("demo").variants.values()))


def test_other_settings_than_the_files_are_told(folder: Path) -> None:
    other = settings.load("demo", {"unet2d.epochs": 77})
    name = "03_train_unet2d"
    records.write(planted.record(other, name, planted.values()[name]), folder)
    (item,) = faults_of(folder, "settings").found
    assert (item.subject, item.text) == (name, "unet2d.epochs is 77, the file says 8.")
    records.write(planted.record(other, name, planted.values()[name], parameters={}), folder)
    (item,) = faults_of(folder, "settings").found
    assert "cannot be compared" in item.text


def test_a_variants_own_parameters_are_no_deviation(folder: Path) -> None:
    own = settings.load("demo", {"seed": 2026})
    found = planted.dice("", 0.5, 11)
    records.write(planted.record(own, "04_train_unet3d.seed2", found), folder)
    assert not faults_of(folder, "settings").found


def test_different_origin_is_told(folder: Path) -> None:
    own, name = settings.load("demo"), "05_fusion"
    origin = {"commit": "xyz", "lock_sha256": "d1", "code_digest": "c1", "data_digest": "e1"}
    found = planted.values()[name]
    records.write(planted.record(own, name, found, provenance=origin), folder)
    (item,) = faults_of(folder, "origin").found
    assert item.subject == "commit"
    assert "xyz in 05_fusion" in item.text


# downloads


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


# all of them


def test_hostile_names_are_text(folder: Path) -> None:
    planted.exclude(folder, "demo", (f"Excluded: {planted.ATTACK} (x): {planted.ATTACK}.",))
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


def test_pages_link_to_what_is_there(folder: Path) -> None:
    report.build("demo", folder)
    ids: dict[Path, set[str]] = {}
    for name in DOCUMENTS:
        path = folder / "html" / f"{name}.html"
        for tag in soup(path.read_text()).find_all("a", href=True):
            address, _, anchor = str(tag["href"]).partition("#")
            if address.startswith("https://"):
                continue
            file = (path.parent / address).resolve() if address else path
            assert file.is_file(), f"{name}: {address}"
            if anchor and file not in ids:
                ids[file] = {tag["id"] for tag in soup(file.read_text()).find_all(id=True)}
            assert not anchor or anchor in ids[file], f"{name}: {tag['href']}"


def test_stale_pages_are_removed_and_these_are_kept(folder: Path) -> None:
    (folder / "html").mkdir()
    (folder / "html" / "gone.html").write_text("old")
    report.build("demo", folder)
    names = {path.stem for path in (folder / "html").glob("*.html")}
    assert {*DOCUMENTS, "05_fusion"} <= names
    assert "gone" not in names
