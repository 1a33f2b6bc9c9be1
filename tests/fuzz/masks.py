"""A case with masks and headers of every kind: what is read is what was written, or it is refused.

`inspection.inspect`, which is what ``verify`` asks, and `nifti.read_case`, which is what a study
asks, must agree: a case without faults can be read, and one that cannot be read has one.
"""

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
from hypothesis import strategies as st

from gliomalib.data import inspection, nifti
from gliomalib.data.inspection import Inspection
from gliomalib.data.readers import survey
from gliomalib.labels import CONVENTIONS
from gliomalib.schema import SEQUENCES, Case, DataError, Scan
from tests import faults
from tests.fuzz.doors import Door, Known, Outcome, sentence

NAMES = {"brats2020": "BraTS20_Training_001", "brats2021": "BraTS2021_00001"}
ROUGH = 1e-3


@dataclass(frozen=True)
class Made:
    """A case whose images are sound at first, its mask, and what is done to one file of it."""

    release: str = "brats2020"
    values: tuple[float, ...] = (1, 2, 4)
    dtype: str = "u1"
    off: float = 0.0
    slope: float = 1.0
    at: tuple[int, int, int] = (8, 8, 8)
    size: int = 4
    part: str = ""
    shape: tuple[int, int, int] | None = None
    affine: tuple[tuple[int, int, float], ...] = ()
    mirrored: bool = False
    copy_of: str = ""
    bright: float = 1.0
    name: str = ""


@cache
def _images() -> dict[str, np.ndarray]:
    return {name: faults.brain(1, k) for k, name in enumerate(SEQUENCES)}


def mask_of(made: Made) -> np.ndarray:
    """Return the values of the mask as a float array, before they are stored."""
    values = np.zeros(faults.SHAPE)
    box = tuple(slice(start, start + made.size) for start in made.at)
    if made.values:
        values[box] = np.resize(made.values, values[box].shape)
        values[box] += made.off
    return values


def stored(made: Made) -> nib.Nifti1Image:
    """Return the mask as an image; its values are those of its dtype, scaled by a slope."""
    with np.errstate(all="ignore"):
        raw = (mask_of(made) / made.slope).astype(made.dtype)
    image = nib.Nifti1Image(raw, faults.AFFINE, dtype=raw.dtype)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(made.slope, 0)
    return image


def write(made: Made, root: Path) -> dict[str, Path]:
    """Write the case below ``root``; return its files."""
    name = NAMES[made.release]
    folder = root / name
    folder.mkdir()
    files = {part: folder / f"{name}_{part}.nii" for part in (*SEQUENCES, "seg")}
    files["seg"] = folder / (made.name.format(case=name) or files["seg"].name)
    images = {part: nib.Nifti1Image(values, faults.AFFINE) for part, values in _images().items()}
    for image in images.values():
        image.header.set_xyzt_units("mm")
    images["seg"] = stored(made)
    if made.part:
        images[made.part] = _changed(images[made.part], made)
    for part, image in images.items():
        nib.save(image, files[part])
    if made.copy_of and made.part:
        shutil.copyfile(files[made.copy_of], files[made.part])
    return files


def _changed(image: nib.Nifti1Image, made: Made) -> nib.Nifti1Image:
    values, affine = np.asanyarray(image.dataobj), image.affine.copy()
    if made.shape:
        values = np.resize(values, made.shape)
    for row, column, by in made.affine:
        affine[row, column] += by
    if made.bright != 1:
        values = values.astype(np.float32)
        values.flat[values.size // 2] = made.bright * values.max()
    if made.mirrored:
        affine[:, 0] *= -1
    # qform stays as it was: it cannot hold axes that are not at right angles
    header = image.header.copy()
    header.set_sform(affine, 1)
    changed = nib.Nifti1Image(values, None, header, dtype=values.dtype)
    changed.header.set_slope_inter(*image.header.get_slope_inter())
    return changed


def expected(made: Made) -> np.ndarray | None:
    """Return canonical labels voxel by voxel, None for a mask that must be refused."""
    image = stored(made)
    slope = float(image.header["scl_slope"])
    values = np.asanyarray(image.dataobj).astype(np.float64)
    values *= 1.0 if np.isnan(slope) or not slope else slope
    convention = CONVENTIONS[made.release]
    canonical = {}
    for value in np.unique(values):
        near = [raw for raw in convention if abs(value - raw) <= ROUGH]
        if not near:
            return None
        canonical[float(value)] = convention[near[0]]
    return np.vectorize(canonical.__getitem__, otypes=[np.uint8])(values)


def attempt(made: Made, root: Path) -> Outcome:
    """Write, find, inspect and read a case, and compare."""
    write(made, root)
    try:
        (case,) = survey.discover(root)
    except DataError as error:
        return Outcome(True, sentence(error, root))
    inspected = inspection.inspect(case, signatures=True)
    said = [fault.message for fault in (*inspected.faults, *inspected.notes)]
    assert all("\n" not in message for message in said)
    try:
        scan = nifti.read_case(case)
    except DataError as error:
        assert inspected.faults, f"verify has no fault, a study has: {error}"
        return Outcome(True, " ".join([*said, sentence(error, root)]))
    _compare(made, case, scan, inspected)
    return Outcome(bool(inspected.faults), " ".join(said))


def _compare(made: Made, case: Case, scan: Scan, inspected: Inspection) -> None:
    truth = expected(made) if case.segmentation and made.part != "seg" else None
    if case.segmentation and made.part != "seg":
        assert truth is not None and scan.labels is not None
        np.testing.assert_array_equal(scan.labels, truth)
        assert inspected.voxels == tuple(np.bincount(truth.ravel(), minlength=4))
        tumour = truth > 0
        air = [scan.images[k][tumour] == 0 for k in range(len(SEQUENCES))]
        if tumour.any() and np.all(air, axis=0).mean() > 0.5:
            assert inspected.faults, "a mask in air is no fault"
        if not tumour.any():
            assert inspected.faults, "a mask without a tumour is no fault"
    for k, (name, image) in enumerate(_images().items()):
        if name != made.part:
            np.testing.assert_array_equal(scan.images[k], image)
    if made.copy_of:
        assert inspected.faults, "a copy is no fault"
    assert set(np.unique(scan.labels if scan.labels is not None else [0])) <= set(range(4))


VALUES = st.one_of(
    st.sampled_from([(1, 2, 4), (1, 2, 4), (4,), (1, 2), (2,)]),
    st.sampled_from([(1, 2, 3), (0,), (), (255,), (-1, 1), (256, 1), (1, 2, 4, 5), (0.5,)]),
    st.lists(st.integers(-3, 300), min_size=1, max_size=4).map(tuple),
    st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=3).map(tuple),
)
CHANGES = st.one_of(
    *[st.just({})] * 5,
    st.fixed_dictionaries({"shape": st.tuples(*[st.integers(1, 26)] * 3)}),
    st.fixed_dictionaries({"mirrored": st.just(True)}),
    st.fixed_dictionaries({"bright": st.sampled_from([1e3, -5.0, np.inf, np.nan])}),
    st.fixed_dictionaries({"copy_of": st.sampled_from([*SEQUENCES, "seg"])}),
    st.fixed_dictionaries(
        {
            "affine": st.lists(
                st.tuples(
                    st.integers(0, 2),
                    st.integers(0, 3),
                    st.sampled_from([1e-4, 0.01, 0.05, 0.5, 1.0, -2.0, 100.0, 1e6]),
                ),
                min_size=1,
                max_size=2,
            ).map(tuple)
        }
    ),
)


