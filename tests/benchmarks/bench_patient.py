"""How long a new patient takes from NIfTI files to written labels and classes.

The networks are random, so that tumour is everywhere: nothing is skipped because nobody is ill.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gliomalib import settings
from gliomalib.data.readers import survey
from gliomalib.networks import models
from gliomalib.pipeline import apply, patient
from gliomalib.pipeline.finished import Finished, Fold, TrainedNetwork
from gliomalib.schema import SEQUENCES, Case, Split
from tests.benchmarks import peers
from tests.benchmarks.ledger import Ledger, alternated, seconds

GIGA = 1e9


class Clock:
    """The seconds and operations of all forward passes of the networks of a fold."""

    def __init__(self, networks: patient.Networks) -> None:
        self.seconds, self.started = 0.0, 0.0
        for loaded in vars(networks).values():
            loaded.network.register_forward_pre_hook(self._enter)
            loaded.network.register_forward_hook(self._leave)

    def _enter(self, *_: Any) -> None:
        self.started = time.perf_counter()

    def _leave(self, *_: Any) -> None:
        self.seconds += time.perf_counter() - self.started


@pytest.fixture
def case(real_data: Path) -> Case:
    return survey.survey(real_data).cases[0]


def untrained(study: str, folder: Path, threads: int) -> Finished:
    """Return a study as if it were finished, with random weights."""
    chosen = settings.load(study)
    torch.manual_seed(0)
    networks: dict[str, tuple[Any, nn.Module]] = {
        "unet2d": (chosen.unet2d, models.unet(chosen.unet2d, 2)),
        "unet3d": (chosen.unet3d, models.unet(chosen.unet3d, 3)),
        "resnet50": (chosen.classifier, models.empty_resnet50()),
    }
    trained = {}
    for name, (asked, network) in networks.items():
        content = {"network": name, "settings": asked.model_dump(mode="json"), "key": ""}
        path = folder / f"{name}.pt"
        torch.save({**content, "threads": threads, "state": network.state_dict()}, path)
        trained[name] = TrainedNetwork(path, "", {}, "")
    nobody = pd.DataFrame({name: [""] for name in ("case_id", "patient_id", "digests", "content")})
    fold = Fold(Split(0, (), (), ()), trained)
    return Finished(chosen, (fold,), nobody, (), "", folder)


def labelled(case: Case, finished: Finished, out: Path, device: str = "cpu") -> Callable[[], Any]:
    """Return the work of `predict` for one case, the networks loaded."""
    finished.networks(finished.folds[0], device)

    def label() -> None:
        apply.write(apply.segment_case(case, finished, device=device), out, force=True)

    return label


def bench_patient_nnunet(case: Case, tmp_path: Path, ledger: Ledger) -> None:
    if reason := peers.missing():
        ledger.skipped("patient_nnunet", reason)
        return
    finished = untrained("brats-mini", tmp_path, threads=1)
    label = labelled(case, finished, tmp_path / "ours")
    words = {
        "files": [str(case.images[name]) for name in SEQUENCES],
        "out": str(tmp_path / "theirs.nii.gz"),
    }
    with peers.Peer("tests.benchmarks.nnunet_predictor") as peer, models.threads(1):
        windows, each = peer.ask("predict", **words), peer.ask("flops")
        with FlopCounterMode(display=False) as counter:
            label()
        pair = alternated(lambda: seconds(label), lambda: peer.seconds("predict", **words), runs=3)
    assert (tmp_path / "theirs.nii.gz").exists()
    ours, theirs = counter.get_total_flops() / GIGA, windows * each / GIGA
    ledger.compared(
        "patient_nnunet",
        pair,
        f"networks of brats-mini at 2 mm, {ours:.1f} GFLOP; nnU-Net's PlainConvUNet, {windows} "
        f"windows of 64³, {theirs:.1f} GFLOP, no mirror images and no classes of slices; a thread",
    )


def bench_patient_outside(case: Case, tmp_path: Path, ledger: Ledger) -> None:
    shares = {}
    for study, runs in (("brats-mini", 2), ("brats", 1)):
        finished = untrained(study, tmp_path, threads=0)
        label = labelled(case, finished, tmp_path / study)
        clock = Clock(finished.networks(finished.folds[0], "cpu"))
        for _ in range(runs):
            clock.seconds = 0.0
            whole = seconds(label)
        shares[study] = (whole, whole - clock.seconds)
    (small, small_rest), (whole, rest) = shares.values()
    ledger.measured(
        "patient_outside",
        rest / whole,
        f"networks of brats at 1 mm, {rest:.2f} of {whole:.1f} s; with the small ones of "
        f"brats-mini at 2 mm {small_rest:.2f} of {small:.1f} s",
    )


def bench_gpu_patient(case: Case, tmp_path: Path, ledger: Ledger) -> None:
    if not torch.cuda.is_available():
        ledger.skipped("gpu_patient", "no GPU here")
        return
    label = labelled(case, untrained("brats", tmp_path, threads=0), tmp_path / "out", "cuda")
    label()
    ledger.measured("gpu_patient", min(seconds(label) for _ in range(3)), "networks of brats, 1 mm")
