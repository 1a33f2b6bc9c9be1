"""Whether the classifier works well enough that what it says of losses and weights is judged.

Its control is trained and tested on the experts' masks, from which the classes were read: the
answer lies in the image. A network that does not learn this, or that does not beat a guess from the
height of a slice, says nothing of the method it is part of.
"""

import math

import pandas as pd

from gliomalib import records
from gliomalib.experiments.values import of
from gliomalib.schema import CLASS_NAMES, Value
from gliomalib.scoring import tables, training_noise

ACCURACY, RECALL = 0.95, 0.9
"""What the control must reach on held-out slices: of all, and of each of the four classes."""

JUDGE = "07_baselines"
NAME = "classifier_gate"
"""The notebook whose record says whether the gate was passed, and by which value."""


def judged(slices: pd.DataFrame) -> Value:
    """Return the gate from slices by method, as ``baseline_methods.MethodTrial`` has them.

    1 passed, 0 failed, NaN where the control was not trained; its note says why.
    """
    held_out = slices[slices["part"] == "test"]
    truth = held_out[held_out["method"] == "truth"]
    if truth.empty:
        return _gate(math.nan, "the control of ResNet50 on expert masks was not trained")
    faults = _faults(truth)
    if faults:
        return _gate(0.0, f"ResNet50 fails its control ({', '.join(faults)})")
    right = held_out.assign(right=held_out["truth"] == held_out["predicted"])
    wide = right.pivot_table(index="patient_id", columns=["method", "seed"], values="right")
    gain = training_noise.paired(wide[["resnet50"]].sub(wide["position", 0], axis="index"))
    low, high = gain.ci95 or (math.nan, math.nan)
    numbers = f"accuracy {gain.value:+.3f}, {low:+.3f} to {high:+.3f}, {gain.seeds} trainings"
    if not low > 0:
        return _gate(0.0, f"ResNet50 is not shown to beat slice position ({numbers})")
    return _gate(1.0, f"ResNet50 passes its control and beats slice position ({numbers})")


def recorded(run: records.Run) -> Value:
    """Return the gate that notebook 07 recorded. Raises ``RecordError`` where it did not run."""
    return of(records.read(records.record_path(run.report_dir, JUDGE)).values, NAME)


def closed(gate: Value) -> str:
    """Return what stands for a result where the gate was not passed; empty where it was."""
    return "" if gate.value == 1 else f"not judged: {gate.note}"


def _gate(number: float, sentence: str) -> Value:
    rule = (
        f"1 if ResNet50 on expert masks has an accuracy of at least {ACCURACY:g} and a recall of "
        f"at least {RECALL:g} of each class on held-out slices, and ResNet50 on fused slices beats "
        "slice position by a 95 % interval above 0; else 0"
    )
    return Value(NAME, number, rule=rule, note=sentence)


def _faults(truth: pd.DataFrame) -> list[str]:
    """Return what the control misses."""
    counts = tables.confusions_by_part(truth)["test"]
    right, totals = counts.diagonal(), counts.sum(axis=1)
    accuracy = right.sum() / totals.sum()
    faults = [f"accuracy {accuracy:.2f}"] if accuracy < ACCURACY else []
    for name, hits, total in zip(CLASS_NAMES, right, totals, strict=True):
        if not total:
            faults.append(f"no slice of {name}")
        elif hits / total < RECALL:
            faults.append(f"recall of {name} {hits / total:.2f}")
    return faults
