"""Each planted failure is found, and twenty clean phantoms give no alarm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from gliomalib.fusion import average
from gliomalib.phantoms.patient import PhantomPlan, make_patient
from gliomalib.schema import Grid, MismatchError, StoredCase, Volume
from gliomalib.scoring import metrics, signatures
from gliomalib.scoring.signatures import BranchShift, RingCounts

NAMES = ("no tumour", "necrotic core", "edema", "enhancing tumour")
BLUR_2D, BLUR_3D = (0.7, 0.7, 0.3), (0.9, 0.9, 0.9)
DRAWS = 1000


@dataclass(frozen=True)
class Patient:
    """A phantom with what two simulated networks say of it."""

    case: StoredCase
    p2d: Volume
    p3d: Volume

    @cached_property
    def fused(self) -> Volume:
        """The paper's fusion."""
        return average.weighted_average(self.p2d, self.p3d, 0.6)


def grid_of(name: str, shape: Any) -> Grid:
    """Return a grid of 4 mm voxels."""
    return Grid(name, shape, (4.0, 4.0, 4.0), (0, 0, 0), ((4.0,),))


def case_of(labels: Any, name: str) -> StoredCase:
    """Return a stored case; its images are looked at by nobody."""
    images = np.zeros((4, *labels.shape), np.float16)
    return StoredCase(grid_of(name, labels.shape), images, labels.astype(np.uint8))


def network(case: StoredCase, seed: int, blur: Any, noise: Any) -> Volume:
    """Probabilities of a network: the blurred truth with smooth errors of its own."""
    generator, shape = np.random.default_rng(seed), case.labels.shape
    scores = []
    for label in range(4):
        seen = ndimage.gaussian_filter((case.labels == label).astype(float), blur)
        error = ndimage.gaussian_filter(generator.normal(size=shape), noise)
        scores.append(np.log(seen + 1e-3) + 0.8 * error / error.std())
    powers = np.exp(scores)
    return Volume((powers / powers.sum(axis=0)).astype(np.float16), case.grid)


@pytest.fixture(scope="module")
def cohort() -> list[Patient]:
    """Twenty clean phantoms; the networks differ in sharpness and err on their own."""
    found = []
    for number in range(1, 21):
        phantom = make_patient(PhantomPlan(seed=3, spacing_mm=4.0, site="A"), number)
        case = case_of(phantom.labels, f"phantom-{number}")
        flat = network(case, number, BLUR_2D, (1, 1, 0))
        found.append(Patient(case, flat, network(case, 1000 + number, BLUR_3D, (1, 1, 1))))
    return found


def classes(volume: Volume) -> Any:
    """Return the most probable class of each voxel."""
    return volume.probabilities.argmax(axis=0)


def changed(volume: Volume, where: Any, values: Sequence[float]) -> Volume:
    """Return a volume with these probabilities in some voxels."""
    probabilities = volume.probabilities.copy()
    probabilities[:, where] = np.array(values, np.float16)[:, None]
    return replace(volume, probabilities=probabilities)


# --- class collapse


def confusions(cohort: list[Patient], change: Callable[[Any], Any] = lambda found: found) -> Any:
    """Return the matrices of the fused volumes after ``change`` of the predicted labels."""
    return np.stack(
        [metrics.confusion_matrix(one.case.labels, change(classes(one.fused))) for one in cohort]
    )


def test_clean_phantoms_have_no_collapse(cohort: list[Patient]) -> None:
    found = signatures.class_collapse(confusions(cohort), 0, DRAWS)
    assert found.verdict == "not found"
    assert [fate.name for fate in found.classes] == list(NAMES)
    assert [fate.verdict for fate in found.classes] == ["not found"] * 4
    assert "No class is lost in 20 patients" in found.sentence


