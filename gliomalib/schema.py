"""The words that all parts share: cases, grids, volumes, splits, records and errors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEQUENCES = ("t1", "t1ce", "t2", "flair")
"""The four MRI sequences, always in this order."""

CLASS_NAMES = ("no tumour", "necrotic core", "edema", "enhancing tumour")
"""Canonical label of each class is its index here."""

CLASS_COLOURS = ("#8c8c8c", "#0072b2", "#009e73", "#d55e00")
"""One colour a class, everywhere; from the palette of Okabe and Ito (colour-blind safe)."""

N_CLASSES = len(CLASS_NAMES)

FloatArray = NDArray[np.float64]
"""Numbers of any shape in double precision."""

Float32Array = NDArray[np.float32]
"""Numbers of any shape in single precision."""

Images = Float32Array
"""Four sequences on one grid, shape (4, X, Y, Z)."""

Labels = NDArray[np.uint8]
"""Canonical labels 0–3, shape (X, Y, Z) or (X, Y)."""

Probabilities = NDArray[np.float16]
"""Class probabilities, shape (4, X, Y, Z); they sum to 1 over the first axis."""

Confusion = NDArray[np.int64]
"""Counts, shape (..., classes, classes); rows are the truth, columns the prediction."""

Affine = tuple[tuple[float, ...], ...]
"""4×4 matrix from voxel indices to millimetres, as nested tuples so that grids compare."""


class GliomaError(Exception):
    """One sentence that names the file, the value found and what to do."""


class DataError(GliomaError):
    """A file or a folder of the data set is not what it should be; ``kind`` says how in a word."""

    def __init__(self, message: str, kind: str = "unusable") -> None:
        super().__init__(message)
        self.kind = kind


class StoredError(DataError):
    """What an earlier notebook leaves for later ones is missing or damaged."""


class SettingsError(GliomaError):
    """A parameter is unknown, of the wrong type or out of range."""


class MismatchError(GliomaError):
    """Two things that should belong to the same patient, grid or crop do not."""


class RecordError(GliomaError):
    """A result that was expected is missing or is not what was expected."""


@dataclass(frozen=True)
class Fault:
    """Why a case cannot be used: the file or folder, a word for it, a sentence with what to do."""

    case_id: str
    patient_id: str
    release: str
    path: Path
    kind: str
    message: str


@dataclass(frozen=True)
class Case:
    """One examination of one patient as it lies on disk; one without images is just its mask.

    ``patient_id`` is the same for one patient in every release, as far as the release's own
    table tells; ``segmentation`` is None for a case without an expert mask. Where one 4-D file
    holds all sequences ``channels`` gives their order in it; it is empty for a file each.
    ``digests`` are those of ``files`` when they were inspected, empty before. ``site`` is the
    institution as the tables or the ID name it, empty where it is not known.
    """

    case_id: str
    patient_id: str
    release: str
    images: Mapping[str, Path]
    segmentation: Path | None
    grade: str | None = None
    channels: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    site: str = ""

    @property
    def files(self) -> dict[str, Path]:
        """The files by what they hold: the sequences, then ``seg`` where there is a mask."""
        return {**self.images, **({"seg": self.segmentation} if self.segmentation else {})}

    def fault(self, path: Path, kind: str, sentence: str) -> Fault:
        """Return what is wrong with this case; ``sentence`` goes on after the path."""
        message = f"{path}: {sentence}"
        return Fault(self.case_id, self.patient_id, self.release, path, kind, message)


@dataclass(frozen=True)
class Scan:
    """A case in memory on its own grid: volumes (X, Y, Z) of SEQUENCES, canonical labels or None.

    The volumes are of whatever type their files have. A case that is nothing but a mask has none,
    and images (0, X, Y, Z) as a ``StoredCase``.
    """

    case: Case
    images: Sequence[NDArray[Any]]
    labels: Labels | None
    spacing_mm: tuple[float, float, float]
    affine: Affine

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels along each axis."""
        return (*self.images, self.labels)[0].shape  # type: ignore[union-attr]


@dataclass(frozen=True)
class Grid:
    """Where an array lies: equal grids are the same patient, voxels and crop.

    ``crop_start`` is the first voxel of the crop in the upright scan, ``spacing_mm`` and
    ``affine`` are those of this grid.
    """

    patient_id: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    crop_start: tuple[int, int, int]
    affine: Affine

    @property
    def voxel_ml(self) -> float:
        """Millilitres of a voxel: a thousand cubic millimetres are one."""
        return float(np.prod(self.spacing_mm)) / 1000


@dataclass(frozen=True)
class StoredCase:
    """A preprocessed case: images (4, X, Y, Z) float16 in 0–1, labels (X, Y, Z) uint8."""

    grid: Grid
    images: NDArray[np.float16]
    labels: Labels


