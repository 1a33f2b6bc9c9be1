"""What the trainings of all folds of a run took, and how their losses fell."""

from collections.abc import Sequence

import pandas as pd

from gliomalib.networks.training import Trained


def losses(trained: Sequence[Trained]) -> pd.DataFrame:
    """Return the loss of every epoch of every fold: fold, epoch, part, loss, seconds."""
    tables = (made.history.assign(fold=fold) for fold, made in enumerate(trained))
    return pd.concat(tables, ignore_index=True)


def facts(trained: Sequence[Trained]) -> pd.DataFrame:
    """Return one row per fold: fold, parameters, epochs, seconds, device and the note."""
    rows = [
        {
            "fold": fold,
            "parameters": made.n_parameters,
            "epochs": int(made.history["epoch"].max()) + 1,
            "seconds": round(made.seconds, 1),
            "device": made.device,
            "note": made.note,
        }
        for fold, made in enumerate(trained)
    ]
    return pd.DataFrame(rows)
