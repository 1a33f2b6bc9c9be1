"""Images of phantoms: contrasts of the sequences, and what a site changes."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from gliomalib.phantoms.anatomy import Tissues, tissues
from gliomalib.phantoms.grid import Dice, brain_frame
from gliomalib.phantoms.mri import SITES, scan, slice_profile
from gliomalib.phantoms.tumour import ED, ET, NCR, Tumour
from gliomalib.schema import Images

FRAME = brain_frame(4.0)
T1, T1CE, T2, FLAIR = range(4)


@pytest.fixture(scope="module")
def brain() -> Tissues:
    return tissues(Dice(5), FRAME)


@pytest.fixture(scope="module")
def tumour(brain: Tissues) -> Tumour:
    """Shells around one point: core, rim and edema."""
    distance = FRAME.distance_mm((85.0, 125.0, 90.0))
    labels = np.select([distance < 11, distance < 19, distance < 32], [NCR, ET, ED], 0)
    labels[~brain.solid] = 0
    return Tumour(labels.astype(np.uint8), (20.0 - distance) / 4.0)


@pytest.fixture(scope="module")
def images(brain: Tissues, tumour: Tumour) -> dict[str, Images]:
    return {
        name: scan(Dice(5), Dice(6), site, brain, tumour, FRAME) for name, site in SITES.items()
    }


def test_values_fit_into_the_files_of_brats(images: dict[str, Images], brain: Tissues) -> None:
    for made in images.values():
        assert made.dtype == np.float32
        assert not made[:, ~brain.brain].any()
        assert made[:, brain.brain].min() >= 1.0
        assert made.max() <= 32767.0
        assert np.array_equal(made, np.rint(made))


def test_healthy_tissue_has_the_contrast_of_its_sequence(
    images: dict[str, Images], brain: Tissues, tumour: Tumour
) -> None:
    far = tumour.log_odds < -8
    where = [part > 0.8 for part in (brain.fluid, brain.grey, brain.white)]
    fluid, grey, white = (images["A"][:, (share & far)].mean(axis=1) for share in where)
    assert fluid[T1] < grey[T1] < white[T1]
    assert white[T2] < grey[T2] < fluid[T2]
    assert fluid[FLAIR] < white[FLAIR] < grey[FLAIR]


@pytest.mark.parametrize("site", ["A", "B"])
def test_the_tumour_has_the_contrast_of_its_sequence(
    images: dict[str, Images], brain: Tissues, tumour: Tumour, site: str
) -> None:
    made, labels = images[site], tumour.labels
    white = (labels == 0) & (brain.white > 0.8)
    healthy = made[:, white].mean(axis=1)
    core, edema, rim = (made[:, labels == label].mean(axis=1) / healthy for label in (NCR, ED, ET))
    assert edema[FLAIR] > 1.2
    assert edema[T2] > 1.2
    assert rim[T1CE] > 1.15 * max(1.0, rim[T1], core[T1CE], edema[T1CE])
    assert core[T1CE] < 0.95
    assert max(core[T1], rim[T1]) < 1.0
    assert core[T2] > 1.2


def test_classes_overlap(images: dict[str, Images], tumour: Tumour) -> None:
    """No threshold on one sequence sorts rim from edema: the task is not trivial."""
    for image in images["A"]:
        edema, rim = np.sort(image[tumour.labels == ED]), np.sort(image[tumour.labels == ET])
        values = np.unique(image)
        below_rim = np.searchsorted(rim, values) / rim.size
        below_edema = np.searchsorted(edema, values) / edema.size
        balanced = 0.5 + 0.5 * np.abs(below_edema - below_rim).max()
        assert balanced < 0.985


def test_the_contrast_agent_makes_the_difference(brain: Tissues, tumour: Tumour) -> None:
    none = dataclasses.replace(SITES["A"], dose=0.0)
    with_, without = (
        scan(Dice(5), Dice(6), site, brain, tumour, FRAME) for site in (SITES["A"], none)
    )
    rim = tumour.labels == ET
    assert with_[T1CE][rim].mean() > 1.4 * without[T1CE][rim].mean()
    assert np.array_equal(with_[[T1, FLAIR]], without[[T1, FLAIR]])


def test_site_b_enhances_less_and_is_noisier(
    images: dict[str, Images], brain: Tissues, tumour: Tumour
) -> None:
    enhancement, noise = {}, {}
    white = (tumour.labels == 0) & ndimage.binary_erosion(brain.white > 0.85)
    for name, made in images.items():
        level = made[:, white].mean(axis=1)
        enhancement[name] = made[T1CE][tumour.labels == ET].mean() / level[T1CE]
        # in-plane differences of neighbours: shading and anatomy cancel
        pair = white & np.roll(white, 1, axis=0)
        rough = made - np.roll(made, 1, axis=1)
        noise[name] = rough[T1CE][pair].std() / level[T1CE]
    assert enhancement["B"] < 0.9 * enhancement["A"]
    assert noise["B"] > 1.15 * noise["A"]


def test_noise_raises_the_dark_and_spreads_the_bright(brain: Tissues, tumour: Tumour) -> None:
    loud = dataclasses.replace(SITES["A"], noise=(0.3,) * 4)
    calm, noisy = (
        scan(Dice(5), Dice(6), site, brain, tumour, FRAME) for site in (SITES["A"], loud)
    )
    fluid, white = (brain.fluid > 0.9) & brain.brain, brain.white > 0.9
    assert noisy[FLAIR][fluid].mean() > 1.1 * calm[FLAIR][fluid].mean()
    assert noisy[T1CE][white].std() > 1.4 * calm[T1CE][white].std()


def test_no_lesion_no_enhancing_rim(brain: Tissues) -> None:
    healthy = Tumour(np.zeros(FRAME.shape, np.uint8), np.full(FRAME.shape, -16.0, np.float32))
    made = scan(Dice(5), Dice(6), SITES["A"], brain, healthy, FRAME)
    white = brain.white > 0.8
    assert np.percentile(made[T1CE][white], 99) < 1.5 * np.median(made[T1CE][white])


def test_thick_slices_average_what_they_cover() -> None:
    down, up = slice_profile(12, 3.0)
    line = np.arange(12, dtype=np.float32)
    assert down @ line == pytest.approx([1, 4, 7, 10])
    assert (up @ (down @ line))[1:11] == pytest.approx(line[1:11])


@pytest.mark.parametrize(("size", "thickness"), [(38, 1.25), (77, 2.5), (155, 5.0), (38, 1.0)])
def test_slices_neither_add_nor_lose_signal(size: int, thickness: float) -> None:
    down, up = slice_profile(size, thickness)
    assert up.shape == down.shape[::-1]
    assert (up @ down) @ np.ones(size) == pytest.approx(np.ones(size), abs=1e-5)
    assert (down >= 0).all()


def test_thin_slices_change_nothing() -> None:
    down, up = slice_profile(20, 0.5)
    assert np.array_equal(up @ down, np.eye(20))
