"""What a rehearsal measured, and what the whole study will take by it: time, memory and disk."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from gliomalib import provenance, records
from gliomalib.cohort.splits import make_splits
from gliomalib.parameters import NETWORKS
from gliomalib.pipeline import preprocess
from gliomalib.runner.rehearsal import STEPS, Rehearsal, failures
from gliomalib.schema import Split, run_name, split_run_name
from gliomalib.settings import Study

RULE = (
    "Extrapolated: seconds of training by sample, epoch and fold; what else a run does by the "
    "patients whom it looks at, but its start, taken as the shortest of all, once; one run at a "
    "time on this device. Memory is as measured, and labels or fused slices of all training "
    "patients more."
)

GB = 1e9


@dataclass(frozen=True)
class Size:
    """How many patients a study has in its parts, over all folds, and how often it does things."""

    study: Study
    internal: int
    external: int

    @cached_property
    def splits(self) -> tuple[Split, ...]:
        """Splits of as many patients, by patient; those by site are about as large."""
        names = [f"P{number:06d}" for number in range(self.internal)]
        there = [f"E{number:06d}" for number in range(self.external)]
        return make_splits(names, there, self.study.split, self.study.seed)

    def part(self, *parts: str) -> int:
        """Patients in these parts of all folds together."""
        return sum(len(getattr(split, part)) for split in self.splits for part in parts)

    def looked_at(self, run: str) -> float:
        """Return how many patients a run looks at, each as often as it does."""
        notebook, variant = split_run_name(run)
        leakage, timed = self.study.leakage, self.study.efficiency
        if notebook[:2] in ("01", "02"):
            return self.internal + self.external
        if notebook[:2] in ("03", "04", "06"):
            of_variant = ("val", "test", "external") if variant and notebook[:2] != "06" else ()
            return self.part(*(of_variant or ("train", "val", "test", "external")))
        if notebook[:2] == "11":
            return min(self.internal, leakage.patients or self.internal) * leakage.repeats
        if notebook[:2] == "14":
            return min(self.internal, timed.patients) * timed.repeats
        if notebook[:2] == "15":
            return min(self.internal, leakage.curve_patients or self.internal)
        return self.part("test", "external")


def measured(rehearsal: Rehearsal) -> pd.DataFrame:
    """Return a row for each run: outcome, seconds, those of training, memory, and of the whole.

    ``outcome`` is done, failed or not reached; seconds and bytes are NaN where nothing was
    measured.
    """
    faults, rows = failures(rehearsal), []
    trained = pd.DataFrame(_trainings(rehearsal), columns=["run", "seconds", "whole"])
    sums = trained.groupby("run").sum()
    results = rehearsal.folders.reports / rehearsal.whole.study
    for run in rehearsal.runs:
        row: dict[str, Any] = {"run": run, "outcome": "failed" if run in faults else "not reached"}
        # the record of an earlier rehearsal says nothing of this one
        if rehearsal.stamp(run).is_file():
            record = records.read(records.record_path(results, run))
            row |= {"outcome": "done", "seconds": record.wall_s}
            row["bytes"] = record.peak_memory_bytes
            row["training"], row["whole_training"] = sums.reindex([run]).fillna(0).iloc[0]
        rows.append(row)
    columns = ["run", "outcome", "seconds", "bytes", "training", "whole_training"]
    return _extrapolated(pd.DataFrame(rows, columns=columns), rehearsal)


def _extrapolated(table: pd.DataFrame, rehearsal: Rehearsal) -> pd.DataFrame:
    small, whole = sizes(rehearsal)
    # a training that was only read belongs to an earlier rehearsal
    own = table["training"].where(table["training"] <= table["seconds"], 0)
    rest = table["seconds"] - own
    start = rest.min()
    ratios = [whole.looked_at(run) / small.looked_at(run) for run in table["run"]]
    table["whole_seconds"] = table.pop("whole_training") + start + (rest - start) * ratios
    more = [
        _kept_bytes(rehearsal, run, whole) - _kept_bytes(rehearsal, run, small)
        for run in table["run"]
    ]
    table["whole_bytes"] = table["bytes"] + more
    return table


def sizes(rehearsal: Rehearsal) -> tuple[Size, Size]:
    """Return the size of a rehearsal, by the splits that it made, and that of the whole study."""
    small = rehearsal.small
    deals = json.loads(rehearsal.cohort.read_text(encoding="utf-8"))
    external = len(deals["splits"][0]["external"])
    return (
        Size(small, len(deals["patients"]) - external, external),
        Size(rehearsal.whole, *rehearsal.patients),
    )


def _shape(rehearsal: Rehearsal) -> tuple[int, ...]:
    """Return the voxels of a patient in the store along each axis."""
    store = preprocess.open_store(rehearsal.work / "store", rehearsal.small.preprocessing)
    patients = store.patients()
    return store.get(patients[0]).grid.shape if patients else (0, 0, 0)


def _trainings(rehearsal: Rehearsal) -> Iterator[tuple[str, float, float]]:
    """Yield run, seconds and seconds in the whole study of each training."""
    small, whole = sizes(rehearsal)
    slices = _shape(rehearsal)[2]
    turns = whole.study.leakage.turns / max(small.study.leakage.turns, 1)
    for path in sorted((rehearsal.work / "checkpoints").rglob("training.json")):
        made = json.loads(path.read_text(encoding="utf-8"))
        network, place = made["network"], path.relative_to(rehearsal.work / "checkpoints").parts
        notebook, section = NETWORKS[network]
        variant = place[0].partition(".")[2]
        audit = place[0] == "leakage"
        each = 1 if network == "unet3d" else slices
        rows = pd.DataFrame(made["history"])
        planned = rehearsal.whole.variants.get(notebook, {}).get(variant, {})
        how = getattr(whole.study, section).model_dump() | planned
        epochs = (whole.study.leakage.epochs if audit else None) or how["epochs"]
        seconds = 0.0
        for part, spent in rows.groupby("part")["seconds"].sum().items():
            seen = STEPS * made["settings"]["batch_size"]
            if part == "val":
                seen = max(min(small.part("val") * each, seen), 1)
            patients = whole.internal * turns if audit else whole.part(str(part))
            seconds += spent / seen * epochs * patients * each
        run = "11_leakage_audit" if audit else run_name(notebook, variant)
        yield run, float(rows["seconds"].sum()), seconds


def _kept_bytes(rehearsal: Rehearsal, run: str, size: Size) -> int:
    """Return the bytes that a run keeps of all its patients at once.

    Labels in training, fused slices for classifiers: those twice, while they are joined.
    """
    notebook, _ = split_run_name(run)
    shape, trained_on = _shape(rehearsal), max(len(split.train) for split in size.splits)
    if notebook[:2] in ("03", "04"):
        return math.prod(shape) * trained_on
    if notebook[:2] not in ("06", "11", "15"):
        return 0
    patients = trained_on if notebook[:2] == "06" else round(size.looked_at(run))
    patients //= size.study.leakage.repeats if notebook[:2] == "11" else 1
    side = size.study.classifier.image_size or max(shape[:2])
    return 2 * patients * shape[2] * 3 * side**2 * 2


def disk(rehearsal: Rehearsal) -> pd.DataFrame:
    """Return what each folder of the working files takes, in bytes, and in the whole study."""
    small, whole = sizes(rehearsal)
    people = (whole.internal + whole.external) / (small.internal + small.external)
    folds = len(whole.splits) / len(small.splits)
    work, ratios = rehearsal.work, {"checkpoints": folds, "raw": people, "store": people}
    then = {name: _bytes(work / name) * ratio for name, ratio in ratios.items()}
    networks = (work / "predictions").glob("*")
    then["predictions"] = sum(_volumes(place, small, whole) for place in networks)
    there = [name for name in sorted(then) if (work / name).is_dir()]
    rows = [(name, _bytes(work / name), then[name]) for name in there]
    return pd.DataFrame(rows, columns=["folder", "bytes", "whole_bytes"])


def _volumes(place: Path, small: Size, whole: Size) -> float:
    """Return the bytes of all volumes that one network predicts in the whole study."""
    reported, every = ("val", "test", "external"), ("train", "val", "test", "external")
    parts = every if len([*place.rglob("*.npy")]) > small.part(*reported) else reported
    return _bytes(place) / small.part(*parts) * whole.part(*parts)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write(rehearsal: Rehearsal) -> dict[str, Any]:
    """Write ``rehearsal.json`` beside the folders of a rehearsal and return what it holds."""
    runs, folders = measured(rehearsal), disk(rehearsal)
    notes = sorted((rehearsal.work / "checkpoints").glob("resnet50/*/training.json"))
    weights = json.loads(notes[0].read_text(encoding="utf-8"))["note"] if notes else "not reached"
    content = {
        "study": rehearsal.whole.study,
        "patients": dict(zip(("internal", "external"), rehearsal.patients, strict=True)),
        "changes": list(rehearsal.changes),
        "failures": failures(rehearsal),
        "weights": weights,
        "runs": json.loads(runs.to_json(orient="records")),
        "disk": json.loads(folders.to_json(orient="records")),
        "whole": {
            "hours": round(float(runs["whole_seconds"].sum()) / 3600, 1),
            "memory_gb": round(float(runs["whole_bytes"].max()) / GB, 1),
            "disk_gb": round(float(folders["whole_bytes"].sum()) / GB, 1),
        },
        "rule": RULE,
        "hardware": provenance.hardware(),
        "commit": provenance.commit(),
    }
    path = rehearsal.params.parent / "rehearsal.json"
    provenance.write_atomic(path, json.dumps(content, indent=1) + "\n")
    return content


def told(content: dict[str, Any]) -> Iterator[str]:
    """Yield what was written as lines: a table of runs, disk, failures, and the whole study."""
    table = pd.DataFrame(content["runs"])
    shown = table.loc[table["outcome"] != "not reached", ["run", "outcome"]].copy()
    shown["seconds"], shown["training"] = table["seconds"].round(0), table["training"].round(0)
    shown["GB"], shown["whole GB"] = table["bytes"] / GB, table["whole_bytes"] / GB
    shown["whole hours"] = table["whole_seconds"] / 3600
    yield shown.to_string(index=False, float_format="%.1f")
    for row in content["disk"]:
        there, then = row["bytes"] / GB, row["whole_bytes"] / GB
        yield f"disk, {row['folder']}: {there:.2f} GB here, {then:.0f} GB in the whole study"
    yield f"ResNet50: {content['weights']}"
    for run, sentence in content["failures"].items():
        yield f"failed: {run}: {sentence}"
    if missing := [row["run"] for row in content["runs"] if row["outcome"] != "done"]:
        yield f"not counted, as nothing was measured: {', '.join(missing)}"
    whole, everyone = content["whole"], sum(content["patients"].values())
    yield (
        f"{content['study']}, {everyone} patients, would take here about {whole['hours']} hours, "
        f"{whole['memory_gb']} GB of memory and {whole['disk_gb']} GB of disk. {content['rule']}"
    )
