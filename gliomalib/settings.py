"""Study parameters: one typed file a study, unknown keys refused, one seed for everything."""

import hashlib
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from gliomalib.inputs import Model, content_of, explain, keys_near
from gliomalib.machines import Cluster, Compute, Node
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import SettingsError

STUDIES = "GLIOMA_STUDIES"
"""Variable that names another folder of studies: a rehearsal writes one of its own."""

STUDIES_DIR = Path(os.environ.get(STUDIES) or PROJECT_DIR / "notebooks" / "params")

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
"""What studies and variants are called: the names of files and folders are made of it."""

Sequence = Literal["t1", "t1ce", "t2", "flair"]
Length = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Branch = Annotated[str, Field(pattern=r"^unet[23]d(\.[A-Za-z0-9_-]+)?$")]


class Phantoms(Model):
    """How many synthetic patients, of which voxel size and at which sites.

    ``copies`` of the internal ones are there again in disguise, and one of them damaged, so
    that a study shows whether such cases are found. In a study of boxes ``box`` is the number of
    voxels along each side of what is kept around the tumour.
    """

    internal: int = Field(40, ge=0)
    external: int = Field(8, ge=0)
    copies: int = Field(0, ge=0, le=20)
    spacing_mm: float = Field(2.0, ge=0.5, le=8)
    box: int = Field(32, ge=8)
    site: Literal["A", "B"] = "A"
    external_site: Literal["A", "B"] = "B"


class Data(Model):
    """Where patients come from: ``phantom`` makes them, ``folder`` reads the user's releases.

    A case that cannot be used stops the study, or, with ``on_bad_case: exclude``, is left out
    and listed. A mask that calls itself a prediction is a fault unless its name matches the glob
    ``mask_pattern``. ``extent`` is what a case shows: the whole head, a box around the tumour
    (``boxes``), or the mask of a whole head and no image (``masks``).
    """

    source: Literal["phantom", "folder"] = "phantom"
    phantoms: Phantoms = Phantoms()
    internal_releases: tuple[str, ...] = ()
    external_releases: tuple[str, ...] = ()
    on_bad_case: Literal["stop", "exclude"] = "stop"
    mask_pattern: str = ""
    extent: Literal["head", "boxes", "masks"] = "head"


class Preprocessing(Model):
    """The central box kept of each scan and the voxel size of the store, in millimetres.

    ``crop_mm`` lies in the axial plane and ``depth_mm`` along the head (None: the whole scan).
    ``spacing_mm`` is one length for cubic voxels, or three: x, y, z.
    """

    crop_mm: tuple[Length, Length] | None = (128.0, 128.0)
    depth_mm: Length | None = 128.0
    spacing_mm: Length | tuple[Length, Length, Length] = 2.0

    @property
    def voxel_mm(self) -> tuple[float, float, float]:
        """The sides of a voxel along x, y and z."""
        given = self.spacing_mm
        return given if isinstance(given, tuple) else (given, given, given)

    @property
    def voxel_ml(self) -> float:
        """Millilitres of a voxel: a thousand cubic millimetres are one."""
        return math.prod(self.voxel_mm) / 1000

    @property
    def voxel(self) -> str:
        """The size of a voxel as a reader wants it: one length where its sides are equal."""
        sides = self.voxel_mm if len(set(self.voxel_mm)) > 1 else self.voxel_mm[:1]
        return f"{' × '.join(f'{side:.4g}' for side in sides)} mm"


By = Literal["patient", "site"]
"""Who is tested together: patients as they are dealt out, or all patients of a site."""


class SplitPlan(Model):
    """Patient-level split; with ``folds`` > 1 every internal patient is tested once.

    ``by: site`` counts no folds: a site with ``site_patients`` or more is one, the smaller ones
    together are another.
    """

    by: By = "patient"
    folds: int = Field(1, ge=1)
    site_patients: int = Field(20, ge=1)
    test_share: float = Field(0.2, ge=0, lt=1)
    val_share: float = Field(0.0, ge=0, lt=1)


