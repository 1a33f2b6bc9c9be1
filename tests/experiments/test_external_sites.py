"""Who counts as external: nobody of the study, whatever the name, and only who has a mask."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from gliomalib import records
from gliomalib.cohort import pseudonyms
from gliomalib.cohort import table as casetable
from gliomalib.data import inspection
from gliomalib.data.readers import survey
from gliomalib.experiments import external_comparison, external_sites, external_validation
from gliomalib.networks import predict
from gliomalib.pipeline import folds
from gliomalib.schema import DataError, RecordError, StoredCase, Volume
from tests import tiny_study
from tests.planted_branches import begin

NEW, OTHER = "BraTS2021_00011", "BraTS2021_00012"
RETYPED, MASKLESS, BROKEN = "BraTS2021_00001", "BraTS2021_00013", "BraTS2021_00014"
AGAIN = "BraTS20_Training_012"


def retyped(folder: Path, made: tiny_study.Phantom) -> None:
    """Write a patient under another name, as other numbers, so that no byte is the same."""
    tiny_study.write_case(folder, made)
    for path in folder.glob("*.nii.gz"):
        image = nib.load(path)
        header = image.header.copy()
        header["descrip"] = b"another site"
        header.set_data_dtype(np.float32)
        values = np.asarray(image.dataobj, dtype=np.float32)
        nib.save(nib.Nifti1Image(values, image.affine, header), path)


def run_of(root: Path, folder: Path | None = None) -> records.Run:
    external = str(folder) if folder else None
    return begin(root, "13_external_validation", external_root=external)


def write_tables(root: Path) -> None:
    run = run_of(root)
    material = folds.open_material(run)
    scores = folds.segmentation_scores(material, ["unet2d", "unet3d", "fused"])
    records.write_table(replace(run, notebook="05_fusion"), "scores", scores)
    rows = []
    for split in material.splits:
        shown = folds.fused_slices(material, split, split.test)
        named = predict.classify(folds.checkpoint(material, "resnet50", split.fold), shown, "cpu")
        told = {"patient_id": shown.patients, "z": shown.z, "truth": shown.classes}
        told |= {"predicted": named.argmax(axis=1), "fold": split.fold, "part": "test"}
        rows.append(pd.DataFrame(told))
    records.write_table(replace(run, notebook="06_train_resnet50"), "slices", pd.concat(rows))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tiny_study.make(tmp_path_factory.mktemp("study"))
    write_tables(made)
    folder = made / "abroad"
    tiny_study.write_case(folder / NEW, tiny_study.phantom(11))
    tiny_study.write_case(folder / OTHER, tiny_study.phantom(12))
    retyped(folder / AGAIN, tiny_study.phantom(12))
    retyped(folder / RETYPED, tiny_study.phantom(0))
    tiny_study.write_case(folder / tiny_study.PATIENTS[1], tiny_study.phantom(20))
    tiny_study.write_case(folder / MASKLESS, tiny_study.phantom(13), masked=False)
    broken = tiny_study.write_case(folder / BROKEN, tiny_study.phantom(14))
    cut = broken / f"{BROKEN}_t2.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-50])
    return made


@pytest.fixture(scope="module")
def abroad(root: Path) -> external_sites.Sites:
    return external_sites.open_sites(run_of(root, root / "abroad"))


@pytest.fixture(scope="module")
def found(abroad: external_sites.Sites) -> external_sites.GroupScores:
    return external_sites.measure(abroad)


def test_every_case_of_a_folder_meets_its_fate(abroad: external_sites.Sites) -> None:
    fates = abroad.cases.set_index("case_id")["fate"].to_dict()
    assert fates == {
        NEW: external_sites.SCORED,
        OTHER: external_sites.SCORED,
        AGAIN: external_sites.AGAIN,
        RETYPED: external_sites.OVERLAP,
        tiny_study.PATIENTS[1]: external_sites.OVERLAP,
        MASKLESS: external_sites.NO_MASK,
        BROKEN: external_sites.FAULTY,
    }
    assert abroad.count(external_sites.OVERLAP) == 2
    assert {split.external for split in abroad.outside.splits} == {(NEW, OTHER)}
    assert abroad.homes[NEW] == "brats2021"
    fates = abroad.cases.groupby(["site", "fate"]).size()
    assert fates["brats2021", external_sites.SCORED] == 2 and fates.sum() == 7


def test_no_file_nor_name_gives_the_renamed_patient_away_but_the_voxels(root: Path) -> None:
    own, copy = (
        inspection.inspect(case)
        for name in (f"raw/{tiny_study.PATIENTS[0]}", f"abroad/{RETYPED}")
        for case in survey.discover(root / name)
    )
    assert set(own.case.digests).isdisjoint(copy.case.digests)
    assert own.content == copy.content


def test_the_volumes_are_those_of_the_studys_networks(
    root: Path, abroad: external_sites.Sites
) -> None:
    store = abroad.outside.store
    for network in folds.BRANCHES:
        for fold in (0, 1):
            weights = root / "data" / "smoke" / "checkpoints" / network / f"fold{fold}/final.pt"
            expected = predict.segment(weights, store.get(NEW), "cpu")
            written = folds.volume(abroad.outside, network, fold, NEW)
            assert np.array_equal(written.probabilities, expected.probabilities)
    assert set(abroad.inside.store.patients()) == set(tiny_study.PATIENTS)


def test_both_groups_are_measured_and_nobody_else(found: external_sites.GroupScores) -> None:
    for table in (found.scores, found.slices, found.intensities, found.remedied):
        by_part = table.groupby("part")["patient_id"].agg(lambda names: sorted(set(names)))
        assert by_part["test"] == list(tiny_study.PATIENTS)
        assert by_part["external"] == [NEW, OTHER]
    folds_of = found.scores.query("part == 'external'").groupby("patient_id")["fold"].nunique()
    assert folds_of.tolist() == [2, 2]
    assert {part: sorted(own) for part, own in found.tallies.items()} == {
        "test": list(tiny_study.PATIENTS),
        "external": [NEW, OTHER],
    }


def test_without_z_score_it_is_the_fused_volume_itself(found: external_sites.GroupScores) -> None:
    keys = ["fold", "patient_id", "region"]
    plain = found.remedied.query("network == 'none'").set_index(keys)["dice"]
    fused = found.scores.query("network == 'fused'").set_index(keys)["dice"]
    assert (plain - fused).abs().max() < 1e-5
    assert set(found.remedied["network"]) == {external_sites.NONE, external_sites.Z_SCORE}


def test_the_z_score_is_fitted_on_the_training_patients_of_the_fold(
    abroad: external_sites.Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, fit = [], external_sites.intensities.fit

    def watched(cases: object) -> object:
        seen: list[StoredCase] = list(cases)  # type: ignore[call-overload]
        fitted.append({case.grid.patient_id for case in seen})
        return fit(seen)

    def nothing(_: object, case: StoredCase, device: str = "") -> Volume:
        return Volume(np.full((4, *case.grid.shape), 0.25, np.float16), case.grid)

    monkeypatch.setattr(external_sites.intensities, "fit", watched)
    monkeypatch.setattr(external_sites.predict, "segment", nothing)
    external_sites.measure(abroad)
    assert fitted == [set(split.train) for split in tiny_study.SPLITS]


def test_voxels_of_the_brain_are_tallied_once_a_fold(
    abroad: external_sites.Sites, found: external_sites.GroupScores
) -> None:
    case = abroad.outside.store.get(NEW)
    n_brain = int((case.images > 0).any(axis=0).sum())
    assert found.tallies["external"][NEW][0].sum() == 2 * n_brain
    assert 0 < n_brain < case.labels.size


def test_sites_are_told_apart(
    abroad: external_sites.Sites, found: external_sites.GroupScores
) -> None:
    table = external_comparison.by_site(found, abroad)
    assert table[["part", "site", "patients"]].to_numpy().tolist() == [
        ["internal", "brats2020", 4],
        ["external", "brats2021", 2],
    ]
    beside = external_comparison.beside(found, abroad.study).set_index(["of", "score"])
    assert table["mean_dice"].tolist() == pytest.approx(
        [beside.loc[("fused", "mean"), part] for part in ("internal", "external")]
    )


def test_a_folder_in_which_nobody_is_left_is_named(root: Path, tmp_path: Path) -> None:
    retyped(tmp_path / RETYPED, tiny_study.phantom(0))
    tiny_study.write_case(tmp_path / MASKLESS, tiny_study.phantom(13), masked=False)
    with pytest.raises(DataError, match=r"no case is left to be scored \(.*1 no mask") as caught:
        external_sites.open_sites(run_of(root, tmp_path))
    assert str(tmp_path) in str(caught.value) and "1 patient of the study" in str(caught.value)


def test_a_fault_stops_a_study_that_stops_at_faults(root: Path) -> None:
    run = run_of(root, root / "abroad")
    data = run.study.data.model_copy(update={"on_bad_case": "stop"})
    strict = replace(run, study=run.study.model_copy(update={"data": data}))
    with pytest.raises(DataError, match=f"{BROKEN}_t2.nii.gz"):
        external_sites.open_sites(strict)


def test_who_is_external_cannot_be_told_without_the_studys_own_files(
    root: Path, tmp_path: Path
) -> None:
    lost = root / "raw" / tiny_study.PATIENTS[2] / f"{tiny_study.PATIENTS[2]}_t1.nii.gz"
    kept = lost.rename(tmp_path / lost.name)
    try:
        with pytest.raises(DataError, match="nobody can tell who is external"):
            external_sites.open_sites(run_of(root, root / "abroad"))
    finally:
        kept.rename(lost)


def test_with_pseudonyms_no_real_name_is_shown(root: Path) -> None:
    run = run_of(root, root / "abroad")
    hidden = replace(run, study=run.study.model_copy(update={"pseudonyms": True}))
    shown = external_sites.open_sites(hidden)
    names = pseudonyms.open_pseudonyms(root / "data")
    assert {names.patient(name) for name in (NEW, OTHER)} <= set(shown.outside.store.patients())
    assert (
        not shown.cases[["case_id", "patient_id"]].map(lambda name: "BraTS" in name).any(axis=None)
    )
    fates = shown.cases.set_index("case_id")["fate"]
    assert fates[names.case(RETYPED)] == external_sites.OVERLAP
    assert fates[names.case(BROKEN)] == external_sites.FAULTY


def test_a_study_without_external_part_has_nobody_outside(root: Path) -> None:
    alone = external_sites.open_sites(run_of(root))
    assert alone.outside is alone.inside and alone.cases.empty
    found = external_sites.measure(alone)
    assert set(found.scores["part"]) == {"test"} and not found.tallies["external"]
    assert set(external_comparison.by_site(found, alone)["part"]) == {"internal"}
    text = external_validation.conclusion(found, alone)
    assert text.startswith("Nothing is said of another site: this study has no external patients")
    names = {one.name for one in external_validation.values(found, alone)}
    assert {"internal_mean_dice", "ece_internal", "z_score_gain_internal"} <= names
    assert not {"drop_mean_dice", "external_mean_dice", "z_score_gain"} & names


def test_a_patient_without_a_score_is_an_error(root: Path, tmp_path: Path) -> None:
    run = run_of(root)
    alone = external_sites.open_sites(run)
    shorter = replace(run, report_dir=tmp_path)
    for made_by, name in (("05_fusion", "scores"), ("06_train_resnet50", "slices")):
        table = records.read_table(run, made_by, name)
        kept = table[table["patient_id"] != tiny_study.PATIENTS[3]]
        records.write_table(replace(shorter, notebook=made_by), name, kept)
    inside = replace(alone.inside, run=shorter)
    missing = f"tells of 3 patients, the splits of 4; only one of them has {tiny_study.PATIENTS[3]}"
    with pytest.raises(RecordError, match=f"05_fusion {missing}: run 05_fusion again"):
        external_sites.measure(replace(alone, inside=inside, outside=inside))


def test_the_external_part_of_a_study_is_counted_by_fate() -> None:
    rows = [
        ("A", "A", "brats2020", "internal"),
        ("E", "E", "brats2021", "external"),
        ("F", "A", "brats2021", "duplicate"),
        ("G", "E", "brats2021", "duplicate"),
        ("H", "H", "brats2021", "unused"),
        ("I", "I", "brats2021", "excluded"),
        ("J", "J", "ucsf_pdgm", "unused"),
        ("K", "A", "brats2019", "duplicate"),
    ]
    table = pd.DataFrame(rows, columns=["case_id", "patient_id", "release", "part"])
    table = table.reindex(columns=list(casetable.COLUMNS)).assign(site="CBICA")
    plan = external_sites.settings.Data(source="folder", external_releases=("brats2021",))
    cases = external_sites.cases_of_the_study(table, plan).set_index("case_id")
    assert (cases["site"] == "CBICA").all()
    found = cases["fate"].to_dict()
    assert found == {
        "E": external_sites.SCORED,
        "F": external_sites.OVERLAP,
        "G": external_sites.AGAIN,
        "H": external_sites.NO_MASK,
        "I": external_sites.FAULTY,
    }
