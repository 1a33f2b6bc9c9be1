"""Who counts as external, what becomes of other cases, and what is measured in both groups."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib import records
from gliomalib.cohort import table as casetable
from gliomalib.cohort.splits import write_splits
from gliomalib.data import inspection
from gliomalib.data.readers import survey
from gliomalib.experiments import external_comparison, external_sites, external_validation
from gliomalib.networks import predict
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import RecordError, StoredCase, Volume
from tests import tiny_study
from tests.planted_branches import begin

NEW, OTHER = "BraTS2021_00011", "BraTS2021_00012"


def run_of(root: Path) -> records.Run:
    return begin(root, "13_external_validation")


def write_tables(root: Path) -> None:
    run = run_of(root)
    material = folds.open_material(run)
    scores = folds.segmentation_scores(material, ["unet2d", "unet3d", "fused"])
    records.write_table(replace(run, notebook="05_fusion"), "scores", scores)
    rows = []
    for split in material.splits:
        weights = folds.checkpoint(material, "resnet50", split.fold)
        for part in ("test", "external"):
            for name in folds.parts_of(split)[part]:
                shown = folds.fused_slices(material, split, [name])
                table = folds.classified(weights, shown, "cpu")
                rows.append(table.assign(fold=split.fold, part=part))
    records.write_table(replace(run, notebook="06_train_resnet50"), "slices", pd.concat(rows))


def with_external(root: Path) -> Path:
    """Give the study two patients of another release, stored and predicted by both folds."""
    for name, seed in ((NEW, 11), (OTHER, 12)):
        tiny_study.write_case(root / "abroad" / name, tiny_study.phantom(seed))
    cases, abroad = (survey.discover(root / name) for name in ("raw", "abroad"))
    parts = {case.case_id: "external" for case in abroad}
    entries = [
        casetable.Entry(seen.case, parts.get(seen.case.case_id, "internal"), seen=seen)
        for seen in inspection.inspect_all([*cases, *abroad], signatures=False)
    ]
    run = run_of(root)
    casetable.write_cases(casetable.table_of(entries), run.work_dir / "cases.csv")
    splits = [replace(split, external=(NEW, OTHER)) for split in tiny_study.SPLITS]
    write_splits(splits, run.work_dir / "splits.json")
    plan = run.study.preprocessing
    store = preprocess.open_store(run.work_dir / "store", plan)
    preprocess.fill(store, [*cases, *abroad], plan)
    for network in folds.BRANCHES:
        for split in splits:
            weights = run.work_dir / "checkpoints" / network / f"fold{split.fold}" / "final.pt"
            folder = run.work_dir / "predictions" / network / f"fold{split.fold}"
            predict.segment_all(weights, map(store.get, (NEW, OTHER)), folder, "cpu")
    return root


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tiny_study.make(tmp_path_factory.mktemp("alone"))
    write_tables(root)
    return root


@pytest.fixture(scope="module")
def abroad(tmp_path_factory: pytest.TempPathFactory) -> external_sites.Sites:
    root = with_external(tiny_study.make(tmp_path_factory.mktemp("study")))
    write_tables(root)
    return external_sites.open_sites(run_of(root))


@pytest.fixture(scope="module")
def found(abroad: external_sites.Sites) -> external_sites.GroupScores:
    return external_sites.measure(abroad)


def test_the_external_part_and_its_sites(abroad: external_sites.Sites) -> None:
    assert abroad.cases.set_index("case_id")["fate"].to_dict() == {
        NEW: external_sites.SCORED,
        OTHER: external_sites.SCORED,
    }
    assert abroad.count(external_sites.SCORED) == 2 and abroad.count(external_sites.OVERLAP) == 0
    assert abroad.homes == {
        **dict.fromkeys(tiny_study.PATIENTS, "brats2020"),
        **dict.fromkeys((NEW, OTHER), "brats2021"),
    }


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
    case = abroad.material.store.get(NEW)
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


def test_a_study_without_external_part_has_nobody_outside(alone: Path) -> None:
    sites = external_sites.open_sites(run_of(alone))
    assert sites.cases.empty
    found = external_sites.measure(sites)
    assert set(found.scores["part"]) == {"test"} and not found.tallies["external"]
    assert set(external_comparison.by_site(found, sites)["part"]) == {"internal"}
    text = external_validation.conclusion(found, sites)
    assert text.startswith("Nothing is said of another site: this study has no external patients")
    names = {one.name for one in external_validation.values(found, sites)}
    assert {"internal_mean_dice", "ece_internal", "z_score_gain_internal"} <= names
    assert not {"drop_mean_dice", "external_mean_dice", "z_score_gain"} & names


def test_a_patient_without_a_score_is_an_error(alone: Path, tmp_path: Path) -> None:
    run = run_of(alone)
    sites = external_sites.open_sites(run)
    shorter = replace(run, report_dir=tmp_path)
    for made_by, name in (("05_fusion", "scores"), ("06_train_resnet50", "slices")):
        table = records.read_table(run, made_by, name)
        kept = table[table["patient_id"] != tiny_study.PATIENTS[3]]
        records.write_table(replace(shorter, notebook=made_by), name, kept)
    material = replace(sites.material, run=shorter)
    with pytest.raises(RecordError, match="05_fusion tells of 3 patients, the splits of 4"):
        external_sites.measure(replace(sites, material=material))


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
