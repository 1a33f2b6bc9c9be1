"""Planted rings of enhancing tumour are found, and twenty clean patients give no alarm."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gliomalib.schema import MismatchError, Volume
from gliomalib.scoring import rings
from gliomalib.scoring.rings import RingCounts
from tests.scoring.simulated import Patient, case_of, changed, classes, grid_of

DRAWS = 1000


def shell_of(one: Patient) -> Any:
    """Return where one branch alone sees tumour, and there is no enhancing tumour."""
    return ((classes(one.p2d) > 0) != (classes(one.p3d) > 0)) & (one.case.labels != 3)


def counts(cohort: list[Patient], change: Callable[[Patient], Volume]) -> list[RingCounts]:
    """Return the counts after ``change`` has made the fused volume of each patient."""
    return [rings.ring_counts(one.case, change(one), one.p2d, one.p3d) for one in cohort]


def spoilt(one: Patient, where: Any, share: float) -> Volume:
    """Return the fused volume with enhancing tumour in a share of some voxels."""
    drawn = np.random.default_rng(one.case.labels.sum()).random(where.shape) < share
    return changed(one.fused, where & drawn, [0.1, 0.1, 0.2, 0.6])


def test_clean_patients_have_no_rings(cohort: list[Patient]) -> None:
    clean = counts(cohort, lambda one: one.fused)
    assert sum(one.shell for one in clean) > 2000
    found = rings.ring_artefacts(clean, 0, DRAWS)
    assert found.verdict == "not found"
    assert found.excess is not None
    assert found.excess.n == 20
    assert found.excess.ci95 is not None
    assert found.excess.ci95[1] < 0.004


def test_a_ring_in_the_fused_volume_is_found(cohort: list[Patient]) -> None:
    counted = counts(cohort, lambda one: spoilt(one, shell_of(one), 0.05))
    found = rings.ring_artefacts(counted, 0, DRAWS)
    assert found.verdict == "found"
    assert found.excess is not None
    assert 0.03 < found.excess.value < 0.06
    assert found.ratio is not None
    assert found.ratio.ci95 is not None
    assert found.ratio.ci95[0] > 2
    logs = [np.log(one.ratio) for one in counted]
    assert found.ratio.value == pytest.approx(np.exp(np.mean(logs)))
    assert found.excess.value == pytest.approx(np.mean([one.excess for one in counted]))


def test_a_ring_that_the_fusion_makes_by_itself_is_found(cohort: list[Patient]) -> None:
    # enhancing tumour is what both branches think of second, so their sum puts it first
    patients = []
    for one in cohort:
        shell, by_2d = shell_of(one), classes(one.p2d) > 0
        tumour, none = [0.1, 0.0, 0.5, 0.4], [0.5, 0.0, 0.1, 0.4]
        p2d = changed(changed(one.p2d, shell & by_2d, tumour), shell & ~by_2d, none)
        p3d = changed(changed(one.p3d, shell & ~by_2d, tumour), shell & by_2d, none)
        patients.append(replace(one, p2d=p2d, p3d=p3d))
    counted = counts(patients, lambda one: one.fused)
    assert all((one.p2d, one.p3d, one.new) == (0, 0, one.shell) for one in counted)
    assert rings.ring_artefacts(counted, 0, DRAWS).verdict == "found"


def test_an_error_that_a_branch_passes_on_is_no_ring_of_the_fusion(cohort: list[Patient]) -> None:
    patients = []
    for one in cohort:
        own = shell_of(one) & (classes(one.p2d) > 0)
        patients.append(replace(one, p2d=changed(one.p2d, own, [0.0, 0.0, 0.1, 0.9])))
    counted = counts(patients, lambda one: one.fused)
    assert sum(one.fused for one in counted) > 0.2 * sum(one.shell for one in counted)
    found = rings.ring_artefacts(counted, 0, DRAWS)
    assert found.verdict == "not found"
    assert f"{np.mean([one.p2d for one in counted]):.1f} 2D" in found.sentence


def test_enhancing_tumour_anywhere_else_is_no_ring(cohort: list[Patient]) -> None:
    def everywhere(one: Patient) -> Volume:
        return spoilt(one, one.case.labels != 3, 0.2)

    def beside(one: Patient) -> Volume:
        return spoilt(one, (one.case.labels != 3) & ~shell_of(one), 0.2)

    assert rings.ring_artefacts(counts(cohort, everywhere), 0, DRAWS).verdict != "found"
    assert rings.ring_artefacts(counts(cohort, beside), 0, DRAWS).verdict == "not found"


def test_one_patient_with_a_ring_is_no_cohort_with_rings(cohort: list[Patient]) -> None:
    counted = counts(cohort, lambda one: one.fused)
    counted[0] = counts(cohort[:1], lambda one: spoilt(one, shell_of(one), 1.0))[0]
    assert counted[0].excess > 0.5
    assert rings.ring_artefacts(counted, 0, DRAWS).verdict == "cannot tell"


def test_a_large_excess_that_most_of_the_rate_does_not_bear_out_cannot_tell() -> None:
    many = RingCounts(
        "many", shell=1000, control=2000, new=150, new_control=0, fused=0, p2d=0, p3d=0
    )
    none = replace(many, new=0, new_control=20)
    found = rings.ring_artefacts([many] * 6 + [none] * 5, 0, DRAWS)
    assert found.excess is not None and found.ratio is not None
    assert found.excess.ends[0] > rings.RING_EXCESS and found.ratio.ends[0] < 1
    assert found.verdict == "cannot tell"


def test_a_ring_is_painted_in_and_taken_out_again(cohort: list[Patient]) -> None:
    one = cohort[0]
    ring = rings.between(one.p2d, one.p3d)
    assert (
        100 < ring.sum() < (classes(one.p2d) > 0).sum()
        and not (ring & (classes(one.p2d) > 0) & (classes(one.p3d) > 0)).any()
    )
    planted = rings.repainted(one.fused, ring, enhancing=True)
    assert (classes(planted)[ring] == 3).all()
    assert (planted.probabilities[:, ~ring] == one.fused.probabilities[:, ~ring]).all()
    assert (
        rings.made_by_fusion(planted, one.p2d, one.p3d)
        == ring & (classes(one.p2d) != 3) & (classes(one.p3d) != 3)
        | rings.made_by_fusion(one.fused, one.p2d, one.p3d)
    ).all()
    plain = rings.repainted(one.fused, ring, enhancing=False)
    assert not (classes(plain)[ring] == 3).any()
    sums = plain.probabilities.sum(axis=0, dtype=np.float32)
    assert np.abs(sums - 1).max() < 0.01


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
    found = rings.ring_counts(case_of(truth, "row"), fused, p2d, p3d)
    # inside 5 and 7 (6 is enhancing in truth), outside 0 and 1: of these 1, 5 and 7 are new
    assert found == RingCounts(
        "row", shell=2, control=4, new=1, new_control=3, fused=2, p2d=1, p3d=0
    )
    assert found.excess == pytest.approx(1 / 2 - 3 / 4)
    assert found.ratio == pytest.approx((1 + 0.5) / (1.5 + 0.5))


def test_too_few_patients_with_a_shell_cannot_tell(cohort: list[Patient]) -> None:
    counted = counts(cohort[:4], lambda one: spoilt(one, shell_of(one), 1.0))
    same = [rings.ring_counts(o.case, o.p2d, o.p2d, o.p2d) for o in cohort[4:9]]
    assert {(one.shell, one.control, one.excess, one.ratio) for one in same} == {(0, 0, 0.0, 1.0)}
    found = rings.ring_artefacts([*counted, *same], 0, DRAWS)
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
        with pytest.raises(MismatchError, match="patient-2"):
            rings.ring_counts(one.case, fused, p2d, p3d)