def test_a_collapse_to_edema_is_found(cohort: list[Patient]) -> None:
    generator = np.random.default_rng(0)

    def to_edema(labels: Any) -> Any:
        stays = generator.random(labels.shape) < 0.02
        return np.where(np.isin(labels, (1, 3)) & ~stays, 2, labels)

    found = signatures.class_collapse(confusions(cohort, to_edema), 0, DRAWS)
    fates = {fate.name: fate for fate in found.classes}
    assert found.verdict == "found"
    for name in ("necrotic core", "enhancing tumour"):
        assert fates[name].verdict == "found"
        assert fates[name].taken_by == "edema"
        assert fates[name].taken > 0.8
        assert f"{name} (recall" in found.sentence
    assert fates["edema"].verdict == fates["no tumour"].verdict == "not found"
    assert "became edema" in found.sentence


def test_a_network_that_says_no_tumour_has_lost_three_classes(cohort: list[Patient]) -> None:
    found = signatures.class_collapse(confusions(cohort, np.zeros_like), 0, DRAWS)
    lost = [fate for fate in found.classes if fate.verdict == "found"]
    assert [fate.name for fate in lost] == list(NAMES[1:])
    assert {fate.taken_by for fate in lost} == {"no tumour"}
    assert all(fate.taken == 1.0 for fate in lost)


def matrix(recall: int, extra: int = 0) -> Any:
    """100 voxels of each class; of enhancing tumour ``recall`` are found, the rest is edema.

    ``extra`` voxels of edema are called enhancing.
    """
    found = np.diag([1000, 100, 100 - extra, recall])
    found[3, 2], found[2, 3] = 100 - recall, extra
    return found


@pytest.mark.parametrize(
    ("recall", "extra", "verdict"),
    [
        (4, 0, "found"),
        (4, 50, "found"),
        (9, 0, "found"),
        (6, 50, "not found"),
        (11, 0, "not found"),
    ],
)
def test_the_rule_is_recall_below_5_or_frequency_below_10_percent(
    recall: int, extra: int, verdict: str
) -> None:
    found = signatures.class_collapse(np.stack([matrix(recall, extra)] * 8), 0, 200)
    assert found.verdict == found.classes[3].verdict == verdict
    fate = found.classes[3]
    assert fate.recall is not None
    assert fate.frequency is not None
    assert fate.recall.value == pytest.approx(recall / 100)
    assert fate.frequency.value == pytest.approx((recall + extra) / 100)
    assert fate.share == pytest.approx(1 / 3)
    assert (fate.taken_by, fate.taken) == ("edema", pytest.approx(1 - recall / 100))


def test_one_odd_patient_gives_no_alarm() -> None:
    fine = [matrix(90)] * 15
    for weight in (1, 30, 1000):
        found = signatures.class_collapse(np.stack([*fine, weight * matrix(0)]), 0, DRAWS)
        assert found.verdict != "found"
    # the other way round one good patient does not hide that fifteen have lost it
    lost = signatures.class_collapse(np.stack([*[matrix(0)] * 15, matrix(30)]), 0, DRAWS)
    assert lost.classes[3].recall is not None
    assert lost.classes[3].recall.value < 0.05
    assert lost.verdict != "not found"


def test_few_patients_cannot_tell() -> None:
    assert signatures.class_collapse(np.stack([matrix(0)] * 5), 0, 200).verdict == "found"
    few = signatures.class_collapse(np.stack([matrix(0)] * 4), 0, 200)
    assert few.verdict == "cannot tell"
    assert "too few" in few.sentence
    # four of nine patients have the class: nothing can be said of it, whatever the others say
    without = np.diag([1000, 100, 100, 0])
    mixed = signatures.class_collapse(np.stack([*[matrix(90)] * 4, *[without] * 5]), 0, 200)
    assert (mixed.verdict, mixed.classes[3].patients) == ("cannot tell", 4)
    assert mixed.classes[2].verdict == "not found"


def test_a_class_that_hardly_occurs_is_not_judged() -> None:
    rare = np.diag([10_000, 100, 100, 0])
    rare[3, 2] = 4
    found = signatures.class_collapse(np.stack([rare] * 8), 0, 200)
    assert (found.verdict, found.classes[3].verdict) == ("not found", None)
    rare[3, 2] = 5  # of 205 voxels of tumour: 2.4 %, though 0.05 % of all
    assert signatures.class_collapse(np.stack([rare] * 8), 0, 200).verdict == "found"
    never = signatures.class_collapse(np.stack([np.diag([9, 9, 9, 0])] * 8), 0, 200)
    assert (never.classes[3].patients, never.classes[3].recall) == (0, None)
    nothing = signatures.class_collapse(np.zeros((8, 4, 4), int), 0, 200)
    assert nothing.verdict == "cannot tell"
    assert "every class is too small" in nothing.sentence