class Optimisation(Model):
    """How a network is trained; the last epoch is used, never the best one."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"


class Segmentation(Optimisation):
    """A MONAI U-Net; ``patch`` is its 3D training box in voxels (None: the whole volume).

    ``strides`` say how often each level but the last shrinks the picture, before it looks at it
    (None: 2 each, so that even the first level sees half the resolution, and [1, 2, 2] the first
    level at full resolution). ``sequences`` are those that it sees; ``class_weights`` weigh the
    four classes in the loss (None: equally).
    """

    channels: tuple[int, ...] = Field((16, 32, 64, 128), min_length=2)
    strides: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    residual_units: int = Field(2, ge=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    loss: Literal["focal", "cross_entropy", "dice_ce"] = "focal"
    focal_gamma: float = Field(2.0, ge=0)
    class_weights: tuple[Weight, Weight, Weight, Weight] | None = None
    sequences: tuple[Sequence, ...] = Field(("t1", "t1ce", "t2", "flair"), min_length=1)
    patch: tuple[int, int, int] | None = None

    @model_validator(mode="after")
    def _a_stride_between_levels(self) -> Self:
        n = len(self.channels)
        if self.strides is not None and len(self.strides) != n - 1:
            raise ValueError(f"{n} channels have {n - 1} strides between them")
        return self


class Classifier(Optimisation):
    """A ResNet50 that sorts fused slices into the four classes.

    In training ``balanced`` draws rare classes more often, by the square root of their slices, and
    ``augment`` turns and shifts the slices.
    """

    weights: Literal["imagenet", "file", "random"] = "imagenet"
    weights_file: str | None = None
    loss: Literal["dice", "cross_entropy", "dice_ce"] = "dice"
    label_rule: Literal["dominant", "enhancing_first", "largest_share"] = "dominant"
    image: Literal["probabilities", "flair_masked", "truth", "mri"] = "probabilities"
    image_size: int | None = Field(None, ge=32)
    balanced: bool = False
    augment: bool = False

    @model_validator(mode="after")
    def _file_goes_with_file(self) -> Self:
        if (self.weights == "file") != (self.weights_file is not None):
            raise ValueError("weights: file goes with weights_file: PATH, and only with it")
        return self


PAPER_PICTURE = 128
"""Pixels along one side of the pictures that the paper classifies."""

PAPER_ALPHA = 0.6
"""The weight of the 2D branch in the paper; a test holds it to ``data/published.yml``."""


class Fusion(Model):
    """Which two volumes are fused, the weight of the first, and the step of the sweep over it.

    A branch is a network, or ``network.variant`` for one that a variant trained.
    """

    branches: tuple[Branch, Branch] = ("unet2d", "unet3d")
    alpha: float = Field(PAPER_ALPHA, ge=0, le=1)
    sweep_step: float = Field(0.01, gt=0, le=0.5)


class Evaluation(Model):
    """The rule for empty masks and the size of the bootstrap."""

    empty: Literal["brats", "exclude"] = "brats"
    bootstrap: int = Field(10_000, ge=100)


class Leakage(Model):
    """The audit of splits: how often it is repeated, and the budget of its ResNet50.

    ``repeats`` deals are looked at by the nearest neighbour, the first ``turns`` of them by
    ResNet50 (0: by none); in five every patient is held out once. ``patients`` is the largest
    number of patients that take part, ``curve_patients`` that of the specification curve,
    ``epochs`` what the classifier trains for; None: all of them, and as many as in notebook 06.
    """

    repeats: int = Field(5, ge=1)
    turns: int = Field(5, ge=0)
    patients: int | None = Field(None, ge=4)
    curve_patients: int | None = Field(100, ge=4)
    epochs: int | None = Field(None, ge=1)


class Efficiency(Model):
    """How many patients are timed, and how often each."""

    patients: int = Field(5, ge=1)
    repeats: int = Field(5, ge=1)


class Report(Model):
    """What the pages show; volumes of real patients only where this says so.

    Data under terms of use must not be passed on: a page with ``real_volumes`` stays at home.
    ``patient_pages`` is how many patients have a page of their own (None: all of them).
    """

    real_volumes: bool = False
    patient_pages: int | None = Field(8, ge=1)


class Study(Model):
    """All parameters of a study: what ``notebooks/params/<study>.yml`` may say.

    With ``pseudonyms`` no ID of a patient or an examination reaches a record or a report.
    ``published`` is a file of the project with the claims of another paper.
    """

    study: str
    title: str
    seed: int = Field(2025, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(1, ge=0)
    pseudonyms: bool = False
    published: str | None = Field(None, pattern=r"^\w[\w./-]*\.yml$")
    data: Data = Data()
    preprocessing: Preprocessing = Preprocessing()
    split: SplitPlan = SplitPlan()
    unet2d: Segmentation
    unet3d: Segmentation
    classifier: Classifier
    fusion: Fusion = Fusion()
    evaluation: Evaluation = Evaluation()
    leakage: Leakage = Leakage()
    compute: Compute = Compute()
    efficiency: Efficiency = Efficiency()
    report: Report = Report()
    cluster: Cluster = Field(Cluster(), exclude=True)
    variants: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)

    def node(self, part: Literal["data", "networks", "rest"]) -> Node:
        """Return what a notebook of a part of ``cluster`` asks for, as this study can use it."""
        asked: Node = getattr(self.cluster, part)
        gpus = 0 if self.device == "cpu" else asked.gpus
        return asked.model_copy(update={"cpus": max(asked.cpus, self.threads), "gpus": gpus})

    @property
    def real_data(self) -> bool:
        """Whether the patients are real."""
        return self.data.source == "folder"

    @property
    def full_size(self) -> bool:
        """Whether voxels are 1 mm and both U-Nets at least 256 channels wide at the bottom."""
        wide = min(self.unet2d.channels[-1], self.unet3d.channels[-1]) >= 256
        return wide and max(self.preprocessing.voxel_mm) <= 1.0

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a reader must know before believing any number of this study."""
        caveats, box = [], self.preprocessing
        if not self.real_data:
            caveats.append(
                "Synthetic patients: a result shows that the pipeline works, never that a claim "
                "of the paper holds."
            )
        if self.data.extent == "masks":
            return (*caveats, "Masks without images: classifiers see what the expert marked.")
        if self.data.extent == "boxes":
            caveats.append(
                "Boxes around the tumour: far from it nothing is looked at, so false alarms there "
                "cannot happen, and few slices have no tumour."
            )
        if not self.full_size:
            caveats.append(
                f"Small networks that fit a CPU: {self.unet2d.channels[-1]} (2D) and "
                f"{self.unet3d.channels[-1]} (3D) channels at the lowest level, voxels of "
                f"{box.voxel}."
            )
        width = max(box.crop_mm or (PAPER_PICTURE,)) / min(box.voxel_mm[:2])
        size = self.classifier.image_size or round(width)
        if size < PAPER_PICTURE:
            paper = f"{PAPER_PICTURE} × {PAPER_PICTURE}"
            caveats.append(
                f"ResNet50 sees pictures of {size} × {size} pixels; the paper crops to {paper}."
            )
        if self.classifier.weights == "random":
            caveats.append("ResNet50 starts from random weights; the paper starts from ImageNet.")
        return tuple(caveats)


