"""A step of training takes about the memory that shapes alone foretell."""

import torch

from gliomalib import settings
from gliomalib.networks import footprint, models
from gliomalib.settings import Classifier, Segmentation

SMALL = Segmentation(epochs=1, batch_size=2, channels=(4, 8), residual_units=0)


def test_what_autograd_keeps_is_counted_as_a_real_step_keeps_it() -> None:
    network, kept = models.unet(SMALL, 2), dict[int, int]()
    weights = {part.data_ptr() for part in network.parameters()}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda part: part):
        answer = network(torch.rand(4, 4, 32, 32))
        loss = models.segmentation_loss(SMALL)(answer, torch.zeros(4, 1, 32, 32))
    assert loss > 0
    foretold = footprint.step_bytes(SMALL, 2, 32, 4)
    assert 1 < foretold / sum(kept.values()) < 1.6


def test_memory_grows_with_the_batch_and_the_side() -> None:
    one, two = (footprint.step_bytes(SMALL, 3, 32, batch) for batch in (1, 2))
    assert 1.8 < two / one <= 2
    assert 6 < footprint.step_bytes(SMALL, 3, 64, 1) / one <= 8
    resnet = Classifier(epochs=1, batch_size=2, weights="random")
    sides = [footprint.step_bytes(resnet, 2, side, 16) for side in (64, 128, 256)]
    # four times the pixels, and the same weights
    assert sides[2] - sides[1] > 3.9 * (sides[1] - sides[0]) > 0


def test_the_3d_network_of_the_full_study_takes_what_was_seen() -> None:
    study = settings.load("brats")
    # activations in float32; nothing of this is computed
    assert 10e9 < footprint.step_bytes(study.unet3d, 3, 128, 2) < 16e9
    assert 4e9 < footprint.step_bytes(study.unet2d, 2, 128, 64) < 8e9


def test_free_memory_is_that_of_the_machine_without_a_gpu() -> None:
    study = settings.load("smoke")
    assert 1e8 < footprint.free_bytes(study) < 1e13