@pytest.mark.parametrize("wrong", [np.zeros((4, 4)), np.zeros((0, 4, 4)), np.full((9, 4, 4), -1)])
def test_what_is_no_confusion_of_patients_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"\(patients, 4, 4\)"):
        signatures.class_collapse(wrong, 0)


# --- ring artefacts


def shell_of(one: Patient) -> Any:
    """Return where one branch alone sees tumour, and there is no enhancing tumour."""
    return ((classes(one.p2d) > 0) != (classes(one.p3d) > 0)) & (one.case.labels != 3)


def counts(cohort: list[Patient], change: Callable[[Patient], Volume]) -> list[RingCounts]:
    """Return the counts after ``change`` has made the fused volume of each patient."""
    return [signatures.ring_counts(one.case, change(one), one.p2d, one.p3d) for one in cohort]


def spoilt(one: Patient, where: Any, share: float) -> Volume:
    """Return the fused volume with enhancing tumour in a share of some voxels."""
    drawn = np.random.default_rng(one.case.labels.sum()).random(where.shape) < share
    return changed(one.fused, where & drawn, [0.1, 0.1, 0.2, 0.6])


def test_clean_phantoms_have_no_rings(cohort: list[Patient]) -> None:
    found = signatures.ring_artefacts(counts(cohort, lambda one: one.fused), 0, DRAWS)
    assert found.verdict == "not found"
    assert found.excess is not None
    assert found.excess.n == 20
    assert found.excess.ci95 is not None
    assert found.excess.ci95[1] < 0.004
    assert sum(one.shell for one in found.patients) > 2000


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.8])
def test_no_weight_of_the_fusion_makes_rings_of_its_own(
    cohort: list[Patient], alpha: float
) -> None:
    def fused(one: Patient) -> Volume:
        return average.weighted_average(one.p2d, one.p3d, alpha)

    assert signatures.ring_artefacts(counts(cohort, fused), 0, DRAWS).verdict == "not found"


def test_a_ring_in_the_fused_volume_is_found(cohort: list[Patient]) -> None:
    rings = counts(cohort, lambda one: spoilt(one, shell_of(one), 0.05))
    found = signatures.ring_artefacts(rings, 0, DRAWS)
    assert found.verdict == "found"
    assert found.excess is not None
    assert 0.03 < found.excess.value < 0.06
    assert found.ratio is not None
    assert found.ratio.ci95 is not None
    assert found.ratio.ci95[0] > 2
    logs = [np.log(one.ratio) for one in rings]
    assert found.ratio.value == pytest.approx(np.exp(np.mean(logs)))
    assert found.excess.value == pytest.approx(np.mean([one.excess for one in rings]))


def test_a_ring_that_the_fusion_makes_by_itself_is_found(cohort: list[Patient]) -> None:
    # enhancing tumour is what both branches think of second, so their sum puts it first
    patients = []
    for one in cohort:
        shell, flat = shell_of(one), classes(one.p2d) > 0
        tumour, none = [0.1, 0.0, 0.5, 0.4], [0.5, 0.0, 0.1, 0.4]
        p2d = changed(changed(one.p2d, shell & flat, tumour), shell & ~flat, none)
        p3d = changed(changed(one.p3d, shell & ~flat, tumour), shell & flat, none)
        patients.append(replace(one, p2d=p2d, p3d=p3d))
    rings = counts(patients, lambda one: one.fused)
    assert all((one.p2d, one.p3d, one.new) == (0, 0, one.shell) for one in rings)
    assert signatures.ring_artefacts(rings, 0, DRAWS).verdict == "found"


