"""Pooled scores of the recipe are those of all voxels at once, and a study without it says so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gliomalib import settings
from gliomalib.cohort.splits import write_splits
from gliomalib.experiments import keras_recipe
from gliomalib.networks import predict
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import MismatchError, RecordError, Split, StoredCase
from gliomalib.scoring import contradictions, keras_metrics, metrics
from tests.planted_branches import begin, grid

SHAPE = (8, 8, 6)
PATIENTS = ("A", "B", "C", "D")
OUTSIDE = {"A": (0, 0, 0, 0), "B": (640, 0, 64, 0), "C": (6400, 128, 0, 0), "D": (1280, 0, 0, 64)}
"""Voxels of 1 mm that the box leaves out; the store's are of 4 mm, 64 times as large."""


def labels_of(patient: str) -> np.ndarray:
    found = np.zeros(SHAPE, dtype=np.uint8)
    found[1 : 3 + PATIENTS.index(patient), 2:6, 1:5] = 2
    found[2:4, 3:5, 2:4] = 3
    found[2, 3, 3] = 1
    return found


def case_of(patient: str) -> StoredCase:
    rng = np.random.default_rng(PATIENTS.index(patient))
    images = (0.3 * labels_of(patient) + 0.1 * rng.random((4, *SHAPE))).astype(np.float16)
    images[..., 0] = 0
    return StoredCase(grid(patient, SHAPE), images, labels_of(patient))


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> folds.Material:
    """Two folds with the recipe trained in each."""
    root = tmp_path_factory.mktemp("recipe")
    run = begin(root, "12_metric_forensics")
    store = preprocess.open_store(run.work_dir / "store", run.study.preprocessing)
    for patient in PATIENTS:
        inside = np.bincount(labels_of(patient).ravel(), minlength=4) * 64
        voxels = [int(n) for n in inside + np.array(OUTSIDE[patient])]
        crop = {"voxels": voxels, "in_plane": voxels, "in_box": inside.tolist(), "voxel_mm3": 1.0}
        store.put(case_of(patient), "digest", {"crop": crop})
    splits = (Split(0, ("A", "D"), (), ("B", "C")), Split(1, ("B", "C"), (), ("A", "D")))
    write_splits(splits, run.work_dir / "splits.json")
    own = run.study.variants[keras_recipe.NOTEBOOK][keras_recipe.VARIANT]
    training = folds.open_material(
        begin(root, keras_recipe.NOTEBOOK, variant=keras_recipe.VARIANT, **own)
    )
    trained = folds.train_segmenters(training, "unet2d")
    assert trained[0].checkpoint == folds.checkpoint(training, "unet2d", 0)
    folds.predict_volumes(training, "unet2d", trained)
    return folds.open_material(run)


@pytest.fixture(scope="module")
def rerun(material: folds.Material) -> keras_recipe.Rerun:
    return keras_recipe.rerun(material)


def changed(material: folds.Material, variants: dict[str, Any]) -> folds.Material:
    study = material.study.model_copy(update={"variants": variants})
    return replace(material, run=replace(material.run, study=study))


