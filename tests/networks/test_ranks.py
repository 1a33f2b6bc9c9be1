"""Several processes train as one does: same curve, same weights, and one of them writes."""

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from multiprocessing import reduction
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest
import torch
from lightning_fabric.plugins.environments.lightning import find_free_network_port

from gliomalib.machines import Compute
from gliomalib.networks import predict, ranks, training
from gliomalib.networks.job import Plan
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import SettingsError, StoredCase
from tests.networks import toys

SAME = {"rtol": 0, "atol": 1e-5}


def train(folder: Path, compute: Compute, **more: Any) -> training.Trained:
    """Train on 15 slices in batches of 4, 4, 4 and 3: the last is no whole number of shares."""
    plain = {"dropout": 0.0, "epochs": 2, "batch_size": 4, "loss": "dice_ce"}
    job = replace(toys.job(folder, **(plain | more)), compute=compute)
    return training.train_segmenter(job, toys.CASES[:3], toys.CASES[3:])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> training.Trained:
    return train(tmp_path_factory.mktemp("one"), Compute())


def test_two_processes_have_the_curve_and_the_answer_of_one(
    alone: training.Trained, tmp_path: Path
) -> None:
    both = train(tmp_path, Compute(devices=2))
    np.testing.assert_allclose(both.history["loss"], alone.history["loss"], **SAME)
    # a bias before an instance norm has no gradient but rounding, of which AdamW makes steps
    volumes = [predict.unrounded(made.checkpoint, toys.CASES[3], "cpu") for made in (alone, both)]
    np.testing.assert_allclose(*volumes, rtol=0, atol=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["final.pt", "training.json"]


def test_a_stopped_training_goes_on_in_two_processes(
    alone: training.Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []

    def named(plan: Plan, *_: object, **__: object) -> Never:
        keys.append(plan.key)
        raise toys.StoppedError

    with monkeypatch.context() as patch, pytest.raises(toys.StoppedError):
        patch.setattr(ranks, "fit", named)
        train(tmp_path, Compute(devices=2))
    with monkeypatch.context() as patch, pytest.raises(toys.StoppedError):
        toys.stop_at(patch, 25)
        train(tmp_path, Compute())
    # what one process began, under the name of what two would
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    torch.save({**content, "key": keys[0]}, tmp_path / "last.ckpt")
    resumed = train(tmp_path, Compute(devices=2))
    assert resumed.resumed_from == 1
    np.testing.assert_allclose(resumed.history["loss"], alone.history["loss"], **SAME)


def test_two_nodes_have_the_curve_of_one_process(alone: training.Trained, tmp_path: Path) -> None:
    if not os.environ.get("GLIOMA_SOAK"):
        pytest.skip("four processes, a minute: make soak")
    code = (
        "from pathlib import Path\nfrom tests.networks.test_ranks import Compute, train\n"
        "if __name__ == '__main__':\n"
        f"    print(*train(Path({str(tmp_path)!r}), Compute(num_nodes=2)).history['loss'])\n"
    )
    script = tmp_path / "node.py"
    script.write_text(code)
    names = {"PYTHONPATH": str(PROJECT_DIR), "MASTER_ADDR": "127.0.0.1"}
    names["MASTER_PORT"] = str(find_free_network_port())
    nodes = [
        subprocess.Popen(
            [sys.executable, str(script)],
            env={**os.environ, **names, "NODE_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for node in nodes:
        printed, _ = node.communicate(timeout=300)
        losses = [float(word) for word in printed.splitlines()[-1].split()]
        np.testing.assert_allclose(losses, alone.history["loss"], **SAME)


def test_what_cannot_be_shared_is_refused_in_a_sentence(tmp_path: Path) -> None:
    job = replace(toys.job(tmp_path), compute=Compute(devices=2))
    cases: list[StoredCase] = [toys.CASES[0], toys.toy_case("P9", (16, 20, 6))]
    with pytest.raises(SettingsError, match="scans of several sizes cannot be shared by 2"):
        training.train_segmenter(job, cases, [])
    job = replace(toys.classify_job(tmp_path), compute=Compute(devices=2))
    with pytest.raises(SettingsError, match="batch norms of 2 processes have one mean on GPUs"):
        training.train_classifier(job, toys.fused_set(), None)


def test_more_devices_than_the_machine_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    job = replace(toys.job(tmp_path), device="cuda", compute=Compute(devices=4))
    with pytest.raises(SettingsError, match="4 devices are asked for, and this machine has 1; set"):
        training.train_segmenter(job, toys.CASES[:3], [])


def test_nodes_that_cannot_find_one_another_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_RANK", "0")
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match=r"2 nodes .* has no MASTER_ADDR, MASTER_PORT; set"):
        train(tmp_path, Compute(num_nodes=2))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    asked = toys.plan(replace(toys.job(tmp_path), compute=Compute(num_nodes=2)))
    assert ranks.is_first_node(asked)
    monkeypatch.setenv("NODE_RANK", "1")
    assert not ranks.is_first_node(asked)


def killed(*_: object) -> Never:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_a_process_that_is_killed_ends_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "_work", killed)
    with pytest.raises(SettingsError, match=r"unet2d, fold 0: a process ended before .*SIGKILL"):
        train(tmp_path, Compute(devices=2))


def test_an_error_of_a_process_is_the_error_of_the_training(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="the train loss is nan in epoch 1; lower learning_rate"
    ):
        train(tmp_path, Compute(devices=2), learning_rate=1e30, epochs=1)


def test_a_mapped_file_is_sent_as_its_place(tmp_path: Path) -> None:
    array = np.arange(5 * 400 * 400, dtype=np.float16).reshape(5, 400, 400)
    np.save(tmp_path / "a.npy", array)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    reduction.ForkingPickler.register(np.memmap, ranks.as_file)
    for piece in (mapped, mapped[:-1], mapped[2:4], mapped[:, ::2]):
        sent = bytes(reduction.ForkingPickler.dumps(piece))
        np.testing.assert_array_equal(pickle.load(BytesIO(sent)), np.array(piece))
        assert len(sent) < 1000 or not piece.flags.c_contiguous
