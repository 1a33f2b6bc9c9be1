import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib import digits
from gliomalib.schema import Value


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
def test_number_is_rounded_by_no_more_than_half_a_digit(value: float, half: float) -> None:
    interval = (value - half, value + half)
    text = digits.number(value, interval)
    read = float(text.replace(digits.MINUS, "-").replace(digits.NARROW, ""))
    places = len(text.partition(".")[2])
    assert abs(read - value) <= 0.5 * 10**-places * (1 + 1e-6) + 1e-9
    assert 10.0**-places <= max(half, 1), "the last digit must be finer than the interval"


@given(st.floats(1e-4, 1e9))
def test_number_without_interval_keeps_four_digits(value: float) -> None:
    read = float(digits.number(value).replace(digits.NARROW, ""))
    assert read == pytest.approx(value, rel=6e-4 if value < 1e-2 else 5.1e-4)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.00001, "\N{MINUS SIGN}1.0 × 10⁻⁵"),
        (23_516_228, "23\N{NARROW NO-BREAK SPACE}516\N{NARROW NO-BREAK SPACE}228"),
        (math.nan, "undefined"),
        (-math.inf, "\N{MINUS SIGN}∞"),
    ],
)
def test_numbers_at_the_edges(value: float, text: str) -> None:
    assert digits.number(value) == text


def test_an_interval_has_the_digits_of_its_value_and_no_sign_before_zero() -> None:
    assert digits.interval(0.03049, (-0.01511, 0.1352)) == "\N{MINUS SIGN}0.015 to 0.135"
    assert digits.interval(0.02, (-0.00004, 0.04)) == "0.000 to 0.040"
    assert digits.interval(math.nan, (0.2, 0.4)) == "0.20 to 0.40"
    assert digits.interval(0.3, (math.nan, 0.4)) == "interval undefined"


@pytest.mark.parametrize(
    "text",
    [
        "BraTS 2018-2020",
        "doi:10.1038/s41598-021-01681-w",
        "1e-05",
        "T1-weighted",
        "x -y",
        "05-fusion",
    ],
)
def test_hyphens_that_are_no_sign_stay(text: str) -> None:
    assert digits.with_minus(text) == text


def test_signs_of_numbers_become_minus_signs() -> None:
    assert digits.with_minus("-0.153 (-.5 to -1)") == "−0.153 (−.5 to −1)"


def test_a_value_without_interval_says_so() -> None:
    assert digits.spoken(Value("x", 0.5, None, 1)) == "0.500 (1 patient, no interval)"
    trained = Value("x", 0.5, None, 2, n_seeds=3)
    assert digits.spoken(trained) == "0.500 (2 patients, 3 trainings, no interval)"


def test_a_number_keeps_its_percent_sign() -> None:
    assert digits.percent(0.4268) == "43\u00a0%" and digits.percent(0.01, 1) == "1.0\u00a0%"


def test_one_patient_is_no_patients() -> None:
    assert [digits.counted(n, "patient") for n in (0, 1, 2)] == [
        "0 patients",
        "1 patient",
        "2 patients",
    ]
