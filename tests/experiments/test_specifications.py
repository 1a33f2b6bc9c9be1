"""Every combination is fitted once, on planted slices whose right answers are known."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from gliomalib import settings
from gliomalib.experiments import leakage_splits, specifications
from gliomalib.experiments.leakage_splits import Pool
from gliomalib.experiments.specifications import CHOICES, Answers, Specification, Views
from gliomalib.fusion import slices
from gliomalib.pipeline import folds
from gliomalib.schema import DataError, SliceSet, Split, StoredCase, Volume
from tests import planted_branches
from tests.planted_branches import grid

STUDY = settings.load("smoke")
PLAIN = specifications.specifications(STUDY)[0]
SITES = (Split(0, ("A", "B"), (), ("C", "D", "E")), Split(1, ("C", "D", "E"), (), ("A", "B")))


def views_of(n_patients: int, depth: int, turns: int = 2, lowest: int = 0) -> Views:
    """Return noise with a look of its own for each patient, and one class per patient."""
    rng = np.random.default_rng(5)
    place = np.repeat(np.arange(n_patients), depth)
    names = tuple(f"P{number:02d}" for number in place)
    z = np.tile(np.arange(depth), n_patients)
    blank = np.zeros((len(place), 3, 1, 1), dtype=np.float16)
    looks = rng.random((n_patients, 48))[place] + rng.normal(0, 0.05, (len(place), 48))
    classes = rng.permuted(lowest + np.arange(n_patients) % (4 - lowest))[place]
    study = settings.load("smoke", {"leakage.repeats": turns})
    pool = Pool(SliceSet(blank, classes, names, z), 0, dict.fromkeys(names, 3), "planted", study)
    features = {image: looks.astype(np.float32) for image in CHOICES["image"]}
    keys = product(CHOICES["label"], CHOICES["least"])
    return Views(pool, features, dict.fromkeys(keys, classes))


def right(views: Views, split: str, turns: int) -> float:
    rows = specifications.rows_of(views, "one voxel", "all")
    plan, hits = replace(PLAIN, split=split), []
    for turn in range(turns):
        dealt = specifications.deal(views.pool, turn)[split]
        hits.append(specifications.stages(views, plan, rows, dealt, turn)[-1].mean())
    return float(np.mean(hits))


def test_fingerprints_are_all_that_a_split_by_slice_needs() -> None:
    views = views_of(40, 8, turns=5)
    assert right(views, "slice", 2) > 0.98 and right(views, "years", 2) > 0.9
    # nothing in the images of one patient tells the class of another one
    assert right(views, "patient", 5) == pytest.approx(0.25, abs=0.12)


def test_splits_have_the_training_sets_that_they_make() -> None:
    views = views_of(20, 6)
    for turn in range(3):
        dealt = specifications.deal(views.pool, turn)
        assert not leakage_splits.in_both(dealt["patient"], views.pool.slices.patients)
        sizes = {split: len(rows.train) for split, rows in dealt.items()}
        assert sizes["patient"] == sizes["slice"] == 96 < sizes["years"]
        for rows in dealt.values():
            assert len(set(rows.train)) == len(rows.train)
            assert len(set(rows.test)) == len(rows.test)


def test_slices_without_tumour_can_be_left_out() -> None:
    views = views_of(8, 4)
    classes = views.classes["dominant", "one voxel"]
    tumour = specifications.rows_of(views, "one voxel", "tumour")
    assert tumour.tolist() == np.flatnonzero(classes).tolist() != []
    assert len(specifications.rows_of(views, "one voxel", "all")) == 32 > len(tumour)


def test_every_combination_stands_there_once() -> None:
    every = specifications.specifications(STUDY)
    assert len(set(every)) == len(every) == 3 * 3 * 2 * 2 * 4
    assert Specification("patient", "dominant", "one voxel", "all", "probabilities") == PLAIN
    of_masks = specifications.specifications(settings.load("smoke-masks"))
    assert {plan.image for plan in of_masks} == {"truth"}, "there is nothing else to see"
    assert len(of_masks) * 4 == len(every)
    assert tuple(CHOICES["label"]) == tuple(slices.LABEL_RULES)
    assert list(specifications.TITLES) == list(CHOICES)
    assert set(slices.LEAST_MM2) == set(CHOICES["least"])


@pytest.fixture(scope="module")
def answers() -> Iterator[Answers]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(specifications, "TREES", 4)
        patch.setattr(specifications, "STAGE", 2)
        yield specifications.measure(views_of(8, 4, lowest=1))


def test_counts_are_of_patients_whom_every_split_tested(answers: Answers) -> None:
    assert answers.asked.shape == (144, len(answers.patients))
    assert answers.right.shape == (144, 2, len(answers.patients))
    assert (answers.asked > 0).all() and 1 <= len(answers.patients) < 8
    assert len(answers.patients) + answers.left_out == 8, "who is left out is counted"
    assert (answers.right <= answers.asked[:, None]).all()
    by_patient = [
        plan.split == "patient" and plan.slices == "all" for plan in answers.specifications
    ]
    # two turns of a fifth of eight, so a patient is tested once or never, with all slices
    assert np.unique(answers.asked[by_patient]).tolist() == [4]


def test_the_best_stage_is_at_least_as_good_as_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forest that gets worse: only who looks at the test slices stops in time."""
    worse = np.array([[True] * 4, [False] * 4])

    def stages(views: Views, plan: Specification, rows: object, dealt: object, turn: int) -> object:
        return worse[:, :1].repeat(len(dealt.test), axis=1)  # type: ignore[attr-defined]

    monkeypatch.setattr(specifications, "stages", stages)
    found = specifications.measure(views_of(8, 4, lowest=1))
    assert (found.right[:, 0] == 0).all()
    assert (found.right[:, 1] == found.asked).all()


