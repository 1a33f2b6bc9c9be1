"""A planted shift is measured and undone, mirror images come back, and the background stays."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.experiments import remedies
from gliomalib.schema import SEQUENCES, DataError, StoredCase, Volume
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
    inside = remedies.brain(case)
    images[T2, inside] = change(images[T2, inside])  # type: ignore[operator]
    return replace(case, images=images.astype(np.float16))


def gap(one: StoredCase, other: StoredCase) -> float:
    return float(np.abs(one.images.astype(float) - other.images.astype(float)).max())


@pytest.mark.parametrize("treat", [remedies.z_score, remedies.histogram])
@pytest.mark.parametrize(("gain", "offset"), [(0.6, 0.25), (1.2, 0.0), (1.0, 0.15), (0.7, 0.0)])
def test_a_planted_gain_and_offset_is_undone(treat: object, gain: float, offset: float) -> None:
    case = case_of(1)
    reference = remedies.fit([case])
    shifted = altered(case, lambda values: gain * values + offset)
    assert gap(shifted, case) > 0.05
    assert gap(treat(shifted, reference), case) < 2e-3  # type: ignore[operator]


def test_a_bent_contrast_is_undone_by_the_landmarks_and_not_by_mean_and_sd() -> None:
    case = case_of(1)
    reference = remedies.fit([case])
    bent = altered(case, np.sqrt)
    left = {
        treat.__name__: remedies.distance(
            remedies.profile(treat(bent, reference))[T2], remedies.profile(case)[T2]
        )
        for treat in (remedies.z_score, remedies.histogram)
    }
    assert left["histogram"] < 0.003 < left["z_score"]


@pytest.mark.parametrize("treat", [remedies.z_score, remedies.histogram])
def test_other_sequences_background_labels_and_range_stay(treat: object) -> None:
    reference = remedies.fit([case_of(seed) for seed in range(2, 6)])
    case = altered(case_of(1), lambda values: values * 0.2)
    found = treat(case, reference)  # type: ignore[operator]
    outside = ~remedies.brain(case)
    assert not found.images[:, outside].any()
    assert (found.labels == case.labels).all() and found.grid == case.grid
    assert found.images.dtype == np.float16
    assert found.images.min() >= 0 and found.images.max() <= 1
    order = np.argsort(case.images[T2, ~outside], kind="stable")
    assert (np.diff(found.images[T2, ~outside][order]) >= 0).all()


def test_what_would_leave_the_range_of_training_is_set_to_its_end() -> None:
    case = case_of(1)
    bright = replace(remedies.fit([case]), mean=np.full(4, 0.9), sd=np.full(4, 0.3))
    assert remedies.z_score(case, bright).images.max() == 1


def test_every_patient_weighs_the_same_in_the_reference() -> None:
    one, other = case_of(1), altered(case_of(2), lambda values: values / 2)
    both = remedies.fit([one, other])
    for name in ("mean", "sd", "quantiles"):
        parts = [getattr(remedies.fit([case]), name) for case in (one, other)]
        assert np.allclose(getattr(both, name), np.mean(parts, axis=0))
    assert both.quantiles.shape == (4, len(remedies.LANDMARKS))


def test_a_flat_sequence_gets_the_references_mean() -> None:
    reference = remedies.fit([case_of(2)])
    flat = remedies.z_score(altered(case_of(1), np.ones_like), reference)
    values = flat.images[T2, remedies.brain(flat)]
    assert np.allclose(values.astype(float), reference.mean[T2], atol=1e-3)


def test_who_has_no_brain_is_named() -> None:
    case = case_of(1)
    empty = replace(case, images=np.zeros_like(case.images))
    with pytest.raises(DataError, match=r"P1: no voxel of the box is above 0"):
        remedies.fit([case, empty])
    with pytest.raises(DataError, match="no training patient"):
        remedies.fit([])


def probabilities(case: StoredCase) -> Volume:
    """Return what a network says that looks at each voxel alone, so mirrors do not matter."""
    odds = np.exp(4 * case.images.astype(np.float32))
    return Volume((odds / odds.sum(axis=0)).astype(np.float16), case.grid)


def leaning(case: StoredCase) -> Volume:
    """Return a network's word that knows nothing but left and right."""
    share = np.linspace(0.1, 0.7, SHAPE[0])[:, None, None] * np.ones(SHAPE)
    rest = np.broadcast_to((1 - share) / 3, (3, *SHAPE))
    return Volume(np.concatenate([share[None], rest]).astype(np.float16), case.grid)


