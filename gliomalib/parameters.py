"""Which parameters a notebook takes, and which settings of the study they override."""

from collections.abc import Iterable, Mapping
from typing import Any

from gliomalib import settings
from gliomalib.schema import SettingsError

COMMON = {
    "study": "study",
    "seed": "seed",
    "device": "device",
    "data_dir": None,
    "report_dir": None,
}
"""Parameters of every notebook → the setting that each overrides (None: a folder)."""

TRAINING = ("epochs", "batch_size", "learning_rate", "precision", "loss")


def _of(section: str, *names: str) -> dict[str, str | None]:
    return {name: f"{section}.{name}" for name in names}


def _training(section: str, *more: str) -> dict[str, str | None]:
    return {"variant": None, **_of(section, *TRAINING, *more)}


def _unet(section: str) -> dict[str, str | None]:
    return {**_training(section, *UNET), "split_by": "split.by"}


UNET = ("channels", "strides", "focal_gamma", "class_weights", "sequences", "dropout")
RESNET = ("weights", "weights_file", "label_rule", "image", "image_size", "balanced", "augment")

LAST_NOTEBOOK = "16_reproducibility_report"
"""The notebook that answers the question, from the records of all others."""

NOTEBOOKS: dict[str, dict[str, str | None]] = {
    "01_data_exploration": {
        "source_dir": None,
        "on_bad_case": "data.on_bad_case",
        "pseudonyms": "pseudonyms",
    },
    "02_preprocessing": _of("preprocessing", "crop_mm", "depth_mm", "spacing_mm"),
    "03_train_unet2d": _unet("unet2d"),
    "04_train_unet3d": _unet("unet3d"),
    "05_fusion": {"alpha": "fusion.alpha", "real_volumes": "report.real_volumes"},
    "06_train_resnet50": _training("classifier", *RESNET) | _of("fusion", "alpha", "branches"),
    "07_baselines": {},
    "08_alpha_sweep": _of("fusion", "sweep_step"),
    "09_loss_ablations": {},
    "10_adaptive_fusion": {},
    "11_leakage_audit": _of("leakage", "repeats", "turns", "patients", "epochs"),
    "12_metric_forensics": {},
    "13_external_validation": {"external_root": None},
    "14_efficiency": _of("efficiency", "patients", "repeats"),
    "15_specification_curve": {"repeats": "leakage.repeats", "patients": "leakage.curve_patients"},
    LAST_NOTEBOOK: {},
}
"""Own parameters of each notebook → the setting that each overrides (None: not a setting)."""

NEED_IMAGES = (
    *("03_train_unet2d", "04_train_unet3d", "05_fusion", "06_train_resnet50", "08_alpha_sweep"),
    *("09_loss_ablations", "10_adaptive_fusion", "13_external_validation", "14_efficiency"),
)
"""Notebooks about what only images can show: they end at once in a study of masks."""

INJECTED_TAG = "injected-parameters"
"""Tag of the cell in which papermill puts the parameters of a run."""

NETWORKS: Mapping[str, tuple[str, str]] = {
    "unet2d": ("03_train_unet2d", "unet2d"),
    "unet3d": ("04_train_unet3d", "unet3d"),
    "resnet50": ("06_train_resnet50", "classifier"),
}
"""Network → the notebook that trains it, and its section of the settings."""


def parameters_of(notebook: str) -> dict[str, str | None]:
    """Return the names of all parameters that ``notebook`` takes, with what they override."""
    if notebook not in NOTEBOOKS:
        raise SettingsError(
            f"there is no notebook {notebook!r}: take one of {', '.join(NOTEBOOKS)}"
        )
    return {**COMMON, **NOTEBOOKS[notebook]}


def from_parameters(notebook: str, parameters: Mapping[str, Any]) -> settings.Study:
    """Return the settings of a notebook run; a parameter that is None is as the study says.

    Raises ``SettingsError`` for a name that the notebook does not take; it lists the right ones.
    """
    check_names(notebook, parameters)
    given = {name: value for name, value in parameters.items() if value is not None}
    study, overrides = given.pop("study", "demo"), dict[str, Any]()
    for name, value in given.items():
        if path := parameters_of(notebook)[name]:
            overrides[path] = value
        elif not isinstance(value, str):
            raise SettingsError(f"{name}: text was expected, found {value!r}")
    return settings.load(study, overrides)


def check_names(notebook: str, names: Iterable[str]) -> None:
    """Raise ``SettingsError`` if ``names`` has one that ``notebook`` does not take."""
    taken = parameters_of(notebook)
    wrong = [name for name in names if name not in taken]
    if wrong:
        raise SettingsError(
            f"{notebook} has no parameter {', '.join(wrong)}: its parameters are {', '.join(taken)}"
        )