@dataclass(frozen=True)
class Volume:
    """Class probabilities (4, X, Y, Z) float16 with the grid on which they were predicted."""

    probabilities: Probabilities
    grid: Grid


@dataclass(frozen=True)
class SliceSet:
    """Fused axial slices with their classes, ready for the classifier.

    ``images`` float16 (N, 3, H, W) in 0–1, ``classes`` int64 (N,) 0–3, ``patients`` N names,
    ``z`` int64 (N,) the slice's place in its volume, ``blank`` (N,) True where the scan itself is
    empty in that slice (it stays in as one without tumour), None where the scan was not at hand.
    """

    images: NDArray[np.float16]
    classes: NDArray[np.int64]
    patients: tuple[str, ...]
    z: NDArray[np.int64]
    blank: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Example:
    """A patient to look at: FLAIR (X, Y, Z), true labels, predicted labels by network, a title."""

    image: NDArray[Any]
    labels: Labels
    predictions: Mapping[str, Labels]
    title: str


@dataclass(frozen=True)
class Split:
    """The patients of one fold; no patient is in two parts, ``external`` is never trained on."""

    fold: int
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    external: tuple[str, ...] = ()


@dataclass(frozen=True)
class Value:
    """One number of a record, with the rule by which it was made.

    ``n_empty`` counts patients where truth and prediction are both empty, ``n_missed`` those
    where just one of them is; both are in ``n_patients`` unless ``rule`` says otherwise.
    ``n_seeds`` counts the trainings of each network behind the number, 0 where there are none.
    ``sd_patients`` and ``sd_trainings`` are its spreads over either, as in
    ``scoring.training_noise.Effect``, the latter with its degrees of freedom; NaN where unknown.
    ``note`` is what nobody may overlook: who or what decides it, or why it is not given (NaN).
    """

    name: str
    value: float
    ci95: tuple[float, float] | None = None
    n_patients: int = 0
    n_empty: int = 0
    n_missed: int = 0
    unit: str = ""
    rule: str = ""
    n_seeds: int = 0
    note: str = ""
    sd_patients: float = math.nan
    sd_trainings: float = math.nan
    df_trainings: int = 0


@dataclass(frozen=True)
class Exclusion:
    """An examination that was left out: who, of which release, a word and a sentence for why."""

    case_id: str
    release: str
    kind: str
    reason: str


def run_name(notebook: str, variant: str = "") -> str:
    """Return the name of a run, of its record and of its executed notebook."""
    return f"{notebook}.{variant}" if variant else notebook


def split_run_name(name: str) -> tuple[str, str]:
    """Return the notebook and the variant of a run, the variant empty for the study's own run."""
    notebook, _, variant = name.partition(".")
    return notebook, variant


class Named:
    """A run of a notebook: the study's own, or that of a variant where there is one."""

    notebook: str
    variant: str

    @property
    def name(self) -> str:
        """Name of the run, of its record and of its executed notebook; its tables begin with it."""
        return run_name(self.notebook, self.variant)


@dataclass(frozen=True)
class Record(Named):
    """What a finished notebook leaves behind; the report is made from nothing else."""

    notebook: str
    study: str
    variant: str
    claims: tuple[str, ...]
    values: tuple[Value, ...]
    parameters: Mapping[str, Any]
    seed: int
    device: str
    wall_s: float
    peak_memory_bytes: int
    provenance: Mapping[str, Any]
    caveats: tuple[str, ...] = ()
    conclusion: str = ""
    exclusions: tuple[Exclusion, ...] = ()


def check_same_grid(a: Volume, b: Volume) -> None:
    """Refuse two volumes that are not of the same patient, voxels and crop.

    Raises ``MismatchError``, which names both patients and each thing that differs, also where
    the array of a volume does not have the shape that its own grid says.
    """
    for volume in (a, b):
        expected = (N_CLASSES, *volume.grid.shape)
        if volume.probabilities.shape != expected:
            raise MismatchError(
                f"the probabilities of {volume.grid.patient_id} have shape "
                f"{volume.probabilities.shape}, their grid says {expected}; predict them again"
            )
    if a.grid != b.grid:
        grids = (a.grid, b.grid)
        pairs = {part.name: [getattr(grid, part.name) for grid in grids] for part in fields(Grid)}
        differ = [f"{name} ({x} against {y})" for name, (x, y) in pairs.items() if x != y]
        names = [f"{g.patient_id} (shape {g.shape}, crop from {g.crop_start})" for g in grids]
        raise MismatchError(
            f"volumes of {' and '.join(names)} cannot be fused, they differ in "
            f"{', '.join(differ)}; predict both branches from the same stored case"
        )
