"""Planted failures of a study are found in its held-out patients, and sound ones raise no alarm."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from gliomalib import records, settings
from gliomalib.experiments import failures
from gliomalib.pipeline import folds
from gliomalib.schema import Split, Value, Volume
from gliomalib.scoring import metrics
from tests import planted_branches

SHAPE = (20, 18, 14)
PATIENTS = tuple("ABCDEFGHIJ")
FIVE = tuple("ABCDE")
SPLITS = (Split(0, FIVE, (), tuple("FGH"), ("I",)), Split(1, tuple("FGH"), (), FIVE, ("I",)))
Change = Callable[[Volume], Volume]


def labels_of(patient: str) -> np.ndarray:
    """Return a tumour of three shells, another place and size for each patient."""
    number = PATIENTS.index(patient)
    centre = np.array([8 + number % 3, 7 + number % 2, 6 + number % 2])
    distance = np.linalg.norm(np.indices(SHAPE).T - centre, axis=-1).T
    found = np.zeros(SHAPE, dtype=np.uint8)
    for radius, label in ((5 + 0.1 * number, 2), (3.6, 3), (2.0, 1)):
        found[distance < radius] = label
    return found


def volume_of(patient: str, seed: int, blur: float) -> Volume:
    """Return the blurred truth with smooth errors of the network's own."""
    rng = np.random.default_rng((seed, PATIENTS.index(patient)))
    scores = []
    for label in range(4):
        seen = ndimage.gaussian_filter((labels_of(patient) == label).astype(float), blur)
        error = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1)
        scores.append(np.log(seen + 1e-3) + 0.7 * error / error.std())
    powers, grid = np.exp(scores), planted_branches.grid(patient, SHAPE)
    return Volume((powers / powers.sum(axis=0)).astype(np.float16), grid)


def study(root: Path, **changes: Change) -> folds.Material:
    """Return a study of two folds whose branches are changed as ``changes`` says by name."""

    def predicted(branch: str, patient: str, fold: int) -> Volume:
        made = volume_of(patient, 1, 0.5) if branch == "unet2d" else volume_of(patient, 2, 0.7)
        return changes[branch](made) if branch in changes else made

    return planted_branches.material(root, "05_fusion", SPLITS, labels_of, predicted)


def to_edema(volume: Volume) -> Volume:
    values = volume.probabilities.copy()
    values[2] += values[3]
    values[3] = 0
    return replace(volume, probabilities=values)


def moved(volume: Volume) -> Volume:
    return replace(volume, probabilities=np.roll(volume.probabilities, 2, axis=3))


def blind(volume: Volume) -> Volume:
    values = np.zeros_like(volume.probabilities)
    values[0] = 1
    return replace(volume, probabilities=values)


def by_name(found: failures.Diagnosis) -> dict[str, Value]:
    assert all(one.rule and one.n_seeds == 1 for one in found.values)
    return {one.name: one for one in found.values}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> folds.Material:
    return study(tmp_path_factory.mktemp("sound"))


def test_counts_are_those_of_every_held_out_patient_once(sound: folds.Material) -> None:
    counts = failures.voxel_confusions(sound, "unet2d")
    assert counts.shape == (8, 4, 4)
    assert (counts.sum(axis=(1, 2)) == np.prod(SHAPE)).all()
    volumes = [volume_of(patient, 1, 0.5).probabilities.argmax(axis=0) for patient in "FGH"]
    for one, patient, labels in zip(counts, "FGH", volumes, strict=False):
        assert (one == metrics.confusion_matrix(labels_of(patient), labels)).all()


def test_a_sound_network_has_lost_no_class(sound: folds.Material) -> None:
    counts = failures.voxel_confusions(sound, "unet3d")
    found = failures.class_collapse(counts, sound.study, "voxels")
    assert found.verdict == "not found" and by_name(found)["class_collapse"].value == 0
    assert found.sentence.startswith("Class collapse of voxels: not found; no class is lost in 8")
    assert found.sentence in by_name(found)["class_collapse"].rule
    assert found.table["true share"].sum() == pytest.approx(1)
    assert found.table["predicted share"].sum() == pytest.approx(1)
    assert by_name(found)["collapse_to_edema"].value < 0.3


