"""Four classes, four colours that colour-blind eyes tell apart."""

from itertools import combinations

from gliomalib.schema import CLASS_COLOURS, CLASS_NAMES


def lightness(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_class_has_a_colour_of_its_own() -> None:
    assert len(set(CLASS_COLOURS)) == len(CLASS_NAMES)


def test_no_two_tumour_classes_are_equal_in_grey_and_in_blue() -> None:
    for one, other in combinations(CLASS_COLOURS[1:], 2):
        blue = abs(int(one[5:7], 16) - int(other[5:7], 16)) / 255
        assert abs(lightness(one) - lightness(other)) > 0.05 or blue > 0.3
