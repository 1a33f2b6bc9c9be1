"""The settings with which runs were made, by what sentences call their notebooks."""

from pydantic import ValidationError

from gliomalib import settings
from gliomalib.report.pages import Report

NOTEBOOKS = {
    "FIRST": "01_data_exploration",
    "CROP": "02_preprocessing",
    "UNET2D": "03_train_unet2d",
    "UNET3D": "04_train_unet3d",
    "FUSED": "05_fusion",
    "CLASSES": "06_train_resnet50",
    "OUTSIDE": "13_external_validation",
    "TIMES": "14_efficiency",
}
"""What a sentence calls a notebook → its name."""

FIRST, CROP, UNET2D, UNET3D, FUSED, CLASSES, OUTSIDE, TIMES = NOTEBOOKS.values()


def as_run(report: Report, notebook: str) -> settings.Study:
    """Return the settings with which a notebook ran, as its record says.

    Without a record, or where its parameters are not those of this version, the study's.
    """
    record = report.records.get(notebook)
    try:
        return settings.Study.model_validate(record.parameters) if record else report.study
    except ValidationError:
        return report.study
