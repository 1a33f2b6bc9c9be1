"""The Bayesian signed-rank test on differences of known size."""

from __future__ import annotations

import numpy as np
import pytest

from gliomalib.scoring import rope


def test_a_gain_a_loss_and_no_difference_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, 60)
    assert rope.signed_rank(noise + 0.05, 1).better > 0.99
    assert rope.signed_rank(noise - 0.05, 1).worse > 0.99
    assert rope.signed_rank(noise / 5, 1).same > 0.99


def test_probabilities_sum_to_one_and_mirror() -> None:
    differences = np.random.default_rng(1).normal(0.01, 0.03, 20)
    there, back = rope.signed_rank(differences, 2), rope.signed_rank(-differences, 2)
    assert there.worse + there.same + there.better == pytest.approx(1)
    assert there.better == pytest.approx(back.worse, abs=0.02)


def test_the_region_decides_what_matters() -> None:
    differences = np.full(30, 0.02)
    assert rope.signed_rank(differences, 3, rope=0.01).better > 0.99
    assert rope.signed_rank(differences, 3, rope=0.05).same > 0.99


def test_blocks_agree_with_the_slow_way_over_pairs() -> None:
    differences = np.array([0.03, -0.02, 0.05, 0.0, 0.04])
    values = np.append(0.0, differences)
    weights = np.random.default_rng(4).dirichlet([rope.PRIOR, *[1] * 5], 3000)
    largest = np.zeros(3)
    for w in weights:
        shares = np.zeros(3)
        for i, first in enumerate(values):
            for j, second in enumerate(values):
                middle = (first + second) / 2
                shares[0 if middle < -0.01 else 2 if middle > 0.01 else 1] += w[i] * w[j]
        largest[shares.argmax()] += 1
    expected = largest / largest.sum()
    result = rope.signed_rank(differences, 5)
    assert (result.worse, result.same, result.better) == pytest.approx(expected, abs=0.03)


def test_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="one difference per patient"):
        rope.signed_rank([], 0)