def test_an_error_that_a_branch_passes_on_is_no_ring_of_the_fusion(cohort: list[Patient]) -> None:
    patients = []
    for one in cohort:
        own = shell_of(one) & (classes(one.p2d) > 0)
        patients.append(replace(one, p2d=changed(one.p2d, own, [0.0, 0.0, 0.1, 0.9])))
    rings = counts(patients, lambda one: one.fused)
    assert sum(one.fused for one in rings) > 0.2 * sum(one.shell for one in rings)
    found = signatures.ring_artefacts(rings, 0, DRAWS)
    assert found.verdict == "not found"
    assert f"{np.mean([one.p2d for one in rings]):.1f} 2D" in found.sentence


def test_enhancing_tumour_anywhere_else_is_no_ring(cohort: list[Patient]) -> None:
    def everywhere(one: Patient) -> Volume:
        return spoilt(one, one.case.labels != 3, 0.2)

    def beside(one: Patient) -> Volume:
        return spoilt(one, (one.case.labels != 3) & ~shell_of(one), 0.2)

    assert signatures.ring_artefacts(counts(cohort, everywhere), 0, DRAWS).verdict != "found"
    assert signatures.ring_artefacts(counts(cohort, beside), 0, DRAWS).verdict == "not found"


def test_one_patient_with_a_ring_is_no_cohort_with_rings(cohort: list[Patient]) -> None:
    rings = counts(cohort, lambda one: one.fused)
    rings[0] = counts(cohort[:1], lambda one: spoilt(one, shell_of(one), 1.0))[0]
    assert rings[0].excess > 0.5
    assert signatures.ring_artefacts(rings, 0, DRAWS).verdict == "cannot tell"


def line(*labels: int) -> Any:
    """Return sure probabilities of a row of voxels."""
    return np.eye(4, dtype=np.float16)[list(labels)].T[:, :, None, None]


def test_counts_of_a_row_of_voxels() -> None:
    # the shell is 2 to 4 without 4, which is enhancing in truth; 5 and 6 are common, 0 and 1 out
    truth = np.array([0, 0, 0, 0, 3, 2, 3, 2, 2, 2, 2, 2])[:, None, None]
    grid = grid_of("row", truth.shape)
    p2d = Volume(line(0, 0, 2, 3, 3, 2, 2, 2, 2, 2, 2, 2), grid)
    p3d = Volume(line(0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2), grid)
    fused = Volume(line(0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2), grid)
    found = signatures.ring_counts(case_of(truth, "row"), fused, p2d, p3d)
    # inside 5 and 7 (6 is enhancing in truth), outside 0 and 1: of these 1, 5 and 7 are new
    assert found == RingCounts(
        "row", shell=2, control=4, new=1, new_control=3, fused=2, p2d=1, p3d=0
    )
    assert found.excess == pytest.approx(1 / 2 - 3 / 4)
    assert found.ratio == pytest.approx((1 + 0.5) / (1.5 + 0.5))


def test_too_few_patients_with_a_shell_cannot_tell(cohort: list[Patient]) -> None:
    rings = counts(cohort[:4], lambda one: spoilt(one, shell_of(one), 1.0))
    same = [signatures.ring_counts(o.case, o.p2d, o.p2d, o.p2d) for o in cohort[4:9]]
    assert {(one.shell, one.control, one.excess, one.ratio) for one in same} == {(0, 0, 0.0, 1.0)}
    found = signatures.ring_artefacts([*rings, *same], 0, DRAWS)
    assert (found.verdict, found.excess, found.ratio) == ("cannot tell", None, None)
    assert "5 of 9 patients without a shell" in found.sentence


def test_rings_need_everything_on_one_grid(cohort: list[Patient]) -> None:
    one, other = cohort[0], cohort[1]
    for p2d, p3d, fused in (
        (other.p2d, one.p3d, one.fused),
        (one.p2d, other.p3d, one.fused),
        (one.p2d, one.p3d, other.fused),
        (other.p2d, other.p3d, other.fused),
    ):
        with pytest.raises(MismatchError, match="phantom-2"):
            signatures.ring_counts(one.case, fused, p2d, p3d)


# --- misaligned branches