def test_a_network_that_does_not_mind_mirrors_says_the_same() -> None:
    case = case_of(1)
    straight = probabilities(case)
    found = remedies.tta(probabilities, case, straight)
    assert found.grid == case.grid
    assert np.abs(found.probabilities - straight.probabilities).max() <= 1e-3


def test_a_network_that_leans_is_averaged() -> None:
    case = case_of(1)
    found = remedies.tta(leaning, case, leaning(case)).probabilities
    assert np.allclose(found[0], 0.4, atol=1e-3)
    assert np.allclose(found.sum(axis=0, dtype=float), 1, atol=2e-3)


def test_the_straight_volume_is_used_and_not_predicted_again() -> None:
    case, seen = case_of(1), []

    def watched(turned: StoredCase) -> Volume:
        seen.append(turned.images)
        return probabilities(turned)

    remedies.tta(watched, case, probabilities(case))
    assert len(seen) == 3
    assert not any(np.array_equal(one, case.images) for one in seen)


@given(st.lists(st.sampled_from([0, 1, 2]), unique=True), st.integers(0, 50))
def test_mirrored_twice_is_the_case(axes: list[int], seed: int) -> None:
    case = case_of(seed)
    twice = remedies.mirrored(remedies.mirrored(case, axes), axes)
    assert np.array_equal(twice.images, case.images) and np.array_equal(twice.labels, case.labels)


def test_labels_are_mirrored_with_the_images() -> None:
    case = case_of(1)
    turned = remedies.mirrored(case, [0])
    assert (turned.labels[0] == case.labels[-1]).all()
    assert (turned.images[:, 0] == case.images[:, -1]).all()


@pytest.mark.parametrize("key", list(remedies.REMEDIES))
def test_each_remedy_gives_a_volume_and_none_looks_at_the_labels(key: str) -> None:
    case, reference = case_of(1), remedies.fit([case_of(2)])
    blind = replace(case, labels=np.zeros_like(case.labels))
    found, again = (
        remedies.treated(key, probabilities, one, reference, probabilities(one)).probabilities
        for one in (case, blind)
    )
    assert found.shape == (4, *SHAPE) and np.array_equal(found, again)


def intensities(cases: dict[str, list[StoredCase]]) -> pd.DataFrame:
    tables = [
        pd.DataFrame(remedies.profile(case).T, columns=list(SEQUENCES))
        .melt(var_name="sequence", value_name="value")
        .assign(part=part, patient_id=case.grid.patient_id)
        for part, own in cases.items()
        for case in own
    ]
    return pd.concat(tables, ignore_index=True)


def test_a_planted_offset_is_the_distance_of_its_sequence_alone() -> None:
    own = [case_of(seed) for seed in range(6)]
    other = [altered(case_of(seed), lambda values: values + 0.1) for seed in range(6, 12)]
    found = remedies.shifts(intensities({"test": own, "external": other})).set_index("sequence")
    assert found["distance"]["t2"] == pytest.approx(0.1, abs=0.01)
    assert (found["distance"].drop("t2") < 0.02).all()
    assert found["one_external"]["t2"] > 5 * found["one_test"]["t2"]
    assert found["p50_external"]["t2"] - found["p50_test"]["t2"] == pytest.approx(0.1, abs=0.02)


def test_without_external_patients_there_is_no_distance() -> None:
    found = remedies.shifts(intensities({"test": [case_of(1)]}))
    assert found["sequence"].tolist() == list(SEQUENCES)
    assert found[["distance", "one_test", "one_external", "mean_external"]].isna().all(axis=None)
    assert found["mean_test"].notna().all()


def test_the_profile_holds_the_distribution() -> None:
    case = case_of(1)
    values = case.images[:, remedies.brain(case)].astype(float)
    found = remedies.profile(case)
    assert found.shape == (4, 100)
    assert np.allclose(found.mean(axis=1), values.mean(axis=1), atol=2e-3)
    assert remedies.distance([0.0, 1.0], [0.5, 1.5]) == pytest.approx(0.5)
