"""Losses of all folds stand in one table, and each fold says what its training took."""

from pathlib import Path

import pandas as pd

from gliomalib.networks.training import Trained
from gliomalib.pipeline import trainings


def trained(*losses: float) -> Trained:
    rows = [(epoch, "train", loss, 1.26) for epoch, loss in enumerate(losses)]
    history = pd.DataFrame(rows, columns=["epoch", "part", "loss", "seconds"])
    return Trained(Path("final.pt"), "key", history, "cpu", 7, 0, True, "random weights")


def test_losses_keep_their_fold_and_their_order() -> None:
    table = trainings.losses([trained(0.9, 0.5), trained(0.8)])
    assert table["fold"].tolist() == [0, 0, 1]
    assert table["loss"].tolist() == [0.9, 0.5, 0.8]


def test_facts_count_epochs_and_add_up_seconds() -> None:
    first, second = trainings.facts([trained(0.9, 0.5), trained(0.8)]).to_dict("records")
    assert (first["epochs"], first["seconds"], second["epochs"]) == (2, 2.5, 1)
    assert (first["parameters"], first["device"], first["note"]) == (7, "cpu", "random weights")