def case_of(spacing: float = 2.0) -> StoredCase:
    """Return two slices of brain: three voxels of edema, and twelve voxels of three classes."""
    labels = np.zeros((8, 8, 3), dtype=np.uint8)
    labels[:3, 0, 1] = 2
    labels[:6, :2, 2] = 1
    labels[:2, 0, 2], labels[2, 0, 2] = 2, 3
    images = np.ones((4, 8, 8, 3), dtype=np.float16)
    place = replace(grid("A", labels.shape), spacing_mm=(spacing, spacing, 3.0))
    return StoredCase(place, images, labels)


def test_a_little_tumour_counts_where_one_voxel_does() -> None:
    assert slices.classes_of(case_of(), "dominant", 0).tolist() == [0, 2, 1]
    assert slices.classes_of(case_of(), "enhancing_first", 0).tolist() == [0, 2, 3]
    # three voxels of 4 mm² are 12 mm², and of 16 mm² they are 48 mm²
    assert slices.classes_of(case_of(), "dominant", 40).tolist() == [0, 0, 1]
    assert slices.classes_of(case_of(4.0), "dominant", 40).tolist() == [0, 2, 1]


def test_the_mri_is_seen_inside_of_the_fused_tumour_only() -> None:
    case, study = case_of(), settings.load("smoke")
    one_hot = np.moveaxis(np.eye(4)[case.labels], -1, 0).astype(np.float16)
    fused = Volume(one_hot, case.grid)
    masked = specifications.thumbnails(case, fused, "mri_masked", study)
    whole = specifications.thumbnails(case, fused, "mri", study)
    assert masked.shape == whole.shape == (3, 3 * 16 * 16)
    assert whole.mean() == 1 and masked[0].max() == 0 and 0 < masked[2].mean() < 0.5
    maps = specifications.thumbnails(case, fused, "probabilities", study)
    np.testing.assert_array_equal(maps, specifications.thumbnails(case, fused, "truth", study))


def test_patients_are_seen_by_the_networks_that_did_not_learn_from_them(tmp_path: Path) -> None:
    def volume(network: str, patient: str, fold: int) -> Volume:
        # the fold is written into every voxel: 0 says no tumour, 1 says edema
        chosen = np.eye(4)[2 * fold] * np.ones((*planted_branches.SHAPE, 4))
        return Volume(np.moveaxis(chosen, -1, 0).astype(np.float16), grid(patient))

    made = planted_branches.material(
        tmp_path, "15_specification_curve", SITES, planted_branches.labels_of, volume
    )
    pool = pool_of(made, "ABCDE")
    views = specifications.look(made, pool)
    edema = views.features["probabilities"].reshape(-1, 3, 256)[:, 1].mean(axis=1)
    held_out = {name: edema[np.array(views.pool.slices.patients) == name] for name in "ABCDE"}
    assert all((held_out[name] == 1).all() for name in "AB")
    assert all((held_out[name] == 0).all() for name in "CDE")
    truth = slices.slice_classes(planted_branches.labels_of("B"), "dominant")
    rows = np.array(views.pool.slices.patients) == "B"
    assert views.classes["dominant", "one voxel"][rows].tolist() == truth[1:].tolist()
    # each slice of the masks beside its class: edema is the second channel
    edema = views.features["truth"].reshape(-1, 3, 256)[rows, 1].any(axis=1)
    shown = (planted_branches.labels_of("B") == 2).any(axis=(0, 1))
    assert edema.tolist() == shown[1:].tolist() and len(set(shown)) == 2


def pool_of(made: folds.Material, patients: str) -> Pool:
    """Return the slices of patients but for the lowest one of each."""
    depth = planted_branches.SHAPE[2]
    names = tuple(name for name in patients for _ in range(1, depth))
    z = np.tile(np.arange(1, depth), len(patients))
    images = np.zeros((len(names), 3, 2, 2), dtype=np.float16)
    found = SliceSet(images, np.zeros(len(names), dtype=np.int64), names, z)
    return Pool(found, len(patients), dict.fromkeys(names, 3), "planted", made.study)


def test_without_a_patient_whom_all_tested_there_is_no_curve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(specifications, "TREES", 1)
    monkeypatch.setattr(specifications, "STAGE", 1)
    # a patient without tumour is in no specification that takes slices with tumour only
    with pytest.raises(DataError, match="take more repeats"):
        specifications.measure(views_of(8, 4, turns=1))
