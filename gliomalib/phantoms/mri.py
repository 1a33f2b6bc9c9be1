"""T1, T1ce, T2 and FLAIR images of a synthetic patient as a scanner of one site sees them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gliomalib.phantoms.anatomy import Tissues
from gliomalib.phantoms.grid import Dice, Frame, smooth_field
from gliomalib.phantoms.tumour import ED, ET, NCR, Tumour
from gliomalib.schema import SEQUENCES, Float32Array, FloatArray, Images

Four = tuple[float, float, float, float]
"""One number for each sequence, in the order of ``schema.SEQUENCES``."""


@dataclass(frozen=True)
class Site:
    """A scanner and its protocol.

    ``contrast`` is an exponent on intensities relative to white matter, ``dose`` scales what
    the contrast agent adds, ``noise`` is the standard deviation relative to white matter,
    ``slice_mm`` the thickness of acquired slices and ``bias`` the depth of the shading.
    """

    contrast: Four
    dose: float
    noise: Four
    slice_mm: Four
    bias: float
    gain: tuple[float, float]


SITES: Mapping[str, Site] = {
    "A": Site(
        contrast=(1.0, 1.0, 1.0, 1.0),
        dose=1.0,
        noise=(0.030, 0.035, 0.035, 0.045),
        slice_mm=(1.0, 1.0, 2.0, 3.0),
        bias=0.05,
        gain=(250.0, 1500.0),
    ),
    "B": Site(
        contrast=(0.65, 0.80, 1.20, 0.80),
        dose=0.65,
        noise=(0.065, 0.065, 0.080, 0.090),
        slice_mm=(5.0, 1.5, 5.0, 5.0),
        bias=0.13,
        gain=(100.0, 700.0),
    ),
}
"""Known sites: A is where networks are trained, B the external one."""

_MEANS = np.array(
    [
        # t1, t1ce, t2, flair, relative to healthy white matter
        (0.34, 0.36, 3.90, 0.30),  # fluid
        (0.80, 0.84, 1.38, 1.24),  # grey matter
        (1.00, 1.00, 1.00, 1.00),  # white matter
        (0.64, 0.68, 2.50, 1.65),  # necrotic core
        (0.82, 0.84, 2.10, 2.05),  # edema
        (0.76, 0.78, 1.90, 1.80),  # enhancing tumour, before contrast
        (0.55, 0.57, 3.10, 1.25),  # core without enhancement: bright in T2, dark in FLAIR, the
        # T2-FLAIR mismatch of many low-grade astrocytomas (Patel 2017, Clin Cancer Res 23:6078)
    ]
)
"""Mean intensities; lesions as measured on a handful of BraTS patients, rounded."""

_BETWEEN_PATIENTS = np.array([0.10, 0.035, 0.0, 0.13, 0.11, 0.11, 0.12])
_AGENT = 0.85
"""What the contrast agent adds to enhancing tumour on T1ce, in white matter."""


def scan(
    patient: Dice, chance: Dice, site: Site, brain: Tissues, tumour: Tumour, frame: Frame
) -> Images:
    """Return the four images, float32 (4, X, Y, Z): whole numbers, 0 outside of the brain.

    ``patient`` draws what is the patient's own wherever he is imaged, ``chance`` what the scanner
    adds. Inside the brain every value is at least 1 and at most 32767, so int16 keeps them.
    """
    signals = _signals(patient, site, brain, tumour, frame)
    images = np.zeros((len(SEQUENCES), *frame.shape), dtype=np.float32)
    low, high = np.log(site.gain)
    gains = chance.of("gain").uniform(low, high, len(SEQUENCES))
    for number, sequence in enumerate(SEQUENCES):
        shading = smooth_field(chance.of("bias", sequence), frame, 90.0)
        signal = signals[number] * np.exp(np.float32(site.bias) * shading)
        rng = chance.of("noise", sequence)
        measured = _acquired(
            rng, signal, site.slice_mm[number] / frame.spacing_mm, site.noise[number]
        )
        values = np.rint(measured[brain.brain] * np.float32(np.exp(gains[number])))
        images[number][brain.brain] = np.clip(values, 1.0, 32767.0)
    return images


def slice_profile(size: int, thickness: float) -> tuple[Float32Array, Float32Array]:
    """Return the matrices voxels → slices and slices → voxels along one axis.

    Slices are ``thickness`` voxels thick and average what they cover, shape (slices, size);
    back to voxels is linear interpolation between slice centres, shape (size, slices).
    """
    if thickness <= 1.0:
        return np.eye(size, dtype=np.float32), np.eye(size, dtype=np.float32)
    count = int(np.ceil(size / thickness))
    edges = np.arange(count + 1) * thickness
    low = np.maximum(edges[:-1, None], np.arange(size))
    high = np.minimum(edges[1:, None], np.arange(size) + 1.0)
    cover = np.clip(high - low, 0.0, None)
    down = cover / cover.sum(axis=1, keepdims=True)
    centres = (edges[:-1] + edges[1:]) / 2.0
    up = np.stack([np.interp(np.arange(size) + 0.5, centres, row) for row in np.eye(count)], axis=1)
    return down.astype(np.float32), up.astype(np.float32)


def _acquired(
    rng: np.random.Generator, signal: Float32Array, thickness: float, noise: float
) -> Float32Array:
    """Slices with Rician noise (Gudbjartsson & Patz 1995), interpolated back to the voxels."""
    down, up = slice_profile(signal.shape[2], thickness)
    slices = signal if thickness <= 1.0 else _along_z(down, signal)
    # the length of a complex signal with normal noise in both parts
    real = slices + np.float32(noise) * rng.standard_normal(slices.shape, dtype=np.float32)
    imaginary = np.float32(noise) * rng.standard_normal(slices.shape, dtype=np.float32)
    magnitude = np.hypot(real, imaginary)
    return magnitude if thickness <= 1.0 else _along_z(up, magnitude)


def _along_z(matrix: Float32Array, image: Float32Array) -> Float32Array:
    # einsum without optimisation: the sum's order, and so every bit, is the same everywhere
    return np.asarray(np.einsum("sz,xyz->xys", matrix, image, optimize=False), dtype=np.float32)


def _signals(dice: Dice, site: Site, brain: Tissues, tumour: Tumour, frame: Frame) -> Images:
    """Noiseless signal of each sequence relative to white matter, float32 (4, X, Y, Z)."""
    means = _patient_means(dice, site)
    parts = _parts(dice, brain, tumour, frame)
    # a fine grain of healthy tissue and a coarse mottle of lesions, both of variance 1
    fine = smooth_field(dice.of("grain"), frame, 3.0)
    coarse = smooth_field(dice.of("mottle"), frame, 6.0)
    agent = _agent(dice, site, tumour, parts[5], coarse, frame)
    vessels = _vessels(dice, brain, frame)
    spots = _white_matter_lesions(dice, brain, frame)
    signals = np.zeros((len(SEQUENCES), *frame.shape), dtype=np.float32)
    for number in range(len(SEQUENCES)):
        for part, mean in zip(parts, means[:, number], strict=True):
            signals[number] += np.float32(mean) * part
        grain = (0.03, 0.03, 0.04, 0.04)[number] * fine
        lesion = parts[3:].sum(axis=0)
        mottle = (-0.08, -0.10, 0.15, 0.12)[number] * coarse * lesion
        signals[number] *= np.exp(grain + mottle, dtype=np.float32)
    # t1ce, t2 and flair, in the order of SEQUENCES
    signals[1] += agent + np.float32(1.3 * site.dose) * vessels
    signals[2] *= 1.0 - np.float32(0.5) * vessels
    signals[2] += np.float32(0.40) * spots
    signals[3] += np.float32(0.65) * spots
    return signals


def _patient_means(dice: Dice, site: Site) -> FloatArray:
    """Intensities of one patient, shape (7 tissues, 4 sequences)."""
    spread = _BETWEEN_PATIENTS[:, None] * dice.of("intensities").standard_normal(_MEANS.shape)
    means = _MEANS * np.exp(spread)
    return np.asarray(means ** np.array(site.contrast))


def _parts(dice: Dice, brain: Tissues, tumour: Tumour, frame: Frame) -> Float32Array:
    """Share of each of the seven tissues in each voxel, shape (7, X, Y, Z), sum 1 in the brain.

    Edema is tissue with more water: the signal lies between healthy and soaked.
    """
    labels, spacing = tumour.labels, frame.spacing_mm
    enhancing = bool((labels == ET).any())
    whole = ndimage.gaussian_filter((labels > 0).astype(np.float32), 1.4 / spacing)
    core = ndimage.gaussian_filter(
        ((labels == NCR) | (labels == ET)).astype(np.float32), 0.8 / spacing
    )
    rim = ndimage.gaussian_filter((labels == ET).astype(np.float32), 0.7 / spacing)
    water = _water(dice, tumour, frame)
    rim = np.minimum(rim, core)
    dead = core - rim
    edema = np.maximum(whole - core, 0.0) * water * (1.0 - 0.8 * brain.fluid)
    healthy = 1.0 - core - edema
    none = np.zeros_like(core)
    normal = (brain.fluid * healthy, brain.grey * healthy, brain.white * healthy)
    lesion = (dead, edema, rim, none) if enhancing else (none, edema, rim, dead)
    return np.stack([*normal, *lesion]).astype(np.float32)


def _water(dice: Dice, tumour: Tumour, frame: Frame) -> Float32Array:
    """How soaked edema is, about 0.4 at its border to 1.1 next to the core."""
    inside = tumour.log_odds[tumour.labels == ED]
    low, high = np.percentile(inside, [5, 80]) if inside.size else (-1.0, 1.0)
    rise = np.clip((tumour.log_odds - low) / max(high - low, 0.5), 0.0, 1.0)
    patchy = smooth_field(dice.of("water"), frame, 11.0)
    return np.clip(0.55 + 0.40 * rise + 0.12 * patchy, 0.25, 1.15).astype(np.float32)


def _agent(
    dice: Dice, site: Site, tumour: Tumour, rim: Float32Array, coarse: Float32Array, frame: Frame
) -> Float32Array:
    """Return what the contrast agent adds on T1ce: patchy in the rim, a trace of it in the core."""
    strength = site.dose * _AGENT * float(np.exp(0.25 * dice.of("dose").standard_normal()))
    patchy = smooth_field(dice.of("uptake"), frame, 4.0)
    uptake = np.clip(1.0 + 0.45 * patchy + 0.20 * coarse, 0.1, 2.4)
    return np.asarray(np.float32(strength) * rim * uptake, dtype=np.float32)


def _vessels(dice: Dice, brain: Tissues, frame: Frame) -> Float32Array:
    """Share of blood vessels: the curves where two random fields are both zero.

    They run where there is fluid or near the surface; they enhance like a rim, but are none.
    """
    first = smooth_field(dice.of("vessels", 1), frame, 16.0)
    second = smooth_field(dice.of("vessels", 2), frame, 16.0)
    width = 0.07 + 0.025 * frame.spacing_mm
    tubes = np.exp(-(first**2 + second**2) / np.float32(2.0 * width**2))
    near_fluid = ndimage.gaussian_filter(brain.fluid, 2.0 / frame.spacing_mm)
    return np.asarray(tubes * np.clip(0.1 + 3.0 * near_fluid, 0.0, 1.0) * brain.brain, np.float32)


def _white_matter_lesions(dice: Dice, brain: Tissues, frame: Frame) -> Float32Array:
    """Bright spots and caps of the ageing white matter: not tumour, but bright on FLAIR."""
    burden = dice.of("white matter lesions").beta(1.2, 3.0)
    field = smooth_field(dice.of("white matter lesions", "places"), frame, 8.0)
    spots = np.clip(1.5 * (field - np.float32(3.0 - 1.2 * burden)), 0.0, 1.0)
    reach = max(1, round(32.0 / frame.spacing_mm))
    deep = brain.fluid * (ndimage.uniform_filter(brain.brain.astype(np.float32), reach) > 0.999)
    caps = ndimage.gaussian_filter(deep, 3.0 / frame.spacing_mm) * np.float32(1.2 * burden)
    return np.asarray(np.clip(spots + caps, 0.0, 1.0) * brain.white, dtype=np.float32)
