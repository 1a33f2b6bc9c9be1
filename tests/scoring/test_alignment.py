"""Planted shifts are found in size and direction, and twenty clean patients give no alarm."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from gliomalib.schema import MismatchError, Volume
from gliomalib.scoring import alignment
from gliomalib.scoring.alignment import BranchShift
from tests.scoring.simulated import Patient, changed, classes, grid_of

DRAWS = 1000


def moved(volume: Volume, shift: Sequence[int]) -> Volume:
    """Return a volume whose content lies ``shift`` voxels further; the borders are empty."""
    rolled = np.roll(volume.probabilities, shift, axis=(1, 2, 3))
    return replace(volume, probabilities=rolled)


def test_clean_branches_are_not_misaligned(cohort: list[Patient]) -> None:
    shifts = [alignment.branch_shift(one.p2d, one.p3d) for one in cohort]
    assert [one.verdict for one in shifts] == ["not found"] * 20
    assert min(one.remaining or 0 for one in shifts) > 0.05  # the networks do differ
    found = alignment.misalignment(shifts, 0, DRAWS)
    assert found.verdict == "not found"
    assert "0 of 20 patients are shifted" in found.sentence


@pytest.mark.parametrize(
    "shift", [(2, 0, 0), (0, -2, 0), (0, 0, 2), (0, 0, -2), (2, 2, 2), (-2, 0, 2), (4, -4, 0)]
)
def test_a_shift_is_found_along_each_axis_and_across(
    cohort: list[Patient], shift: tuple[int, int, int]
) -> None:
    shifts = [alignment.branch_shift(one.p2d, moved(one.p3d, shift)) for one in cohort]
    assert [one.verdict for one in shifts] == ["found"] * 20
    assert [one.shift for one in shifts] == [shift] * 20
    found = alignment.misalignment(shifts, 0, DRAWS)
    assert found.verdict == "found"
    assert [mean.value for mean in found.mean_shift] == list(shift)
    back = alignment.branch_shift(moved(cohort[0].p2d, shift), cohort[0].p3d)
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
    found = alignment.branch_shift(one, other)
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
        found = alignment.branch_shift(one.p2d, larger)
        assert found.shift == (0, 0, 0)
        assert found.gain == 0


def test_patients_shifted_each_in_a_direction_of_its_own_are_found(cohort: list[Patient]) -> None:
    ways = [(2, 0, 0), (-2, 0, 0), (0, 2, 0), (0, -2, 0)] * 5
    shifts = [
        alignment.branch_shift(one.p2d, moved(one.p3d, way))
        for one, way in zip(cohort, ways, strict=True)
    ]
    found = alignment.misalignment(shifts, 0, DRAWS)
    assert found.verdict == "found"
    assert all(abs(mean.value) < 0.5 for mean in found.mean_shift)


def estimate(shift: tuple[int, int, int], gain: float) -> BranchShift:
    """Return what was found in a patient."""
    verdict: Any = "found" if gain >= 0.1 else "not found"
    return BranchShift("patient", verdict, shift, gain, 0.3)


def test_a_common_shift_that_is_small_in_each_patient_is_found() -> None:
    still, small = estimate((0, 0, 0), 0.0), estimate((0, 1, 0), 0.04)
    found = alignment.misalignment([small] * 9 + [still] * 3, 0, DRAWS)
    assert found.verdict == "found"
    assert "0 of 12 patients are shifted" in found.sentence
    assert "+0.0, +0.8, +0.0 voxels" in found.sentence
    rare = alignment.misalignment([small] * 4 + [still] * 8, 0, DRAWS)
    assert rare.verdict == "not found"
    one = alignment.misalignment([*[still] * 5, estimate((0, 0, 4), 0.04)], 0, DRAWS)
    assert one.mean_shift[2].value > 0.5
    assert one.verdict == "not found"
    both = [small] * 6 + [estimate((0, -1, 0), 0.04)] * 6
    assert alignment.misalignment(both, 0, DRAWS).verdict == "not found"


def test_one_shifted_patient_of_twenty_cannot_tell_but_is_told() -> None:
    still = [estimate((0, 0, 0), 0.0)] * 19
    found = alignment.misalignment([*still, estimate((3, 0, 0), 0.4)], 0, DRAWS)
    assert found.verdict == "cannot tell"
    assert "1 of 20 patients are shifted" in found.sentence
    # shifted to and fro, so that the mean is 0; by Wilson 3 of 20 are at least 5.2 %, 2 of 20 2.8 %
    fro = [estimate((way, 0, 0), 0.4) for way in (3, -3, 1, -1)]
    many = alignment.misalignment([*still[:17], *fro[:3]], 0, DRAWS)
    few = alignment.misalignment([*still[:18], *fro[:2]], 0, DRAWS)
    assert (many.verdict, few.verdict) == ("found", "cannot tell")


def test_patients_who_cannot_be_judged_are_left_out_and_counted(cohort: list[Patient]) -> None:
    one = cohort[0]
    empty = changed(one.p3d, np.ones(one.case.labels.shape, bool), [1, 0, 0, 0])
    unknown = alignment.branch_shift(one.p2d, empty)
    assert unknown == BranchShift("patient-1", "cannot tell", None, None, None)
    still = estimate((0, 0, 0), 0.0)
    few = alignment.misalignment([still] * 4 + [unknown] * 3, 0, DRAWS)
    assert (few.verdict, few.mean_shift) == ("cannot tell", ())
    assert "3 of 7 patients cannot be judged" in few.sentence
    enough = alignment.misalignment([still] * 5 + [unknown], 0, DRAWS)
    assert (enough.verdict, enough.mean_shift[0].n) == ("not found", 5)


def test_what_leaves_at_one_end_does_not_come_back_at_the_other() -> None:
    # going round, two voxels lead from the far end to the near one
    volumes = []
    for place in (slice(-2, None), slice(2)):
        labels = np.zeros((24, 6, 6), int)
        labels[place] = 2
        values = np.moveaxis(np.eye(4)[labels], -1, 0).astype(np.float16)
        volumes.append(Volume(values, grid_of("ends", labels.shape)))
    found = alignment.branch_shift(*volumes)
    assert found.verdict == "cannot tell"
    assert found.remaining == pytest.approx(1)


def test_branches_of_two_patients_are_not_compared(cohort: list[Patient]) -> None:
    with pytest.raises(MismatchError, match="patient-2"):
        alignment.branch_shift(cohort[0].p2d, cohort[1].p3d)
