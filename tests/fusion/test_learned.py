"""What is fitted by likelihood is the best there is, and known truths are found again."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import special
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from gliomalib.fusion import learned
from gliomalib.schema import DataError, MismatchError, RecordError, Volume
from tests.fusion.simulated import volume

SHAPE = (8, 7, 6)


def network(labels: Any, skill: float, seed: int) -> Volume:
    """Return a calibrated net: each class has normal evidence, higher by skill² if it is true."""
    noise = np.random.default_rng(seed).normal(size=(4, *labels.shape))
    truth = np.moveaxis(np.eye(4)[labels], -1, 0)
    return volume(special.softmax(skill**2 * truth + skill * noise, axis=0))


def labels_of(seed: int, shares: Any = (0.25,) * 4, shape: Any = SHAPE) -> Any:
    return np.random.default_rng(seed).choice(4, shape, p=shares).astype(np.uint8)


def patients(count: int, skills: tuple[float, float], **more: Any) -> list[Any]:
    """Return patients whose two nets are as good as ``skills`` say."""
    found = []
    for seed in range(count):
        labels = labels_of(seed, **more)
        pair = [network(labels, skill, 100 * seed + k) for k, skill in enumerate(skills, 1)]
        found.append(((pair[0], pair[1]), labels))
    return found


def true_probabilities(training: Any) -> Any:
    """Return what both nets give to the true class of every voxel, at least the floor."""
    rows = []
    for pair, labels in training:
        index = np.indices(labels.shape)
        rows.append([one.probabilities[labels, *index].ravel().astype(float) for one in pair])
    return np.maximum(np.concatenate(rows, axis=1), learned.FLOOR)


@pytest.mark.parametrize("skills", [(1.5, 1.5), (2.5, 1.5), (1.2, 2.0)])
def test_the_scalar_is_that_of_a_dense_grid(skills: Any) -> None:
    training = patients(3, skills)
    p2d, p3d = true_probabilities(training)
    grid = np.linspace(0, 1, 2001)
    losses = [-np.log(alpha * p2d + (1 - alpha) * p3d).mean() for alpha in grid]
    best = grid[int(np.argmin(losses))]
    assert 0 < best < 1
    assert learned.cross_entropy_alpha(training) == pytest.approx(best, abs=5e-4)


def test_the_scalar_goes_to_the_end_where_one_net_is_always_better() -> None:
    labels = labels_of(0)
    better = volume(np.where(np.arange(4)[:, None, None, None] == labels, 0.7, 0.1))
    worse = volume(np.where(np.arange(4)[:, None, None, None] == labels, 0.4, 0.2))
    assert learned.cross_entropy_alpha([((better, worse), labels)]) == 1
    assert learned.cross_entropy_alpha([((worse, better), labels)]) == 0


def test_a_true_class_with_probability_0_is_not_infinitely_bad() -> None:
    labels = np.zeros((2, 1, 1), np.uint8)
    p2d, p3d = np.full((2, 4, 2, 1, 1), 0.25)
    p2d[:, 0, 0, 0], p3d[:, 1, 0, 0] = [0, 1, 0, 0], [0, 1, 0, 0]
    assert 0 < learned.cross_entropy_alpha([((volume(p2d), volume(p3d)), labels)]) < 1


def rows_of(training: Any) -> Any:
    """Return the log-probabilities (n, 8) of all voxels, and their classes."""
    features = [
        np.concatenate([one.probabilities.reshape(4, -1).astype(float) for one in pair]).T
        for pair, _ in training
    ]
    logs = np.log(np.maximum(np.concatenate(features), learned.FLOOR))
    return logs, np.concatenate([labels.ravel() for _, labels in training])


def test_stacking_of_all_voxels_is_the_plain_regression() -> None:
    training = patients(3, (1.5, 2), shares=(0.6, 0.1, 0.2, 0.1))
    stack = learned.fit_stack(training, 0)
    features, classes = rows_of(training)
    assert stack.voxels == tuple(np.bincount(classes))
    plain = LogisticRegression(max_iter=5000, tol=1e-8).fit(features, classes)
    fused = stack.apply(training[0][0]).reshape(4, -1).T
    count = training[0][1].size
    np.testing.assert_allclose(fused, plain.predict_proba(features[:count]), atol=1e-4)


def test_a_sample_by_class_gives_nearly_the_same_probabilities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    training = patients(4, (1.5, 2), shares=(0.9, 0.02, 0.05, 0.03), shape=(30, 15, 20))
    features, classes = rows_of(training)
    plain = LogisticRegression(max_iter=5000).fit(features, classes)
    monkeypatch.setattr(learned, "VOXELS_OF_CLASS", 600)
    stack = learned.fit_stack(training, 0)
    assert stack.voxels == (600, 600, 600, 600)
    fused = np.concatenate([stack.apply(pair).reshape(4, -1).T for pair, _ in training])
    expected = plain.predict_proba(features)
    # without the correction the rare classes would get three times their share
    np.testing.assert_allclose(fused.mean(axis=0), np.bincount(classes) / len(classes), rtol=0.15)
    assert np.abs(fused - expected).mean() < 0.01
    assert (fused.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.98


def test_the_sample_depends_on_the_seed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    training = patients(3, (1.5, 2))
    monkeypatch.setattr(learned, "VOXELS_OF_CLASS", 50)
    one, same, other = (learned.fit_stack(training, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.weights, same.weights)
    assert (one.weights != other.weights).all()


def test_the_sample_has_no_voxel_twice_and_is_spread_over_the_patients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = np.array([1000, 0, 3000])
    monkeypatch.setattr(learned, "VOXELS_OF_CLASS", 2000)
    drawn = learned.draw_voxels(counts, 1, 0)
    for part, count in zip(drawn, counts, strict=True):
        assert len(np.unique(part)) == len(part)
        assert ((part >= 0) & (part < count)).all()
    assert [len(part) for part in drawn] == pytest.approx([500, 0, 1500], abs=60)
    monkeypatch.setattr(learned, "VOXELS_OF_CLASS", 5000)
    for part, count in zip(learned.draw_voxels(counts, 1, 0), counts, strict=True):
        np.testing.assert_array_equal(part, np.arange(count))


def test_stacking_needs_every_class() -> None:
    training = patients(2, (1, 1), shares=(0.5, 0, 0.5, 0))
    with pytest.raises(DataError, match="no voxel of class necrotic core, enhancing tumour"):
        learned.fit_stack(training, 0)


def test_a_regression_that_does_not_converge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "ITERATIONS", 2)
    for fit in (learned.fit_stack, learned.fit_gate):
        with (
            pytest.warns(ConvergenceWarning),
            pytest.raises(RecordError, match="did not converge in 2 rounds"),
        ):
            fit(patients(2, (1.5, 2)), 0)


def moody(labels: Any, sure: Any, seed: int) -> Volume:
    """Return a net that is right where it is sure, and elsewhere guesses with low confidence."""
    guess = np.random.default_rng(seed).integers(0, 4, labels.shape)
    found, top = np.where(sure, labels, guess), np.where(sure, 0.7, 0.55)
    return volume(np.where(np.arange(4)[:, None, None, None] == found, top, (1 - top) / 3))


def moody_patients(count: int) -> list[Any]:
    """Return patients where each net is right in one half of the voxels, and sure only there."""
    found = []
    for seed in range(count):
        labels = labels_of(seed)
        sure = np.random.default_rng(seed + 50).random(SHAPE) < 0.5
        pair = (moody(labels, sure, seed + 100), moody(labels, ~sure, seed + 200))
        found.append((pair, labels))
    return found


def test_the_gate_follows_the_net_that_is_right_when_it_is_sure() -> None:
    *training, (pair, labels) = moody_patients(4)
    gate = learned.fit_gate(training, 0)
    alpha = gate.alpha(pair)
    sure2d = pair[0].probabilities.max(axis=0) > 0.6
    assert alpha[sure2d].min() > 0.9 > 0.1 > alpha[~sure2d].max()  # noqa: PLR0133
    assert (gate.apply(pair).argmax(axis=0) == labels).all()
    assert gate.share == pytest.approx(0.5, abs=0.05)


def test_the_gate_mixes_as_its_weight_says() -> None:
    training = patients(3, (1.5, 2))
    pair = training[0][0]
    gate = learned.fit_gate(training, 0)
    p2d, p3d = learned.branches(pair)
    alpha = gate.alpha(pair)
    assert alpha.min() < alpha.max()
    np.testing.assert_allclose(gate.apply(pair), p2d * alpha + p3d * (1 - alpha), atol=1e-6)


def test_the_gate_is_constant_where_there_is_nothing_to_learn() -> None:
    labels = labels_of(0)
    good, bad = network(labels, 20, 1), network((labels + 1) % 4, 20, 2)
    for pair, alpha in (((good, bad), 1), ((bad, good), 0), ((good, good), 0.5)):
        gate = learned.fit_gate([(pair, labels)], 0)
        np.testing.assert_array_equal(gate.alpha(pair), alpha)


def test_the_gate_looks_only_where_just_one_net_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    training = patients(2, (1.5, 2))
    one = sum(
        ((pair[0].probabilities.argmax(0) == labels) != (pair[1].probabilities.argmax(0) == labels))
        .sum()
        for pair, labels in training
    )  # fmt: skip
    assert learned.fit_gate(training, 0).voxels == one
    monkeypatch.setattr(learned, "GATE_VOXELS", 40)
    assert learned.fit_gate(training, 0).voxels == 40


def test_what_the_gate_sees() -> None:
    sure, unsure = [1.0, 0, 0, 0], [0.1, 0.5, 0.2, 0.2]
    p2d = np.moveaxis(np.array([sure, sure, sure, sure, sure]), 0, 1).reshape(4, 5, 1, 1)
    p3d = np.moveaxis(np.array([sure, unsure, unsure, unsure, sure]), 0, 1).reshape(4, 5, 1, 1)
    found = learned.gate_features(p2d.astype(np.float32), p3d.astype(np.float32), (3, 50, 50))
    h = -sum(p * np.log(p) for p in unsure) / np.log(4)
    expected = [[0] * 5, [0, h, h, h, 0], [1] * 5, [1, 0.5, 0.5, 0.5, 1], [0, 3, 6, 3, 0]]
    np.testing.assert_allclose(found[:, :, 0, 0], expected, rtol=1e-5)


def test_the_gate_learns_and_applies_depth_in_the_units_of_the_grid() -> None:
    def alpha(*spacing_mm: float) -> Any:
        training: list[Any] = [
            ([replace(one, grid=replace(one.grid, spacing_mm=spacing_mm)) for one in pair], labels)
            for pair, labels in patients(3, (1.5, 2))
        ]
        return learned.fit_gate(training, 0).alpha(training[0][0])

    np.testing.assert_allclose(alpha(6, 6, 6), alpha(2, 2, 2), rtol=1e-4)
    assert np.abs(alpha(2, 2, 9) - alpha(2, 2, 2)).max() > 0.01


def test_a_volume_of_disagreement_still_has_a_depth() -> None:
    p2d, p3d = np.zeros((2, 4, 3, 3, 3), np.float32)
    p2d[0], p3d[1] = 1, 1
    depth = learned.gate_features(p2d, p3d, (1, 1, 1))[4]
    assert (depth.min(), depth.max()) == (1, 2)


def test_entropy_runs_from_sure_to_knowing_nothing() -> None:
    columns = np.array([[1.0, 0.25, 0.5], [0, 0.25, 0.5], [0, 0.25, 0], [0, 0.25, 0]], np.float32)
    np.testing.assert_allclose(learned.entropy(columns), [0, 1, 0.5], rtol=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, -0.5, 0.9])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    good, bad = network(labels_of(0), 1, 0), network(labels_of(0), 1, 1)
    bad.probabilities[2, 0, 1, 1] = wrong
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(ValueError, match=r"probabilities of p (run from|have sums)"):
            learned.branches(pair)


@pytest.mark.parametrize("fit", [learned.fit_stack, learned.fit_gate])
def test_labels_that_do_not_belong_are_refused(fit: Any) -> None:
    (pair, labels), *_ = patients(1, (1, 1))
    with pytest.raises(MismatchError, match="the labels have shape"):
        fit([(pair, labels[:4])], 0)
    with pytest.raises(ValueError, match="go up to 4"):
        fit([(pair, np.full_like(labels, 4))], 0)
    with pytest.raises(MismatchError, match="the labels have shape"):
        learned.cross_entropy_alpha([(pair, labels[:4])])
    other = network(labels[:4], 1, 0)
    with pytest.raises(MismatchError, match="cannot be fused"):
        fit([((pair[0], other), labels)], 0)