STRANGE = st.one_of(
    st.fixed_dictionaries({"values": VALUES}),
    st.fixed_dictionaries({"off": st.sampled_from([1e-9, 9e-4, -5e-4, 2e-3, 0.4])}),
    st.fixed_dictionaries({"slope": st.sampled_from([0.1, 3.0, 1 / 3, -1.0])}),
    st.fixed_dictionaries({"at": st.tuples(*[st.integers(0, 23)] * 3), "size": st.integers(0, 8)}),
    st.fixed_dictionaries({"name": st.sampled_from(["W39_1998.09.19_Segm.nii", "{case}_Seg.nii"])}),
)


@st.composite
def cases(draw: st.DrawFn) -> Made:
    """Return cases with a mask of any values, and with one file changed or none."""
    change = draw(CHANGES)
    part = draw(st.sampled_from([*SEQUENCES, "seg"])) if change else ""
    if change.get("copy_of") == part:
        change, part = {}, ""
    made = {
        "release": draw(st.sampled_from(sorted(NAMES))),
        "dtype": draw(st.sampled_from(["u1", "u1", "i2", "i4", "f4", "f8", "u2", "i8", ">i2"])),
        "slope": draw(st.sampled_from([1.0, 1.0, 1.0, 0.5])),
        "at": draw(st.tuples(*[st.sampled_from([8, 9, 10])] * 3)),
        "size": draw(st.integers(3, 5)),
    }
    return Made(**{**made, **(draw(STRANGE) if draw(st.booleans()) else {}), **change}, part=part)


DOOR = Door(
    "masks",
    10,
    cases(),
    attempt,
    (
        Known("scaled to 3.999", Made(values=(3.9999999,), dtype="f8")),
        Known("labels far off", Made(values=(3.99,), dtype="f4"), ("off a whole number",)),
        Known("a byte copy", Made(part="t1ce", copy_of="t1"), ("same voxels as t1",)),
        Known("a sequence that is the mask", Made(part="t2", copy_of="seg"), ("no brain",)),
        Known("a mask that is a sequence", Made(part="seg", copy_of="flair"), ("unknown label",)),
        Known("a mask in air", Made(at=(0, 0, 0)), ("of the tumour lies where",)),
        Known("labels of a later year", Made(values=(1, 2, 3)), ("unknown label 3",)),
        Known("no tumour", Made(values=()), ("no tumour",)),
        Known("mirrored by its header", Made(part="seg", mirrored=True), ("axes run",)),
        Known("another shape", Made(part="t2", shape=(24, 22, 19)), ("shape is",)),
        Known("headers that round", Made(part="flair", affine=((0, 3, 0.05),))),
        Known("a voxel apart", Made(part="flair", affine=((0, 3, 1.0),)), ("fetch the case",)),
        Known("a bright voxel", Made(part="t1ce", bright=1e3), ("times as far as those",)),
        Known("no finite label", Made(values=(np.nan,), dtype="f4"), ("not finite",)),
        Known(
            "a prediction",
            Made(name="{case}_nnunet_pred_seg.nii"),
            ("is a prediction and not an expert's mask",),
        ),
        Known("the mask of one case of BraTS 2020", Made(name="W39_1998.09.19_Segm.nii")),
    ),
)
