"""Batches come as their seed draws them, one ahead, and what fails on the way is heard."""

import threading
from typing import Any

import numpy as np
import pytest
import torch

from gliomalib.networks import loading
from gliomalib.networks.loading import Ahead, Drawn
from gliomalib.networks.samples import Sample, Samples


class Numbers(Samples):
    """Samples that are numbers; a broken one cannot be read."""

    def __init__(self, broken: int = -1) -> None:
        self.broken = broken

    def __len__(self) -> int:
        return 7

    def draw(self, index: int, rng: np.random.Generator) -> Sample:
        if index == self.broken:
            raise OSError("the disk is gone")
        noise = np.float16(rng.random())
        return np.full((1, 2), noise), np.full((1, 2), index, np.uint8)


def batches(samples: Samples, kind: Any = Ahead, **more: Any) -> Any:
    drawn, rows = Drawn(samples, 3, vary=False), [[0, 1], [2, 3], [4, 5], [6]]
    return kind(drawn, batch_sampler=rows, collate_fn=loading.collate, **more)


def test_a_batch_ahead_is_the_same_batch() -> None:
    straight = list(batches(Numbers(), torch.utils.data.DataLoader))
    for _ in range(2):
        ahead = list(batches(Numbers()))
        assert len(ahead) == len(straight) == 4
        for ours, theirs in zip(ahead, straight, strict=True):
            assert all(map(torch.equal, ours, theirs))


def test_the_next_batch_is_drawn_in_another_thread_when_told() -> None:
    threads: list[int] = []
    begun = threading.Event()

    class Watched(Numbers):
        def draw(self, index: int, rng: np.random.Generator) -> Sample:
            threads.append(threading.get_ident())
            if index == 3:
                begun.set()
            return super().draw(index, rng)

    loader = batches(Watched())
    coming = iter(loader)
    next(coming)
    assert len(threads) == 2
    for _ in range(2):
        loader.draw_ahead()
    # before anybody asks for that batch
    assert begun.wait(10)
    assert next(coming)[1].flatten().tolist() == [2, 2, 3, 3]
    assert len(threads) == 4
    assert threading.get_ident() not in threads


def test_what_fails_while_a_batch_is_drawn_ends_the_epoch_with_its_own_error() -> None:
    seen = []
    with pytest.raises(OSError, match="the disk is gone"):
        seen.extend(targets for _, targets, _ in batches(Numbers(broken=4)))
    # an epoch that just ended early would be taken for a whole one
    assert len(seen) <= 2


def test_a_loader_that_is_left_early_ends_its_thread() -> None:
    before = threading.active_count()
    coming = iter(batches(Numbers()))
    next(coming)
    coming.close()
    assert threading.active_count() == before


def test_a_processor_gets_float32_and_a_gpu_half_the_bytes() -> None:
    sample = (np.ones((1, 2), np.float16), np.zeros((1, 2), np.uint8))
    half, targets, _ = loading.collate([(sample, True)])
    whole, same, _ = loading.collate_float32([(sample, True)])
    assert half.dtype == torch.float16 and whole.dtype == torch.float32
    assert torch.equal(half.float(), whole) and torch.equal(targets, same)


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_shares_hold_each_sample_once_and_are_of_one_size(processes: int) -> None:
    batch = [7, 3, 0, 9]
    shares = [loading.share(batch, rank, processes) for rank in range(processes)]
    assert len({len(part) for part in shares}) == 1
    assert sorted(index for part in shares for index in part if index >= 0) == sorted(batch)
    assert all(-1 - index in batch for part in shares for index in part if index < 0)
