"""Steps through every fold: the right patients, volumes of one grid, nobody lost."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from gliomalib import records, settings
from gliomalib.cohort.splits import path_of, write_splits
from gliomalib.cohort.table import Entry, table_of, write_cases
from gliomalib.experiments import segmentation
from gliomalib.networks import loop, models, predict, training
from gliomalib.networks.job import Job
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import (
    Case,
    DataError,
    MismatchError,
    Split,
    StoredCase,
    StoredError,
    Volume,
)
from tests.networks import toys
from tests.planted_branches import begin, grid

SHAPE = (8, 8, 6)
PATIENTS = ("A", "B", "C", "D")


def labels_of(patient: str) -> np.ndarray:
    found = np.zeros(SHAPE, dtype=np.uint8)
    width = 2 + PATIENTS.index(patient)
    found[1 : 1 + width, 2:6, 2:5] = 2
    found[2:4, 3:5, 3] = 3
    return found


def volume_of(patient: str, sure: float) -> Volume:
    """Return the truth, believed with probability ``sure``; below 0.25 it is not the answer."""
    one_hot = np.moveaxis(np.eye(4, dtype=np.float32)[labels_of(patient)], -1, 0)
    rest = (1 - sure) / 3
    return Volume((one_hot * (sure - rest) + rest).astype(np.float16), grid(patient, SHAPE))


@pytest.fixture
def run(tmp_path: Path) -> records.Run:
    run = begin(tmp_path, "05_fusion")
    store = preprocess.open_store(run.work_dir / "store", run.study.preprocessing)
    for patient in PATIENTS:
        images = np.full((4, *SHAPE), 0.5, dtype=np.float16)
        store.put(StoredCase(grid(patient, SHAPE), images, labels_of(patient)), "digest", {})
    splits = (Split(0, ("A",), (), ("B", "C"), ("D",)),)
    write_splits(splits, run.work_dir / "splits.json")
    return run


@pytest.fixture
def material(run: records.Run) -> folds.Material:
    for patient in PATIENTS:
        for branch, sure in (("unet2d", 0.9), ("unet3d", 0.4 if patient != "C" else 0.1)):
            path = run.work_dir / "predictions" / branch / "fold0" / f"{patient}.npy"
            predict.save(volume_of(patient, sure), path)
    return folds.open_material(run)


def test_a_patient_of_the_splits_who_is_not_stored_is_named(run: records.Run) -> None:
    splits = (Split(0, ("A",), (), ("B", "C", "Z"), ("D",)),)
    write_splits(splits, run.work_dir / "splits.json")
    with pytest.raises(MismatchError, match="Z of the splits not in the store"):
        folds.open_material(run)


def test_only_held_out_and_external_patients_are_reported(material: folds.Material) -> None:
    found = [(part, patient) for _, part, patient in folds.scored(material)]
    assert found == [("test", "B"), ("test", "C"), ("external", "D")]


def test_a_missing_prediction_is_an_error_and_not_a_smaller_n(material: folds.Material) -> None:
    path = material.run.work_dir / "predictions" / "unet3d" / "fold0" / "C.npy"
    path.unlink()
    with pytest.raises(DataError, match="C"):
        folds.segmentation_scores(material, ["unet3d"])


def test_a_classifier_without_its_volumes_says_what_makes_them(material: folds.Material) -> None:
    (material.run.work_dir / "predictions" / "unet3d" / "fold0" / "A.npy").unlink()
    with pytest.raises(StoredError, match=r"A\.npy: .*run the training notebook again"):
        folds.train_classifiers(material)


def test_a_prediction_of_another_crop_is_refused(material: folds.Material) -> None:
    path = material.run.work_dir / "predictions" / "unet2d" / "fold0" / "B.npy"
    other = replace(grid("B", SHAPE), crop_start=(3, 0, 0))
    predict.save(replace(volume_of("B", 0.9), grid=other), path)
    with pytest.raises(MismatchError, match="another grid"):
        folds.volume(material, "unet2d", 0, "B")


def test_scores_cover_every_network_part_and_patient(material: folds.Material) -> None:
    table = folds.segmentation_scores(material, ["unet2d", "unet3d", "fused"])
    assert table["network"].unique().tolist() == ["2D", "3D", "fused"]
    assert (table.groupby("network")["patient_id"].nunique() == 3).all()
    whole = table[(table["region"] == "WT") & (table["part"] == "test")]
    dice = whole.set_index(["network", "patient_id"])["dice"]
    assert dice["2D", "B"] == 1 and dice["3D", "B"] == 1 and dice["3D", "C"] < 1


def test_examples_are_ranked_from_the_worst(material: folds.Material) -> None:
    table = folds.segmentation_scores(material, ["unet3d"])
    worst, _, best = folds.ranked(material, table, ["unet3d"])
    assert worst.title.startswith("C") and best.title.startswith("B")
    assert set(best.predictions) == {"3D"}
    assert (best.predictions["3D"] == best.labels).all()


def test_an_empty_mask_chooses_no_example(material: folds.Material) -> None:
    # C has the worse tumour; by rule it scores 1 in classes that are empty
    rows = [("B", "WT", 0.9), ("C", "WT", 0.4), ("B", "ET", 0.0), ("C", "ET", 1.0)]
    rows += [
        (patient, region, 1.0 * (patient == "C")) for patient in "BC" for region in ("NCR", "ED")
    ]
    table = pd.DataFrame(rows, columns=["patient_id", "region", "dice"])
    table = table.assign(network="3D", part="test", fold=0, state="scored")
    worst, _, best = folds.ranked(material, table, ["unet3d"])
    assert worst.title.startswith("C: whole-tumour Dice 0.40") and best.title.startswith("B")


def test_both_branches_come_in_pairs(material: folds.Material) -> None:
    pairs = list(folds.branch_volumes(material, "test"))
    assert [case.grid.patient_id for case, _, _ in pairs] == ["B", "C"]
    assert pairs[0][1].probabilities.max() > pairs[0][2].probabilities.max()


def test_seeds_are_variants_of_both_branches_that_change_the_seed_only() -> None:
    flat = {"seed2": {"seed": 8}, "seed3": {"seed": 9}, "ce": {"loss": "cross_entropy"}}
    deep = {"seed3": {"seed": 9}, "seed2": {"seed": 8}, "seed4": {"seed": 10}}
    deep["other"] = {"seed": 9, "epochs": 2}
    variants = {"03_train_unet2d": {**flat, "other": {"seed": 9}}, "04_train_unet3d": deep}
    found = folds.seeds(settings.load("smoke").model_copy(update={"variants": variants}))
    assert list(found) == [0, 8, 9]
    assert found[0] == folds.BRANCHES and found[9] == ("unet2d.seed3", "unet3d.seed3")


def test_trainings_of_another_split_are_asked_for_by_name() -> None:
    site = {"split_by": "site"}
    flat = {"sites-b": {**site, "seed": 8}, "sites": site, "seed2": {"seed": 8}}
    deep = {**flat, "sites-c": {**site, "seed": 9}, "more": {**site, "epochs": 2}}
    study = settings.load("smoke")
    study = study.model_copy(
        update={"variants": {"03_train_unet2d": flat, "04_train_unet3d": deep}}
    )
    assert folds.seeds(study) == {0: folds.BRANCHES, 8: ("unet2d.seed2", "unet3d.seed2")}
    by_site = {0: ("unet2d.sites", "unet3d.sites"), 8: ("unet2d.sites-b", "unet3d.sites-b")}
    assert folds.seeds(study, "site") == by_site
    assert not folds.seeds(study.model_copy(update={"variants": {}}), "site")


def test_a_pair_is_of_the_branches_that_are_named(
    run: records.Run, material: folds.Material
) -> None:
    again = ("unet2d.seed2", "unet3d.seed2")
    for branch, sure in zip(again, (0.7, 0.5), strict=True):
        path = run.work_dir / "predictions" / branch / "fold0" / "D.npy"
        predict.save(volume_of("D", sure), path)
    ((_, p2d, p3d),) = folds.branch_volumes(material, "external", again)
    highest = [float(volume.probabilities.max()) for volume in (p2d, p3d)]
    assert highest == pytest.approx([0.7, 0.5], abs=1e-3)
    p2d, _ = folds.pair(material, 0, "D")
    assert p2d.probabilities.max() == pytest.approx(0.9, abs=1e-3)


def test_fused_slices_keep_patient_and_class(material: folds.Material) -> None:
    found = folds.fused_slices(material, material.splits[0], ("B", "C"))
    assert found.images.shape[0] == 2 * SHAPE[2] and set(found.patients) == {"B", "C"}
    assert found.classes[:6].tolist() == [0, 0, 2, 2, 2, 0]


def test_another_alpha_or_validation_patient_trains_anew(
    material: folds.Material, run: records.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "resnet50", toys.small_classifier)
    small = {"epochs": 1, "channels": [4, 8], "device": "cpu"}
    unet2d = runs_of(run, "03_train_unet2d", **small)
    resnet50 = runs_of(run, "06_train_resnet50", epochs=1, device="cpu")
    done = [*folds.train_segmenters(unet2d, "unet2d"), *folds.train_classifiers(resnet50)]

    monkeypatch.setattr(loop, "fit", toys.stopped)
    again = [*folds.train_segmenters(unet2d, "unet2d"), *folds.train_classifiers(resnet50)]
    assert [training.key for training in again] == [training.key for training in done]
    for more in ({"alpha": 0.25}, {"label_rule": "enhancing_first"}):
        with pytest.raises(toys.StoppedError):
            folds.train_classifiers(runs_of(run, "06_train_resnet50", epochs=1, **more))
    other = replace(material.splits[0], val=("B",), test=("C",))
    with pytest.raises(toys.StoppedError):
        folds.train_segmenters(replace(unet2d, splits=(other,)), "unet2d")


def data_digest(material: folds.Material, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what the training of ResNet50 is told of its data."""
    jobs: list[Job] = []
    monkeypatch.setattr(training, "train_classifier", lambda job, *_: jobs.append(job))
    folds.train_classifiers(material)
    (job,) = jobs
    return job.data_digest