def test_a_class_that_became_edema_is_found_and_named(tmp_path: Path) -> None:
    material = study(tmp_path, unet3d=to_edema)
    counts = failures.voxel_confusions(material, "unet3d")
    found = failures.class_collapse(counts, material.study, "voxels")
    assert found.verdict == "found" and by_name(found)["class_collapse"].value == 1
    assert "lost in 8 patients: enhancing tumour" in found.sentence
    fate = found.table.set_index("class").loc["enhancing tumour"]
    assert fate["predicted share"] == 0 and fate["most missed became"] == "edema"
    assert fate["recall"] == fate["high"] == 0 and fate["verdict"] == "found"


def test_edema_share_by_hand() -> None:
    counts = np.zeros((3, 4, 4), dtype=np.int64)
    counts[0, 1, 2], counts[0, 3, 3], counts[1, 3, 2] = 3, 5, 2
    counts[2, 2, 2] = 100  # has no other tumour: tells nothing
    found = failures.to_edema(counts, settings.load("smoke"), "slices")
    assert found.value == pytest.approx(5 / 10) and found.n_patients == 2
    low, high = found.ci95 or (1, 0)
    assert low == pytest.approx(3 / 8) and high == pytest.approx(1)
    nobody = failures.to_edema(counts[2:], settings.load("smoke"), "slices")
    assert math.isnan(nobody.value) and "no patient has any" in nobody.rule


def test_few_patients_give_no_number(sound: folds.Material) -> None:
    counts = failures.voxel_confusions(sound, "unet3d")[:2]
    found = failures.class_collapse(counts, sound.study, "voxels")
    assert found.verdict == "cannot tell"
    assert math.isnan(by_name(found)["class_collapse"].value)
    assert "Class collapse of voxels: cannot tell; patients are too few" in found.sentence


def test_sound_branches_have_neither_rings_nor_a_shift(sound: folds.Material) -> None:
    rings, shift = failures.ring_artefacts(sound), failures.misalignment(sound)
    assert (rings.verdict, shift.verdict) == ("not found", "not found")
    assert by_name(rings)["ring_artefacts"].value == by_name(shift)["misalignment"].value == 0
    low, high = by_name(rings)["ring_excess"].ci95 or (1, 0)
    assert low <= by_name(rings)["ring_excess"].value <= high < 0.01
    for table in (rings.table, shift.table):
        assert sorted(table["patient_id"]) == list("ABCDEFGH")
    assert by_name(shift)["mean_branch_shift"].value == 0


def test_rings_that_the_fusion_makes_are_found(tmp_path: Path) -> None:
    # both branches think of enhancing tumour second, where only one of them sees edema
    def second(own: int, volume: Volume) -> Volume:
        shell = ndimage.binary_dilation(volume.probabilities.argmax(axis=0) > 0, iterations=1)
        values = volume.probabilities.copy()
        chosen = shell & (np.indices(SHAPE).sum(axis=0) % 2 == own)
        other = shell & ~chosen
        values[:, chosen] = np.array([0.1, 0, 0.5, 0.4], np.float16)[:, None]
        values[:, other] = np.array([0.5, 0, 0.1, 0.4], np.float16)[:, None]
        return replace(volume, probabilities=values)

    material = study(tmp_path, unet2d=partial(second, 0), unet3d=partial(second, 1))
    found = failures.ring_artefacts(material)
    assert found.verdict == "found"
    values = by_name(found)
    assert values["ring_artefacts"].value == 1 and values["ring_artefacts"].n_patients == 8
    assert values["ring_ratio"].value > 1 and (values["ring_ratio"].ci95 or (0, 0))[0] > 1
    assert found.table["new between"].sum() > found.table["new beside"].sum()


