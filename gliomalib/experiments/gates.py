"""Whether the classifier works well enough that what it says of losses and weights is judged.

Its control is trained and tested on the experts' masks, from which the classes were read: the
answer lies in the image. A network that does not learn this, or that does not beat a guess from the
height of a slice, says nothing of the method it is part of.
"""

import math
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Gate:
    """Whether the classifier passed; None where its control was not trained. Why, in words."""

    passed: bool | None
    sentence: str

    @property
    def value(self) -> Value:
        """It as a value: 1 passed, 0 failed, NaN not trained."""
        number = math.nan if self.passed is None else float(self.passed)
        rule = (
            f"1 if ResNet50 on expert masks has an accuracy of at least {ACCURACY:g} and a recall "
            f"of at least {RECALL:g} of each class on held-out slices, and ResNet50 on fused "
            "slices beats slice position by a 95 % interval above 0; else 0"
        )
        return Value(NAME, number, rule=rule, note=self.sentence)

    @property
    def closed(self) -> str:
        """The words that stand for a result where the gate was not passed; empty where it was."""
        return "" if self.passed else f"not judged: {self.sentence}"


def judged(slices: pd.DataFrame) -> Gate:
    """Return the gate from slices by method, as ``baseline_methods.MethodTrial`` has them."""
    held_out = slices[slices["part"] == "test"]
    truth = held_out[held_out["method"] == "truth"]
    if truth.empty:
        return Gate(None, "the control of ResNet50 on expert masks was not trained")
    faults = _faults(truth)
    if faults:
        return Gate(False, f"ResNet50 fails its control ({', '.join(faults)})")
    right = held_out.assign(right=held_out["truth"] == held_out["predicted"])
    wide = right.pivot_table(index="patient_id", columns=["method", "seed"], values="right")
    gain = training_noise.paired(wide[["resnet50"]].sub(wide["position", 0], axis="index"))
    low, high = gain.ci95 or (math.nan, math.nan)
    numbers = f"accuracy {gain.value:+.3f}, {low:+.3f} to {high:+.3f}, {gain.seeds} trainings"
    if not low > 0:
        return Gate(False, f"ResNet50 is not shown to beat slice position ({numbers})")
    return Gate(True, f"ResNet50 passes its control and beats slice position ({numbers})")


def recorded(run: records.Run) -> Gate:
    """Return the gate that notebook 07 recorded. Raises ``RecordError`` where it did not run."""
    record = records.read(records.record_path(run.report_dir, JUDGE))
    value = of(record.values, NAME)
    return Gate(None if math.isnan(value.value) else value.value == 1, value.note)


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