def moved(volume: Volume, shift: Sequence[int]) -> Volume:
    """Return a volume whose content lies ``shift`` voxels further; the borders are empty."""
    rolled = np.roll(volume.probabilities, shift, axis=(1, 2, 3))
    return replace(volume, probabilities=rolled)


def test_clean_branches_are_not_misaligned(cohort: list[Patient]) -> None:
    shifts = [signatures.branch_shift(one.p2d, one.p3d) for one in cohort]
    assert [one.verdict for one in shifts] == ["not found"] * 20
    assert min(one.remaining or 0 for one in shifts) > 0.05  # the networks do differ
    found = signatures.misalignment(shifts, 0, DRAWS)
    assert found.verdict == "not found"
    assert found.share is not None
    assert found.share.value == 0


@pytest.mark.parametrize(
    "shift", [(2, 0, 0), (0, -2, 0), (0, 0, 2), (0, 0, -2), (2, 2, 2), (-2, 0, 2), (4, -4, 0)]
)
def test_a_shift_is_found_along_each_axis_and_across(
    cohort: list[Patient], shift: tuple[int, int, int]
) -> None:
    shifts = [signatures.branch_shift(one.p2d, moved(one.p3d, shift)) for one in cohort]
    assert [one.verdict for one in shifts] == ["found"] * 20
    assert [one.shift for one in shifts] == [shift] * 20
    found = signatures.misalignment(shifts, 0, DRAWS)
    assert found.verdict == "found"
    assert [mean.value for mean in found.mean_shift] == list(shift)
    back = signatures.branch_shift(moved(cohort[0].p2d, shift), cohort[0].p3d)
    assert back.shift == tuple(-step for step in shift)


def test_a_shift_is_the_best_of_all_that_can_be_tried() -> None:
    generator = np.random.default_rng(0)
    shape = (11, 12, 13)
    blob = ndimage.gaussian_filter(generator.random(shape), 1.5)
    blob = (blob - blob.min()) / np.ptp(blob)
    volumes = []
    for _ in range(2):
        seen = np.clip(blob + generator.normal(0, 0.1, shape), 0.05, 1)
        parts = generator.dirichlet([2, 2, 2], shape) * seen[..., None]
        values = np.concatenate([1 - seen[None], np.moveaxis(parts, -1, 0)])
        volumes.append(Volume(values.astype(np.float16), grid_of("blob", shape)))
    one, other = volumes[0], moved(volumes[1], (1, 0, -2))
    padded = []
    for volume in (one, other):
        values = volume.probabilities.astype(float)
        values[0] = 1 - values[0]
        padded.append(np.pad(values, [(0, 0), (4, 4), (4, 4), (4, 4)]))
    size = (padded[0] ** 2).sum() + (padded[1] ** 2).sum()
    slow = {
        shift: ((padded[0] - np.roll(padded[1], [-s for s in shift], (1, 2, 3))) ** 2).sum() / size
        for shift in product(range(-4, 5), repeat=3)
    }
    best = min(slow, key=lambda shift: slow[shift])
    found = signatures.branch_shift(one, other)
    assert found.shift == best
    assert found.remaining == pytest.approx(slow[best])
    assert found.gain == pytest.approx(1 - slow[best] / slow[0, 0, 0])


def test_a_branch_that_draws_the_tumour_larger_is_not_shifted(cohort: list[Patient]) -> None:
    for one in cohort:
        grown = ndimage.grey_dilation(one.p3d.probabilities[2].astype(float), (3, 3, 3))
        values = one.p3d.probabilities.astype(float)
        values[2] = grown
        values /= values.sum(axis=0)
        larger = replace(one.p3d, probabilities=values.astype(np.float16))
        assert (classes(larger) > 0).sum() > 1.2 * (classes(one.p3d) > 0).sum()
        found = signatures.branch_shift(one.p2d, larger)
        assert found.shift == (0, 0, 0)
        assert found.gain == 0


