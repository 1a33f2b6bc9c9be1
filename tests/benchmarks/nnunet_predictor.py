"""The predictor of nnU-Net v2 as a peer: a patient's files in, a label map out, all kept loaded."""

from functools import cache
from typing import Any

from tests.benchmarks import peers

FEATURES = (6, 12, 24, 48)
"""Channels by level: all windows of a patient together cost about what our three networks do."""

RESAMPLED = {"is_seg": False, "order_z": 0, "force_separate_z": None}
ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": len(FEATURES),
        "features_per_stage": list(FEATURES),
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * len(FEATURES),
        "strides": [[1, 1, 1]] + [[2, 2, 2]] * (len(FEATURES) - 1),
        "n_conv_per_stage": [1] * len(FEATURES),
        "n_conv_per_stage_decoder": [1] * (len(FEATURES) - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}
CONFIGURATION = {
    "data_identifier": "bench",
    "preprocessor_name": "DefaultPreprocessor",
    "batch_size": 2,
    "patch_size": [64, 64, 64],
    "spacing": [2.0, 2.0, 2.0],
    "normalization_schemes": ["ZScoreNormalization"] * 4,
    "use_mask_for_norm": [True] * 4,
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_data_kwargs": {**RESAMPLED, "order": 3},
    "resampling_fn_seg": "resample_data_or_seg_to_shape",
    "resampling_fn_seg_kwargs": {**RESAMPLED, "is_seg": True, "order": 1},
    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities_kwargs": {**RESAMPLED, "order": 1},
    "batch_dice": False,
    "architecture": ARCHITECTURE,
}
PLANS = {
    "dataset_name": "Dataset001_Bench",
    "plans_name": "nnUNetPlans",
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2],
    "transpose_backward": [0, 1, 2],
    "label_manager": "LabelManager",
    "foreground_intensity_properties_per_channel": {str(channel): {} for channel in range(4)},
    "configurations": {"3d_fullres": CONFIGURATION},
}
DATASET = {
    "channel_names": {"0": "T1", "1": "T1ce", "2": "T2", "3": "FLAIR"},
    "labels": {"background": 0, "core": 1, "edema": 2, "enhancing": 3},
    "file_ending": ".nii.gz",
    "numTraining": 1,
}


@cache
def _predictor() -> Any:
    """Return the predictor with random weights: one window is one pass, no mirror images."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    torch.set_num_threads(1)
    plans = PlansManager(PLANS)
    chosen = plans.get_configuration("3d_fullres")
    network = get_network_from_plans(
        chosen.network_arch_class_name,
        chosen.network_arch_init_kwargs,
        chosen.network_arch_init_kwargs_req_import,
        len(DATASET["channel_names"]),
        len(DATASET["labels"]),
        deep_supervision=False,
    )
    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.manual_initialization(
        network, plans, chosen, [network.state_dict()], DATASET, "nnUNetTrainer", None
    )
    return predictor


def flops() -> float:
    """Return the floating point operations of the network on one window."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        _predictor().network(torch.zeros(1, 4, *CONFIGURATION["patch_size"]))
    return float(counter.get_total_flops())


def predict(files: list[str], out: str) -> int:
    """Label one patient and write the map to ``out`` (.nii.gz); return the number of windows."""
    predictor, count = _predictor(), 0

    def passed(*_: Any) -> None:
        nonlocal count
        count += 1

    hook = predictor.network.register_forward_hook(passed)
    predictor.predict_from_files_sequential([files], [out.removesuffix(".nii.gz")])
    hook.remove()
    return count


if __name__ == "__main__":
    peers.serve({"predict": predict, "flops": flops})