def studies() -> list[str]:
    """Return the names of the studies that have a parameter file."""
    return sorted(filter(NAME.fullmatch, (path.stem for path in STUDIES_DIR.glob("*.yml"))))


def load(study: str, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read ``notebooks/params/<study>.yml`` and put ``overrides`` (dotted names) over it.

    Raises ``SettingsError`` for an unknown study or key, and for a value of the wrong type.
    """
    if study not in studies():
        raise SettingsError(f"there is no study {study!r}: take one of {', '.join(studies())}")
    path = STUDIES_DIR / f"{study}.yml"
    content = content_of(path)
    for name, value in (overrides or {}).items():
        *sections, key = str(name).split(".")
        place = content
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise SettingsError(f"{path.name}: {section} is {place!r}, expected lines of {key}")
        place[key] = value
    try:
        settings = Study.model_validate(content)
    except ValidationError as error:
        known = ", ".join(keys_near(error, Study))
        raise SettingsError(f"{path.name}: {explain(error)}; known keys are {known}") from None
    if settings.study != study:
        raise SettingsError(f"{path.name}: study is {settings.study!r}, it must be {study!r}")
    return settings


def named_seed(root: int, *names: object) -> int:
    """Return the seed of one purpose: the same for the same root and names, on every machine."""
    text = "/".join([str(root), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
