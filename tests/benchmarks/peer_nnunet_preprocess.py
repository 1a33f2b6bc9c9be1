"""Preprocessing of nnU-Net v2, run by the peers' Python: from the files of a case to its store."""

from pathlib import Path
from typing import Any

from tests.benchmarks.peers import serve

PREPARED: dict[str, Any] = {}
LABELS = {"background": 0, "necrotic core": 1, "edema": 2, "enhancing tumour": 4}
SEQUENCES = ("t1", "t1ce", "t2", "flair")


def plan() -> None:
    """Write the plans that nnU-Net makes for BraTS: 1 mm, z-scores within the brain."""
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [128, 128, 128],
        "median_image_size_in_voxels": [140, 171, 137],
        "spacing": [1.0, 1.0, 1.0],
        "normalization_schemes": ["ZScoreNormalization"] * len(SEQUENCES),
        "use_mask_for_norm": [True] * len(SEQUENCES),
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "architecture": {},
    }
    plans = PlansManager(
        {
            "dataset_name": "Dataset001_BraTS",
            "plans_name": "nnUNetPlans",
            "image_reader_writer": "SimpleITKIO",
            "transpose_forward": [0, 1, 2],
            "transpose_backward": [0, 1, 2],
            "label_manager": "LabelManager",
            "foreground_intensity_properties_per_channel": {str(i): {} for i in range(4)},
            "configurations": {"3d_fullres": configuration},
        }
    )
    dataset = {
        "channel_names": {str(i): name for i, name in enumerate(SEQUENCES)},
        "labels": LABELS,
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    PREPARED["way"] = DefaultPreprocessor(verbose=False)
    PREPARED["plans"] = plans, plans.get_configuration("3d_fullres"), dataset


def preprocess(images: list[str], mask: str, out: str) -> None:
    """Preprocess a case into files that begin with ``out``."""
    # blosc2 writes over nothing
    for path in Path(out).parent.glob("*"):
        path.unlink()
    PREPARED["way"].run_case_save(out, images, mask, *PREPARED["plans"])


if __name__ == "__main__":
    serve({"plan": plan, "preprocess": preprocess})