def test_planted_rings_are_found_where_sound_branches_make_none(sound: folds.Material) -> None:
    found = failures.ring_artefacts(sound, planted=True)
    assert found.verdict == "found" and found.sentence.startswith("Planted rings: found")
    values = by_name(found)
    assert set(values) == {"planted_ring_artefacts", "planted_ring_excess", "planted_ring_ratio"}
    assert values["planted_ring_excess"].value > 0.3


@pytest.mark.parametrize(
    ("planted", "possible", "found"), [(1, True, True), (0, True, False), (math.nan, False, False)]
)
def test_a_planted_collapse_must_be_found(
    tmp_path: Path, planted: float, possible: bool, found: bool
) -> None:
    run = planted_branches.begin(tmp_path, "09_loss_ablations")
    for variant, number in (("", 0), ("collapse", planted)):
        names = {"variant": variant} if variant else {}
        of_network = planted_branches.begin(tmp_path, "03_train_unet2d", **names)
        values = (Value("class_collapse", number, rule="planted"),)
        records.finish(of_network, records.NotebookResult(values=values))
    control = failures.planted_collapse(run)
    assert (control.possible, control.found) == (possible, found)
    assert "class_weights [1, 1, 1, 0]" in control.sentence and "own: not found" in control.sentence
    bare = replace(run, study=run.study.model_copy(update={"variants": {}}))
    assert not failures.planted_collapse(bare).possible


def test_a_shifted_branch_is_found_with_its_length(tmp_path: Path) -> None:
    found = failures.misalignment(study(tmp_path, unet3d=moved))
    assert found.verdict == "found" and by_name(found)["misalignment"].value == 1
    assert by_name(found)["mean_branch_shift"].value == pytest.approx(2)
    assert by_name(found)["mean_branch_shift"].unit == "voxels"
    assert (found.table["z, voxels"] == 2).all() and (found.table["x, voxels"] == 0).all()


def test_the_planted_shift_is_found_and_one_that_is_not_there_fails_the_control(
    sound: folds.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = failures.planted_shift(sound)
    assert control.possible and control.found
    assert "estimated as (2, 0, 0)" in control.sentence
    monkeypatch.setattr(failures, "PLANTED", 0)
    control = failures.planted_shift(sound)
    assert control.possible and not control.found


def test_no_shift_is_planted_in_a_tumour_that_a_box_cuts_off(tmp_path: Path) -> None:
    def cut(volume: Volume) -> Volume:
        # from the middle of the tumour on, which then fills the first slices
        return replace(volume, probabilities=np.roll(volume.probabilities, -9, axis=1))

    material = study(tmp_path, unet2d=cut, unet3d=cut)
    control = failures.planted_shift(material)
    assert not control.possible
    assert "Dice of 0.00 at best where they do not reach the edge" in control.sentence


def test_without_a_tumour_nothing_can_be_told_and_nothing_breaks(tmp_path: Path) -> None:
    material = study(tmp_path, unet2d=blind, unet3d=blind)
    control = failures.planted_shift(material)
    assert not control.possible and "could not be planted" in control.sentence
    rings, shift = failures.ring_artefacts(material), failures.misalignment(material)
    assert rings.verdict == shift.verdict == "cannot tell"
    assert set(by_name(rings)) == {"ring_artefacts", "ring_excess", "ring_ratio"}
    assert set(by_name(shift)) == {"misalignment", "mean_branch_shift"}
    for value in (*rings.values, *shift.values):
        assert math.isnan(value.value) and value.n_patients == 0


def test_what_cannot_be_told_is_kept_in_the_record_as_no_number(tmp_path: Path) -> None:
    material = study(tmp_path, unet2d=blind)
    values = failures.misalignment(material).values
    record = records.finish(material.run, records.NotebookResult(values=values))
    path = records.record_path(material.run.report_dir, "05_fusion")
    again = {one.name: one for one in records.read(path).values}
    assert record.values[0].name in again
    assert math.isnan(again["misalignment"].value) and again["misalignment"].ci95 is None