def all_voxels(material: folds.Material) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and float32 probabilities of every held-out voxel, in one pile."""
    truth, found = [], []
    for split in material.splits:
        path = material.run.work_dir / f"checkpoints/unet2d.recipe/fold{split.fold}/final.pt"
        for patient in split.test:
            case = material.store.get(patient)
            volume = predict.unrounded(path, case, "cpu")
            found.append(np.moveaxis(volume, 0, -1).reshape(-1, 4))
            truth.append(case.labels.ravel())
    return np.concatenate(truth), np.concatenate(found)


def by_name(rerun: keras_recipe.Rerun) -> dict[str, Any]:
    found = keras_recipe.values(rerun, settings.load("smoke"))
    assert len({one.name for one in found}) == len(found)
    assert all(one.rule and one.n_patients == 4 for one in found)
    assert all(one.n_seeds == one.name.startswith("recipe_") for one in found)
    return {one.name: one for one in found}


def test_scores_of_the_box_are_those_of_all_its_voxels(
    material: folds.Material, rerun: keras_recipe.Rerun
) -> None:
    assert [(of.patient, of.fold) for of in rerun] == [("B", 0), ("C", 0), ("A", 1), ("D", 1)]
    truth, found = all_voxels(material)
    counts, values = keras_metrics.pooled_counts(truth, found), by_name(rerun)
    expected = keras_metrics.counted_scores(counts)
    for name in keras_recipe.RULES:
        score = expected["mean_iou" if name == "iou" else name]
        assert values[f"recipe_box_{name}"].value == pytest.approx(score, abs=1e-12), name
    low, high = values["recipe_box_accuracy"].ci95
    assert low < values["recipe_box_accuracy"].value < high


def test_the_whole_scan_adds_what_the_box_left_out_as_no_tumour(
    material: folds.Material, rerun: keras_recipe.Rerun
) -> None:
    truth, found = all_voxels(material)
    left = np.sum(list(OUTSIDE.values()), axis=0) // 64
    more = np.repeat(range(4), left)
    nothing = np.eye(4, dtype=np.float32)[np.zeros(len(more), int)]
    counts = keras_metrics.pooled_counts(
        np.concatenate([truth, more]), np.concatenate([found, nothing])
    )
    expected = keras_metrics.counted_scores(counts)
    values = by_name(rerun)
    for name in keras_recipe.RULES:
        if name != "iou":
            score = values[f"recipe_scan_{name}"].value
            assert score == pytest.approx(expected[name], abs=1e-12), name
    assert "recipe_scan_iou" not in values, "nobody asked the network outside of the box"
    most, least = (values[f"recipe_scan_iou_{end}"].value for end in ("most", "least"))
    assert most == pytest.approx(expected["mean_iou"], abs=1e-12)
    modest = np.concatenate([found, 0.999 * nothing + 0.00025])
    unsure = keras_metrics.pooled_counts(np.concatenate([truth, more]), modest.astype(np.float32))
    assert least == pytest.approx(keras_metrics.counted_scores(unsure)["mean_iou"], abs=1e-12)
    assert least < most


def test_no_tumour_everywhere_scores_its_share(rerun: keras_recipe.Rerun) -> None:
    values = by_name(rerun)
    counts = np.stack([np.bincount(labels_of(one).ravel(), minlength=4) for one in PATIENTS])
    left = np.array(list(OUTSIDE.values())) / 64
    for frame, truth in (("box", counts), ("scan", counts + left)):
        share = truth[:, 0].sum() / truth.sum()
        expected = keras_metrics.constant_scores(share)
        assert values[f"constant_{frame}_accuracy"].value == pytest.approx(share)
        assert values[f"constant_{frame}_iou"].value == pytest.approx(expected["mean_iou"])
        for name in ("precision", "recall", "f1", "specificity"):
            assert values[f"constant_{frame}_{name}"].value == pytest.approx(expected[name])
    assert values["constant_scan_accuracy"].value > values["constant_box_accuracy"].value


def test_dice_is_of_the_same_predictions(
    material: folds.Material, rerun: keras_recipe.Rerun
) -> None:
    table = keras_recipe.dice(rerun, material.study)
    truth, found = all_voxels(material)
    first = slice(0, np.prod(SHAPE))
    matrix = metrics.confusion_matrix(truth[first], found[first].argmax(1))
    row = table[(table["patient_id"] == "B") & (table["region"] == "WT")].iloc[0]
    assert row["dice"] == metrics.dice(matrix, (1, 2, 3), "brats")
    values = by_name(rerun)
    whole = table[table["region"] == "WT"]["dice"]
    assert values["recipe_dice_WT"].value == pytest.approx(whole.mean())


def test_right_and_sure_everywhere_is_perfect(
    material: folds.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    def oracle(_: object, case: StoredCase) -> np.ndarray:
        return np.moveaxis(np.eye(4, dtype=np.float32)[case.labels], -1, 0).copy()

    monkeypatch.setattr(predict, "unrounded", oracle)
    values = by_name(keras_recipe.rerun(material))
    box = [f"box_{score}" for score in keras_recipe.RULES]
    for name in (*box, "dice_mean"):
        assert values[f"recipe_{name}"].value == 1, name
    # what the box cuts off is missed in the whole scan
    assert values["recipe_scan_recall"].value < 1


def test_sure_of_nothing_keras_says_three_eighths(
    material: folds.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    def modest(_: object, case: StoredCase) -> np.ndarray:
        one_hot = np.moveaxis(np.eye(4, dtype=np.float32)[case.labels], -1, 0)
        return np.ascontiguousarray(0.1 + 0.6 * one_hot, dtype=np.float32)

    monkeypatch.setattr(predict, "unrounded", modest)
    values = by_name(keras_recipe.rerun(material))
    assert values["recipe_box_accuracy"].value == 1
    assert values["recipe_box_iou"].value == 3 / 8


def test_scores_as_printed_pass_the_readings_that_are_theirs(rerun: keras_recipe.Rerun) -> None:
    for frame in keras_recipe.FRAMES:
        found = contradictions.examine(keras_recipe.as_printed(rerun, frame))
        theirs = [one for one in found if one.reading in ("pooled", "thresholded")]
        assert theirs and all(one.verdict == "possible" for one in theirs)


def test_the_networks_are_those_of_the_stored_predictions(
    material: folds.Material, rerun: keras_recipe.Rerun
) -> None:
    assert keras_recipe.agreement(material, rerun) > 0.99
    other = tuple(replace(of, confusion=of.confusion[:, ::-1]) for of in rerun)
    assert keras_recipe.agreement(material, other) < 0.9


def test_the_recipe_is_told_and_a_study_without_it_says_so(material: folds.Material) -> None:
    said = keras_recipe.told(material)
    assert "flair and t1ce, cross-entropy loss, dropout 0.2, Adam at 0.001" in said
    without = changed(material, {})
    assert keras_recipe.told(without).startswith("**Not run.** The study `smoke` has no variant")
    found = keras_recipe.rerun(without)
    assert found == () and keras_recipe.values(found, without.study) == []
    assert keras_recipe.dice(found, without.study).empty
    assert keras_recipe.as_printed(found) == contradictions.PrintedScores()
    assert keras_recipe.agreement(without, found) == 1


def test_pixels_of_boxes_are_not_scored(material: folds.Material) -> None:
    data = material.study.data.model_copy(update={"extent": "boxes"})
    run = replace(material.run, study=material.study.model_copy(update={"data": data}))
    boxes = replace(material, run=run)
    assert keras_recipe.rerun(boxes) == ()
    assert "not applicable to boxes: such scores hang on" in keras_recipe.told(boxes)


def test_a_recipe_that_was_not_trained_is_an_error(
    material: folds.Material, tmp_path: Path
) -> None:
    elsewhere = replace(material, run=replace(material.run, work_dir=tmp_path))
    with pytest.raises(RecordError, match="this training is missing"):
        keras_recipe.rerun(elsewhere)


def test_a_recipe_of_other_settings_is_refused(material: folds.Material) -> None:
    own = {**material.study.variants[keras_recipe.NOTEBOOK][keras_recipe.VARIANT], "epochs": 9}
    with pytest.raises(MismatchError, match="trained with other settings"):
        keras_recipe.rerun(changed(material, {keras_recipe.NOTEBOOK: {keras_recipe.VARIANT: own}}))
