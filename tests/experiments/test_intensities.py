"""A planted shift is measured and undone, and the background stays."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gliomalib.experiments import intensities
from gliomalib.schema import SEQUENCES, DataError, StoredCase
from tests.planted_branches import grid

SHAPE = (14, 12, 10)
T2 = SEQUENCES.index("t2")


def case_of(seed: int) -> StoredCase:
    """Return a brain with skewed intensities in a box that it does not fill."""
    rng = np.random.default_rng(seed)
    images = np.zeros((4, *SHAPE))
    images[:, 2:-2, 2:-2, 1:-1] = rng.beta(3, 6, (4, 10, 8, 8)) * 0.6 + 0.1
    labels = rng.integers(0, 4, SHAPE).astype(np.uint8)
    return StoredCase(grid(f"P{seed}", SHAPE), images.astype(np.float16), labels)


def altered(case: StoredCase, change: object) -> StoredCase:
    """Return the case with other values of T2 in its brain."""
    images = np.array(case.images, dtype=np.float64)
    inside = intensities.brain(case)
    images[T2, inside] = change(images[T2, inside])  # type: ignore[operator]
    return replace(case, images=images.astype(np.float16))


def gap(one: StoredCase, other: StoredCase) -> float:
    return float(np.abs(one.images.astype(float) - other.images.astype(float)).max())


@pytest.mark.parametrize(("gain", "offset"), [(0.6, 0.25), (1.2, 0.0), (1.0, 0.15), (0.7, 0.0)])
def test_a_planted_gain_and_offset_is_undone(gain: float, offset: float) -> None:
    case = case_of(1)
    reference = intensities.fit([case])
    shifted = altered(case, lambda values: gain * values + offset)
    assert gap(shifted, case) > 0.05
    assert gap(intensities.z_score(shifted, reference), case) < 2e-3


def test_other_sequences_background_labels_and_range_stay() -> None:
    reference = intensities.fit([case_of(seed) for seed in range(2, 6)])
    case = altered(case_of(1), lambda values: values * 0.2)
    found = intensities.z_score(case, reference)
    outside = ~intensities.brain(case)
    assert not found.images[:, outside].any()
    assert (found.labels == case.labels).all() and found.grid == case.grid
    assert found.images.dtype == np.float16
    assert found.images.min() >= 0 and found.images.max() <= 1
    order = np.argsort(case.images[T2, ~outside], kind="stable")
    assert (np.diff(found.images[T2, ~outside][order]) >= 0).all()


def test_what_would_leave_the_range_of_training_is_set_to_its_end() -> None:
    case = case_of(1)
    bright = np.array([[0.9] * 4, [0.3] * 4])
    assert intensities.z_score(case, bright).images.max() == 1


def test_every_patient_weighs_the_same_in_the_reference() -> None:
    one, other = case_of(1), altered(case_of(2), lambda values: values / 2)
    both = intensities.fit([one, other])
    assert both.shape == (2, 4)
    alone = [intensities.fit([case]) for case in (one, other)]
    assert np.allclose(both, np.mean(alone, axis=0))


def test_a_flat_sequence_gets_the_references_mean() -> None:
    reference = intensities.fit([case_of(2)])
    flat = intensities.z_score(altered(case_of(1), np.ones_like), reference)
    values = flat.images[T2, intensities.brain(flat)]
    assert np.allclose(values.astype(float), reference[0, T2], atol=1e-3)


def test_who_has_no_brain_is_named() -> None:
    case = case_of(1)
    empty = replace(case, images=np.zeros_like(case.images))
    with pytest.raises(DataError, match=r"P1: no voxel of the box is above 0"):
        intensities.fit([case, empty])
    with pytest.raises(DataError, match="no training patient"):
        intensities.fit([])


def profiles_of(cases: dict[str, list[StoredCase]]) -> pd.DataFrame:
    tables = [
        pd.DataFrame(intensities.profile(case).T, columns=list(SEQUENCES))
        .melt(var_name="sequence", value_name="value")
        .assign(part=part, patient_id=case.grid.patient_id)
        for part, own in cases.items()
        for case in own
    ]
    return pd.concat(tables, ignore_index=True)


def test_a_planted_offset_is_the_distance_of_its_sequence_alone() -> None:
    own = [case_of(seed) for seed in range(6)]
    other = [altered(case_of(seed), lambda values: values + 0.1) for seed in range(6, 12)]
    found = intensities.shifts(profiles_of({"test": own, "external": other})).set_index("sequence")
    assert found["distance"]["t2"] == pytest.approx(0.1, abs=0.01)
    assert (found["distance"].drop("t2") < 0.02).all()
    assert found["one_external"]["t2"] > 5 * found["one_test"]["t2"]
    assert found["median_external"]["t2"] - found["median_test"]["t2"] == pytest.approx(
        0.1, abs=0.02
    )


def test_without_external_patients_there_is_no_distance() -> None:
    found = intensities.shifts(profiles_of({"test": [case_of(1)]}))
    assert found["sequence"].tolist() == list(SEQUENCES)
    assert found[["distance", "one_test", "one_external", "median_external"]].isna().all(axis=None)
    assert found["median_test"].notna().all()


def test_the_profile_holds_the_distribution() -> None:
    case = case_of(1)
    values = case.images[:, intensities.brain(case)].astype(float)
    found = intensities.profile(case)
    assert found.shape == (4, 100)
    assert np.allclose(found.mean(axis=1), values.mean(axis=1), atol=2e-3)
