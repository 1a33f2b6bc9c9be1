"""HD95 agrees with MONAI and its definition, and differs from the organisers' as it states."""

import json
import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.metrics import compute_hausdorff_distance

from gliomalib.scoring import surface
from tests.reference import make_brats_evaluation as organisers

BRATS: dict[str, dict[str, list[Any]]] = json.loads(organisers.OUTCOME.read_text())["cases"]
VOLUMES = organisers.volumes()


def blobs(seed: int, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Two overlapping random masks that touch the edge of the array."""
    generator = np.random.default_rng(seed)
    truth = generator.random(shape) < 0.05
    predicted = truth ^ (generator.random(shape) < 0.01)
    truth[0], predicted[0] = True, generator.random(shape[1:]) < 0.5
    return truth, predicted


def slow_surface(mask: Any) -> Any:
    """Voxels with a face neighbour outside of the mask, one by one."""
    padded = np.pad(mask, 1)
    steps = [*np.eye(3, dtype=int), *-np.eye(3, dtype=int)]
    voxels = [v for v in np.argwhere(mask) if not all(padded[tuple(v + 1 + s)] for s in steps)]
    return np.array(voxels)


def slow_distances(truth: Any, predicted: Any, spacing: tuple[float, ...]) -> tuple[Any, Any]:
    """Distances from each surface voxel to the other surface, there and back, all pairs."""
    voxels = [slow_surface(mask) * np.array(spacing) for mask in (truth, predicted)]
    apart = np.linalg.norm(voxels[0][:, None] - voxels[1][None], axis=-1)
    return apart.min(axis=1), apart.min(axis=0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((12, 11, 10), (1.0, 1.0, 1.0)), ((9, 12, 8), (0.5, 2.0, 3.0)), ((20, 16), (1.5, 1.0))],
)
def test_hd95_agrees_with_monai(
    seed: int, shape: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    truth, predicted = blobs(seed, shape)
    masks = [torch.from_numpy(mask)[None, None] for mask in (predicted, truth)]
    expected = compute_hausdorff_distance(
        *masks, include_background=True, percentile=95, spacing=list(spacing)
    )
    found = surface.hd95(truth, predicted, spacing, "brats")
    # its float32 position between two order statistics costs MONAI the sixth digit; the next test
    # compares with the definition itself, to more digits
    assert found == pytest.approx(float(expected), rel=1e-5)
    assert found > 0


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(bool, (2, 4, 5, 3)), st.sampled_from([(1, 1, 1), (1, 2.5, 0.5)]))
def test_hd95_is_what_its_definition_says(masks: Any, spacing: tuple[float, ...]) -> None:
    truth, predicted = masks
    if not (truth.any() and predicted.any()):
        return
    there, back = slow_distances(truth, predicted, spacing)
    expected = max(np.quantile(there, 0.95), np.quantile(back, 0.95))
    assert surface.hd95(truth, predicted, spacing, "exclude") == pytest.approx(expected)
    assert surface.hd95(predicted, truth, spacing, "exclude") == pytest.approx(expected)


def test_hd95_ignores_the_farthest_twentieth() -> None:
    truth = np.zeros((400, 1), bool)
    truth[::4] = True
    predicted = truth.copy()
    predicted[399] = True
    assert surface.hd95(truth, predicted, (1.0, 1.0), "brats") == 0
    assert surface.hd95(truth, np.roll(truth, 1, axis=0), (2.0, 1.0), "brats") == 2


def test_hd95_of_empty_masks_by_each_rule() -> None:
    full, none = np.ones((3, 3, 3), bool), np.zeros((3, 3, 3), bool)
    size = (1.0, 1.0, 1.0)
    assert surface.hd95(none, none, size, "brats") == 0
    assert math.isnan(surface.hd95(none, none, size, "exclude"))
    for rule in ("brats", "exclude"):
        assert surface.hd95(full, none, size, rule) == 373.12866
        assert surface.hd95(none, full, size, rule) == 373.12866
        assert surface.hd95(full, full, size, rule) == 0
    assert pytest.approx(math.dist((0, 0, 0), (240, 240, 155)), abs=1e-4) == surface.HD95_WORST_MM


def test_hd95_refuses_what_does_not_fit() -> None:
    mask = np.ones((3, 3, 3), bool)
    for truth, predicted, size, words in (
        (mask.astype(np.uint8), mask, (1, 1, 1), "truth has dtype uint8"),
        (mask, mask[:2], (1, 1, 1), "not equal"),
        (mask, mask, (1, 1), "3 positive numbers"),
        (mask, mask, (1, 1, 0), "3 positive numbers"),
    ):
        with pytest.raises(ValueError, match=words):
            surface.hd95(truth, predicted, size, "brats")
    with pytest.raises(ValueError, match="empty is 'zero'"):
        surface.hd95(mask, mask, (1, 1, 1), "zero")  # type: ignore[arg-type]


def test_hd95_differs_from_the_organisers_by_its_stated_convention_only() -> None:
    differences = []
    for case, region in product(BRATS, organisers.REGIONS):
        truth, predicted = (np.isin(one, organisers.REGIONS[region]) for one in VOLUMES[case])
        found = surface.hd95(truth, predicted, (1.0, 1.0, 1.0), "exclude")
        expected = BRATS[case][region][1]
        if expected is None:
            assert math.isnan(found)
        elif expected == "inf":
            # theirs is infinite (373 after its parser) already where the masks do not overlap
            assert not (truth & predicted).any()
            assert (found == surface.HD95_WORST_MM) == (not (truth.any() and predicted.any()))
        else:
            there, back = slow_distances(truth, predicted, (1.0, 1.0, 1.0))
            # theirs is one percentile of both directions together, ours the larger of two
            assert np.percentile([*there, *back], 95) == pytest.approx(expected, abs=1e-6)
            assert found == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
            differences.append(found - expected)
    assert min(differences) >= -1e-6 and max(differences) > 0.1
