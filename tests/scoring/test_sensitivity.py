"""One patient who decides is named; a difference that all share has no decider."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gliomalib.scoring import sensitivity


def test_one_empty_mask_that_makes_a_mean_is_named() -> None:
    # nine patients without a difference to speak of, and one whose spurious mask costs a class
    differences = pd.Series([-0.005] * 9 + [0.346], [f"Phantom-A-{n:03d}" for n in range(10)])
    result = sensitivity.leave_one_out(differences)
    assert result.decider == "Phantom-A-009"
    assert (result.better, result.n) == (1, 10)
    assert result.least == pytest.approx(-0.005) and result.median == pytest.approx(-0.005)


def test_a_difference_that_all_share_has_no_decider() -> None:
    differences = pd.Series(np.linspace(0.02, 0.04, 10), list("abcdefghij"))
    result = sensitivity.leave_one_out(differences)
    assert result.decider == ""
    assert (result.median, result.better, result.n) == (pytest.approx(0.03), 10, 10)


def test_a_loss_that_one_patient_makes_is_named_as_well() -> None:
    result = sensitivity.leave_one_out(pd.Series([0.0, 0.001, -0.3], ["a", "b", "c"]))
    assert result.decider == "c"


def test_leaving_out_agrees_with_the_slow_way() -> None:
    differences = pd.Series(np.random.default_rng(0).normal(0.01, 0.05, 12), range(12))
    means = [differences.drop(name).mean() for name in differences.index]
    result = sensitivity.leave_one_out(differences)
    assert (result.least, result.most) == pytest.approx((min(means), max(means)))


def test_a_single_patient_decides() -> None:
    assert sensitivity.leave_one_out(pd.Series([0.2], ["a"])).decider == "a"