def test_a_resnet50_is_named_by_alpha_and_by_the_volumes_of_its_slices(
    material: folds.Material, run: records.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = data_digest(material, monkeypatch)
    assert data_digest(material, monkeypatch) == digest
    other_alpha = runs_of(run, "06_train_resnet50", alpha=0.25)
    other_branches = runs_of(run, "06_train_resnet50", branches=["unet3d", "unet2d"])
    predict.save(volume_of("B", 0.8), run.work_dir / "predictions/unet2d/fold0/B.npy")
    assert data_digest(material, monkeypatch) == digest, "B is not learned from"
    predict.save(volume_of("A", 0.8), run.work_dir / "predictions/unet3d/fold0/A.npy")
    others = [data_digest(one, monkeypatch) for one in (material, other_alpha, other_branches)]
    assert len({digest, *others}) == 4


def runs_of(run: records.Run, notebook: str, **parameters: object) -> folds.Material:
    return folds.open_material(begin(run.work_dir.parents[1], notebook, **parameters))


@pytest.mark.usefixtures("material")
def test_a_variant_of_the_classifier_reads_the_branches_of_the_study(run: records.Run) -> None:
    other = runs_of(run, "06_train_resnet50", variant="ce", loss="cross_entropy")
    assert folds.volume(other, "unet2d", 0, "B").grid.patient_id == "B"
    assert folds.checkpoint(other, "resnet50", 0).parts[-3] == "resnet50.ce"
    assert folds.checkpoint(other, "unet2d", 0).parts[-3] == "unet2d"


def test_a_variant_of_a_branch_can_be_fused(run: records.Run, material: folds.Material) -> None:
    for patient in PATIENTS:
        path = run.work_dir / "predictions" / "unet3d.seed2" / "fold0" / f"{patient}.npy"
        predict.save(volume_of(patient, 0.6), path)
    branches = ["unet3d", "unet3d.seed2"]
    other = runs_of(run, "06_train_resnet50", variant="two", branches=branches, alpha=0.25)
    found = folds.volume(other, "fused", 0, "B").probabilities.astype(float)
    pair = [folds.volume(material, name, 0, "B").probabilities.astype(float) for name in branches]
    assert np.abs(found - (0.25 * pair[0] + 0.75 * pair[1])).max() < 1e-3
    assert folds.short("unet3d.seed2") == "3D seed2" and folds.short("fused") == "fused"


def test_a_variant_predicts_training_patients_only_for_a_classifier(
    run: records.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = runs_of(run, "04_train_unet3d", variant="seed2", seed=8)
    alone = runs_of(run, "03_train_unet2d", variant="ce", loss="cross_entropy")
    same_name = runs_of(run, "03_train_unet2d", variant="seed2", seed=8)
    own = runs_of(run, "03_train_unet2d")
    monkeypatch.setattr(predict, "segment_all", lambda _, cases, *__: list(cases))

    def predicted(material: folds.Material, network: str) -> list[int]:
        made = SimpleNamespace(checkpoint=Path(), key="")
        return folds.predict_volumes(material, network, [made])["patients"].tolist()

    everyone, without_training = [4], [3]
    assert predicted(own, "unet2d") == predicted(named, "unet3d") == everyone
    assert predicted(alone, "unet2d") == without_training
    assert predicted(same_name, "unet2d") == without_training, "only its 3D namesake is fused"
    fusion = run.study.fusion.model_copy(update={"branches": ("unet2d.ce", "unet3d")})
    study = alone.study.model_copy(update={"fusion": fusion})
    fused = replace(alone, run=replace(alone.run, study=study))
    assert predicted(fused, "unet2d") == everyone


BY_SITE = (
    Split(0, ("B", "C"), (), ("A",), ()),
    Split(1, ("A", "C"), (), ("B",), ()),
    Split(2, ("A", "B"), (), ("C",), ()),
)
"""Folds by site beside the one fold of ``run``; nobody knows the site of D."""


def test_one_study_has_folds_by_patient_and_by_site(run: records.Run) -> None:
    write_splits(BY_SITE, path_of(run.work_dir, "site"))
    entries = [Entry(Case(name, name, "brats2020", {}, None), "internal") for name in PATIENTS]
    write_cases(table_of(entries), run.work_dir / "cases.csv")
    small = {"epochs": 1, "channels": [4, 8], "device": "cpu"}
    own = runs_of(run, "03_train_unet2d", **small)
    sites = runs_of(run, "03_train_unet2d", variant="sites", split_by="site", **small)
    assert sites.splits == folds.open_material(run, by="site").splits == BY_SITE
    for material in (own, sites):
        trained = folds.train_segmenters(material, "unet2d")
        assert len(trained) == len(material.splits)
        folds.predict_volumes(material, "unet2d", trained)
        scores = folds.segmentation_scores(material, ["unet2d"])
        assert scores["patient_id"].nunique() == 3
    # a patient whose site was left out is predicted by the network of that fold alone
    for fold, patient in enumerate("ABC"):
        assert folds.volume(own, "unet2d.sites", fold, patient).grid.patient_id == patient
        with pytest.raises(DataError):
            folds.volume(own, "unet2d.sites", (fold + 1) % 3, patient)
    assert folds.unplaced(sites) == ("D",) and folds.unplaced(own) == ()
    assert segmentation.caveats(own) == ()
    (caveat,) = segmentation.caveats(sites)
    assert caveat == "Neither trained on nor tested, as their site is unknown (1): D."


def test_a_study_without_folds_by_site_says_which_notebook_makes_them(run: records.Run) -> None:
    with pytest.raises(DataError, match=r"splits-site.json: .* run 01_data_exploration"):
        runs_of(run, "04_train_unet3d", variant="sites", split_by="site")


def trained(*losses: float) -> training.Trained:
    rows = [(epoch, "train", loss, 1.26) for epoch, loss in enumerate(losses)]
    history = pd.DataFrame(rows, columns=["epoch", "part", "loss", "seconds"])
    return training.Trained(Path("f.pt"), "key", history, "cpu", 7, 0, "random weights")


def test_losses_keep_their_fold_and_their_order() -> None:
    table = folds.losses([trained(0.9, 0.5), trained(0.8)])
    assert table["fold"].tolist() == [0, 0, 1]
    assert table["loss"].tolist() == [0.9, 0.5, 0.8]


def test_facts_count_epochs_and_add_up_seconds() -> None:
    first, second = folds.facts([trained(0.9, 0.5), trained(0.8)]).to_dict("records")
    assert (first["epochs"], first["seconds"], second["epochs"]) == (2, 2.5, 1)
    assert (first["parameters"], first["device"], first["note"]) == (7, "cpu", "random weights")
