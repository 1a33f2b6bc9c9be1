"""Every rule fuses as it says, learns from inner patients only, and keeps to probabilities."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from gliomalib.fusion import average, exact_sweep, optimum, rules
from gliomalib.schema import DataError, MismatchError, SettingsError, Volume
from gliomalib.scoring import metrics, tables
from tests.fusion.simulated import SHAPE, patients, volume

INNER = [key for key, rule in rules.RULES.items() if rule.fitted_on == "inner patients"]
FREE = [key for key, rule in rules.RULES.items() if rule.fitted_on == "nothing"]


def mean_dice(fitted: rules.Fitted, tested: Any) -> float:
    """Return the mean Dice of the tumour classes of patients as the evaluation has it."""
    found = []
    for pair, labels in tested:
        classes = tables.predicted_labels(fitted.apply(pair))
        counts = metrics.confusion_matrix(labels, classes)
        found += [metrics.dice(counts, (label,), "brats") for label in (1, 2, 3)]
    return float(np.mean(found))


def dice_on_grid(pair: Any, labels: Any) -> Any:
    """Return the mean Dice of the tumour classes at 301 α, from float32 sums of all voxels."""
    p2d, p3d = (one.probabilities.astype(np.float32) for one in pair)
    dice = []
    for alpha in np.linspace(0, 1, 301):
        classes = (np.float32(alpha) * p2d + np.float32(1 - alpha) * p3d).argmax(axis=0)
        counts = metrics.confusion_matrix(labels, classes)
        dice.append(np.mean([metrics.dice(counts, (k,), "brats") for k in (1, 2, 3)]))
    return np.array(dice)


@pytest.fixture(scope="module")
def inner() -> Any:
    """Inner patients with two nets of which none is good everywhere."""
    return patients(4, (3.5, 3.5, 2, 3), (3.5, 2, 3, 3))


@pytest.fixture(scope="module")
def fitted(inner: Any) -> dict[str, rules.Fitted]:
    """Every rule, fitted to the inner patients."""
    return {key: rules.fit(key, inner, 0) for key in rules.RULES}


def test_all_rules_of_the_study_are_there() -> None:
    assert list(rules.RULES) == [
        "two_d", "three_d", "half", "published", "chosen_alpha", "per_class_alpha",
        "learnable_scalar", "log_pool", "entropy_weighted", "stacking", "gate", "staple",
    ]  # fmt: skip
    assert all(key == rule.key for key, rule in rules.RULES.items())
    assert len({rule.title for rule in rules.RULES.values()}) == len(rules.RULES)


@pytest.mark.parametrize("key", rules.RULES)
def test_a_net_with_itself_stays_what_it_is(key: str) -> None:
    same = [((pair[0], pair[0]), labels) for pair, labels in patients(3, 9, 9)]
    (pair, _), *_ = [((net, net), labels) for (net, _), labels in patients(1, 9, 9, first=10)]
    found = rules.fit(key, same, 0).apply(pair)
    before, after = (tables.predicted_labels(one) for one in (pair[0], found))
    assert (before == after).mean() == 1 if key != "stacking" else (before == after).mean() > 0.99


@pytest.mark.parametrize("key", INNER)
@pytest.mark.parametrize("good", [0, 1])
def test_what_is_fitted_goes_to_the_net_that_is_right(key: str, good: int) -> None:
    skills = [0, 0]
    skills[good] = 25
    training, tested = patients(3, *skills), patients(2, *skills, first=20)
    assert mean_dice(rules.fit(key, training, 0), tested) > 0.99
    other = rules.fit("three_d" if good == 0 else "two_d", (), 0)
    assert mean_dice(other, tested) < 0.3


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 3, 30, 300]), st.sampled_from([0.5, 30, 300]))
def test_what_comes_out_are_probabilities_on_the_grid(
    fitted: dict[str, rules.Fitted], seed: int, sharp2d: float, sharp3d: float
) -> None:
    generator = np.random.default_rng(seed)
    logits = [sharp * generator.normal(size=(4, *SHAPE)) for sharp in (sharp2d, sharp3d)]
    pair = tuple(volume(special.softmax(one, axis=0), "q") for one in logits)
    for key, rule in fitted.items():
        found = rule.apply(pair)  # type: ignore[arg-type]
        assert found.grid == pair[0].grid, key
        assert found.probabilities.dtype == np.float16, key
        assert found.probabilities.shape == (4, *SHAPE), key
        assert found.probabilities.min() >= 0, key
        assert found.probabilities.max() <= 1, key
        sums = found.probabilities.sum(axis=0, dtype=float)
        np.testing.assert_allclose(sums, 1, atol=3e-3, err_msg=key)


@pytest.mark.parametrize("key", rules.RULES)
def test_volumes_that_do_not_belong_together_are_refused(
    fitted: dict[str, rules.Fitted], inner: Any, key: str
) -> None:
    p2d, p3d = inner[0][0]
    strange = Volume(p3d.probabilities, replace(p3d.grid, crop_start=(1, 0, 0)))
    with pytest.raises(MismatchError, match="crop_start"):
        fitted[key].apply((p2d, strange))
    broken = volume(p3d.probabilities.copy())
    broken.probabilities[:, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"probabilities of p (start|run)"):
        fitted[key].apply((p2d, broken))


@pytest.mark.parametrize("key", INNER)
def test_two_inner_patients_are_the_least(inner: Any, key: str) -> None:
    for few in ([], inner[:1]):
        with pytest.raises(
            DataError, match=f"{key} is fitted to inner patients and got {len(few)}"
        ):
            rules.fit(key, few, 0)
    assert rules.fit(key, inner[:2], 0).parameters


class Untouchable(Sequence[Any]):
    """Training patients at whom nobody may look."""

    def __getitem__(self, _: Any) -> Any:
        raise AssertionError("looked at a patient")

    def __len__(self) -> int:
        return 5


@pytest.mark.parametrize("key", FREE)
def test_a_rule_fitted_on_nothing_looks_at_nobody(key: str) -> None:
    assert rules.fit(key, Untouchable(), 0)


@pytest.mark.parametrize("key", INNER)
def test_a_fitted_rule_looks_at_every_patient(key: str) -> None:
    with pytest.raises(AssertionError, match="looked at a patient"):
        rules.fit(key, Untouchable(), 0)


def test_no_rule_can_see_the_labels_of_whom_it_is_applied_to() -> None:
    assert list(inspect.signature(rules.fit).parameters)[:3] == ["rule_key", "inner", "seed"]
    assert list(inspect.signature(rules.Fitted.apply).parameters) == ["self", "pair"]
    bound = "the patient itself (bound, not a method)"
    assert bound not in {rule.fitted_on for rule in rules.RULES.values()}
    assert rules.ORACLE.fitted_on == bound


@pytest.mark.parametrize("key", ["oracle", "mean"])
def test_unknown_rules_are_refused(key: str) -> None:
    with pytest.raises(SettingsError, match=rf"no fusion rule '{key}' to fit.*two_d.*staple"):
        rules.fit(key, [], 0)


@pytest.mark.parametrize("key", rules.RULES)
def test_the_same_seed_fits_the_same(inner: Any, key: str) -> None:
    one, other = (rules.fit(key, inner, 5) for _ in range(2))
    assert one.parameters == other.parameters
    pair = inner[0][0]
    a, b = one.apply(pair), other.apply(pair)
    np.testing.assert_array_equal(a.probabilities, b.probabilities)


@pytest.mark.parametrize(
    ("key", "alpha"), [("two_d", 1), ("three_d", 0), ("half", 0.5), ("published", 0.6)]
)
def test_fixed_weights_are_the_weighted_average(
    fitted: dict[str, rules.Fitted], inner: Any, key: str, alpha: float
) -> None:
    pair = inner[0][0]
    found = fitted[key].apply(pair).probabilities
    expected = average.weighted_average(*pair, alpha).probabilities
    np.testing.assert_array_equal(found, expected)
    assert fitted[key].parameters == {"alpha": alpha}
    if alpha in (0, 1):
        np.testing.assert_array_equal(found, pair[0 if alpha else 1].probabilities)


def test_no_weight_has_more_inner_dice_than_the_chosen_one(
    fitted: dict[str, rules.Fitted], inner: Any
) -> None:
    swept = np.mean([dice_on_grid(pair, labels) for pair, labels in inner], axis=0)
    found = fitted["chosen_alpha"].parameters
    assert swept.max() - 1e-12 <= found["dice"] < swept.max() + 0.02
    assert 0 < found["width"] < 0.1
    assert found["dice"] == pytest.approx(mean_dice(fitted["chosen_alpha"], inner), abs=0.005)


def test_an_empty_class_counts_as_the_rule_for_empty_masks_says() -> None:
    # the 2D net finds edema where there is none; only with brats does it cost Dice of edema
    labels = np.zeros((4, 1, 1), np.uint8)
    labels[1:] = 1
    background, core, edema = np.eye(4)[[0, 1, 2]] * 0.9 + 0.025
    p3d = volume(np.array([background, core, background, background]).T.reshape(4, 4, 1, 1))
    p2d = volume(np.array([edema, core, core, core]).T.reshape(4, 4, 1, 1))
    training = [((p2d, p3d), labels)] * 2
    for empty, dice in (("brats", (1 + 0.5 + 1) / 3), ("exclude", 0.5)):
        found = rules.fit("chosen_alpha", training, 0, empty).parameters  # type: ignore[arg-type]
        assert found["dice"] == pytest.approx(dice), empty


def test_the_oracle_is_a_bound_for_every_weight(inner: Any) -> None:
    for pair, labels in inner:
        found = rules.oracle(pair, labels)
        assert found.parameters["dice"] >= dice_on_grid(pair, labels).max() - 1e-12
        expected = average.weighted_average(*pair, found.parameters["alpha"]).probabilities
        np.testing.assert_array_equal(found.apply(pair).probabilities, expected)


def test_rounding_takes_no_voxel_of_a_tiny_class_from_the_oracle() -> None:
    # one voxel is the whole class, and a tie in float16 at the exact optimum gives it away
    labels = np.zeros((2, 1, 1), np.uint8)
    labels[0], step = 2, 2.0**-12
    first = np.array([[0.5 + 2 * step, 0, 0.5, 0], [1, 0, 0, 0]])
    second = np.array([[0.5 - step, 0, 0.5, 0], [1, 0, 0, 0]])
    p2d, p3d = (volume(values.T.reshape(4, 2, 1, 1)) for values in (first, second))
    steps = exact_sweep.steps_of(p2d, p3d, labels)
    best = optimum.best_of(exact_sweep.dice_at(steps, (2,), "brats"))
    at_best = average.weighted_average(p2d, p3d, best.alpha).probabilities
    assert best.value == 1 and not (at_best.argmax(axis=0) == labels).all()
    stored = rules.oracle((p2d, p3d), labels).apply((p2d, p3d)).probabilities
    assert (stored.argmax(axis=0) == labels).all()


def test_each_class_gets_the_net_that_knows_it() -> None:
    # only 2D sees well where there is no tumour, only 3D sees edema well
    training = patients(4, (3, 3, 1, 3), (1, 3, 3, 3))
    found = rules.fit("per_class_alpha", training, 0)
    weights = found.parameters["alphas"]
    assert weights[0] > 0.6 > 0.4 > weights[2]  # noqa: PLR0133
    chosen = rules.fit("chosen_alpha", training, 0)
    assert found.parameters["dice"] > chosen.parameters["dice"] + 0.02
    tested = patients(3, (3, 3, 1, 3), (1, 3, 3, 3), first=30)
    assert mean_dice(found, tested) > mean_dice(chosen, tested) + 0.01


def test_the_weights_of_classes_are_a_local_optimum(
    fitted: dict[str, rules.Fitted], inner: Any
) -> None:
    found = fitted["per_class_alpha"].parameters
    assert found["dice"] >= fitted["chosen_alpha"].parameters["dice"]

    def slow(weights: Any) -> float:
        dice = []
        for pair, labels in inner:
            p2d, p3d = (one.probabilities.astype(np.float32) for one in pair)
            alpha = np.asarray(weights, np.float32)[:, None, None, None]
            mean = np.float32(0.5e-6) * (p2d + p3d)
            classes = (alpha * p2d + (1 - alpha) * p3d + mean).argmax(axis=0)
            counts = metrics.confusion_matrix(labels, classes)
            dice += [metrics.dice(counts, (label,), "brats") for label in (1, 2, 3)]
        return float(np.mean(dice))

    assert slow(found["alphas"]) == pytest.approx(found["dice"], abs=1e-12)
    for label in range(4):
        for value in np.linspace(0, 1, 21):
            weights = list(found["alphas"])
            weights[label] = value
            assert slow(weights) <= found["dice"] + 1e-12


def test_of_weights_with_equal_dice_the_first_stays() -> None:
    same = [((pair[0], pair[0]), labels) for pair, labels in patients(2, 3, 3)]
    found = rules.fit("per_class_alpha", same, 0).parameters
    assert found["alphas"] == (0.5,) * 4, "no weight gains anything on the middle of 0 to 1"


def test_weights_that_leave_a_voxel_nothing_leave_it_the_mean() -> None:
    p2d, p3d = np.zeros((2, 4, 2, 1, 1))
    p2d[1, 0], p3d[2, 0], p2d[3, 1], p3d[3, 1] = 1, 1, 1, 1
    found = rules.weighted_by_class(np.array([0.5, 0, 1, 0.5]), (volume(p2d), volume(p3d)))
    np.testing.assert_allclose(found[:, :, 0, 0].T, [[0, 0.5, 0.5, 0], [0, 0, 0, 1]])


def voxel(*probabilities: float) -> Volume:
    return volume(np.reshape(probabilities, (4, 1, 1, 1)))


def fused(key: str, one: Volume, other: Volume) -> Any:
    return rules.fit(key, (), 0).apply((one, other)).probabilities[:, 0, 0, 0].astype(float)


def test_the_log_pool_is_the_geometric_mean() -> None:
    found = fused("log_pool", voxel(0.5, 0.25, 0.125, 0.125), voxel(0.125, 0.25, 0.5, 0.125))
    expected = np.array([0.25, 0.25, 0.25, 0.125])
    np.testing.assert_allclose(found, expected / expected.sum(), atol=3e-4)


def test_the_log_pool_hears_the_one_that_rules_a_class_out() -> None:
    found = fused("log_pool", voxel(0, 1, 0, 0), voxel(0.5, 0.5, 0, 0))
    assert found[1] > 0.999


def test_the_surer_net_weighs_more_by_its_entropy() -> None:
    sure, unsure = np.array([0.0, 1, 0, 0]), np.array([0.5, 0, 0.5, 0])
    # entropies 0 and 1/2 of the maximum: weights 1 and 1/2
    found = fused("entropy_weighted", voxel(*sure), voxel(*unsure))
    np.testing.assert_allclose(found, (2 * sure + unsure) / 3, atol=3e-4)
    nothing = voxel(0.25, 0.25, 0.25, 0.25)
    found = fused("entropy_weighted", nothing, voxel(*unsure))
    np.testing.assert_allclose(found, unsure, atol=3e-4)
    np.testing.assert_allclose(fused("entropy_weighted", nothing, nothing), 0.25)


def test_staple_takes_classes_and_not_probabilities(inner: Any) -> None:
    pair = inner[0][0]
    hard = [volume(np.moveaxis(np.eye(4)[one.probabilities.argmax(0)], -1, 0)) for one in pair]
    rule = rules.fit("staple", (), 0)
    found, same = rule.apply(pair), rule.apply((hard[0], hard[1]))
    np.testing.assert_array_equal(found.probabilities, same.probabilities)
    agree = hard[0].probabilities.argmax(0) == hard[1].probabilities.argmax(0)
    before = tables.predicted_labels(hard[0])[agree]
    np.testing.assert_array_equal(tables.predicted_labels(found)[agree], before)


def test_stacking_without_a_class_is_refused() -> None:
    training = patients(2, 3, 3)
    for _, labels in training:
        labels[labels == 3] = 2
    with pytest.raises(DataError, match="no voxel of class enhancing tumour"):
        rules.fit("stacking", training, 0)
    for key in INNER:
        if key != "stacking":
            assert rules.fit(key, training, 0).parameters