def test_patients_shifted_each_in_a_direction_of_its_own_are_found(cohort: list[Patient]) -> None:
    ways = [(2, 0, 0), (-2, 0, 0), (0, 2, 0), (0, -2, 0)] * 5
    shifts = [
        signatures.branch_shift(one.p2d, moved(one.p3d, way))
        for one, way in zip(cohort, ways, strict=True)
    ]
    found = signatures.misalignment(shifts, 0, DRAWS)
    assert found.verdict == "found"
    assert all(abs(mean.value) < 0.5 for mean in found.mean_shift)


def estimate(shift: tuple[int, int, int], gain: float) -> BranchShift:
    """Return what was found in a patient."""
    verdict: Any = "found" if gain >= 0.1 else "not found"
    return BranchShift("patient", verdict, shift, gain, 0.3)


def test_a_common_shift_that_is_small_in_each_patient_is_found() -> None:
    still, small = estimate((0, 0, 0), 0.0), estimate((0, 1, 0), 0.04)
    found = signatures.misalignment([small] * 9 + [still] * 3, 0, DRAWS)
    assert found.verdict == "found"
    assert "0 of 12 patients are shifted" in found.sentence
    assert "+0.0, +0.8, +0.0 voxels" in found.sentence
    rare = signatures.misalignment([small] * 4 + [still] * 8, 0, DRAWS)
    assert rare.verdict == "not found"
    one = signatures.misalignment([*[still] * 5, estimate((0, 0, 4), 0.04)], 0, DRAWS)
    assert one.mean_shift[2].value > 0.5
    assert one.verdict == "not found"
    both = [small] * 6 + [estimate((0, -1, 0), 0.04)] * 6
    assert signatures.misalignment(both, 0, DRAWS).verdict == "not found"


def test_one_shifted_patient_of_twenty_cannot_tell_but_is_told() -> None:
    still = [estimate((0, 0, 0), 0.0)] * 19
    found = signatures.misalignment([*still, estimate((3, 0, 0), 0.4)], 0, DRAWS)
    assert found.verdict == "cannot tell"
    assert "1 of 20 patients are shifted" in found.sentence


def test_patients_who_cannot_be_judged_are_left_out_and_counted(cohort: list[Patient]) -> None:
    one = cohort[0]
    empty = changed(one.p3d, np.ones(one.case.labels.shape, bool), [1, 0, 0, 0])
    unknown = signatures.branch_shift(one.p2d, empty)
    assert unknown == BranchShift("phantom-1", "cannot tell", None, None, None)
    still = estimate((0, 0, 0), 0.0)
    few = signatures.misalignment([still] * 4 + [unknown] * 3, 0, DRAWS)
    assert (few.verdict, few.mean_shift, few.share) == ("cannot tell", (), None)
    assert "3 of 7 patients cannot be judged" in few.sentence
    enough = signatures.misalignment([still] * 5 + [unknown], 0, DRAWS)
    assert (enough.verdict, enough.mean_shift[0].n) == ("not found", 5)


def test_branches_that_have_nothing_in_common_cannot_tell(cohort: list[Patient]) -> None:
    one = cohort[0]
    turned = np.flip(one.p3d.probabilities, axis=1)
    far = replace(one.p3d, probabilities=np.roll(turned, 7, axis=2))
    found = signatures.branch_shift(one.p2d, far)
    assert found.verdict == "cannot tell"
    assert found.remaining is not None
    assert found.remaining > 0.5


def test_what_leaves_at_one_end_does_not_come_back_at_the_other() -> None:
    # going round, two voxels lead from the far end to the near one
    volumes = []
    for place in (slice(-2, None), slice(2)):
        labels = np.zeros((24, 6, 6), int)
        labels[place] = 2
        values = np.moveaxis(np.eye(4)[labels], -1, 0).astype(np.float16)
        volumes.append(Volume(values, grid_of("ends", labels.shape)))
    found = signatures.branch_shift(*volumes)
    assert found.verdict == "cannot tell"
    assert found.remaining == pytest.approx(1)


def test_branches_of_two_patients_are_not_compared(cohort: list[Patient]) -> None:
    with pytest.raises(MismatchError, match="phantom-2"):
        signatures.branch_shift(cohort[0].p2d, cohort[1].p3d)
