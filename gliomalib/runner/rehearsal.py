"""Rehearse a study: all notebooks and variants, as large as they are, on few patients and steps.

A second study is derived from the study, with the same name, in folders of its own below
``data/rehearsal``; the ordinary runner runs it. What the whole study will take is an estimate.
"""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, zip_longest
from operator import attrgetter
from pathlib import Path
from typing import Any

from gliomalib import provenance, settings
from gliomalib.cohort.splits import path_of
from gliomalib.data.readers import layout, survey
from gliomalib.networks import footprint, models
from gliomalib.parameters import NETWORKS
from gliomalib.runner.chain import wanted
from gliomalib.runner.jobs import Folders, check_source
from gliomalib.runner.locks import held
from gliomalib.runner.snakemake import answering
from gliomalib.runner.watch import EVENTS, event_in
from gliomalib.schema import Case, DataError, run_name
from gliomalib.settings import Study

PATIENTS, STEPS = 4, 2
"""Internal patients of a rehearsal, and steps of each training in it."""

ROOM = 0.7
"""Share of the free memory that a step may take; the rest is for volumes and other processes."""


@dataclass(frozen=True)
class Rehearsal:
    """A study as it is, the one that rehearses it, and in which words they differ.

    ``patients`` are the internal and the external ones of the whole study, ``folders`` those of
    the rehearsal; ``params`` holds the derived study.
    """

    whole: Study
    small: Study
    patients: tuple[int, int]
    changes: tuple[str, ...]
    folders: Folders
    params: Path

    @property
    def work(self) -> Path:
        """The working folder of the rehearsal."""
        return self.folders.data / self.whole.study

    @property
    def cohort(self) -> Path:
        """What says who takes part: the first notebook leaves it."""
        return path_of(self.work, self.small.split.by)

    def stamp(self, run: str) -> Path:
        """Return what is there while a run is done and up to date."""
        return self.work / "done" / f"{run}.json"

    @property
    def runs(self) -> list[str]:
        """The names of all runs of the study, in order."""
        variants = self.whole.variants
        return [run_name(name, v) for name in wanted("") for v in ("", *variants.get(name, {}))]


@contextmanager
def alone(
    study: str, folders: Folders, overrides: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Keep away a second rehearsal of ``study``, which would exchange the files under this one.

    Raises ``SettingsError`` as ``settings.load``, and ``RunError`` where there is another.
    """
    settings.load(study, overrides)
    with held(_home(study, folders) / "lock", f"the rehearsal of {study}"):
        yield


def _home(study: str, folders: Folders) -> Path:
    return folders.data / "rehearsal" / study


def prepare(study: str, folders: Folders, overrides: Mapping[str, Any] | None = None) -> Rehearsal:
    """Write the study that rehearses ``study`` and links to its patients; return both.

    ``overrides`` (dotted names) are put over the study first, ``folders.source`` is the user's
    data. Raises ``SettingsError`` as ``settings.load``, and ``DataError`` for too few patients.
    """
    whole = settings.load(study, overrides)
    check_source(whole, folders)
    home = _home(study, folders)
    there = (whole.data.phantoms.internal, whole.data.phantoms.external)
    source = None
    if whole.real_data and folders.source:
        cases, there = _chosen(whole, folders.source)
        source = _linked(cases, folders.source, home / "source")
    if there[0] < PATIENTS:
        raise DataError(
            f"{study}: a rehearsal takes {PATIENTS} patients, found {there[0]}; run the study"
        )
    changes = [(name, was, now) for name, (was, now) in _changes(whole) if was != now]
    small = settings.load(study, {**(overrides or {}), **{name: now for name, _, now in changes}})
    content = small.model_dump(mode="json", exclude_unset=True)
    for variants in content.get("variants", {}).values():
        for changed in variants.values():
            # a variant trains one epoch as well
            changed.update({"epochs": 1} if "epochs" in changed else {})
    params = home / "params"
    text = json.dumps(content, indent=1, ensure_ascii=False)
    provenance.write_atomic(params / f"{study}.yml", text + "\n")
    return Rehearsal(
        whole=whole,
        small=Study.model_validate(content),
        patients=there,
        changes=tuple(f"{name}: {was} → {now}" for name, was, now in changes),
        folders=Folders(home / "data", home / "reports", source),
        params=params,
    )


def run(rehearsal: Rehearsal, until: str = "") -> bool:
    """Run the rehearsal, one notebook at a time, as on a machine of its own; say if all went well.

    What goes wrong is printed meanwhile.
    """
    (rehearsal.work / EVENTS).unlink(missing_ok=True)
    places = {
        "--data-dir": rehearsal.folders.data,
        "--report-dir": rehearsal.folders.reports,
        "--source": rehearsal.folders.source,
    }
    words = [word for name, place in places.items() if place for word in (name, str(place))]
    call = [sys.executable, "-P", "-m", "gliomalib", "study", rehearsal.whole.study]
    variables = {settings.STUDIES: str(rehearsal.params), "PYTHONPATH": str(provenance.PROJECT_DIR)}
    call += [f"--cores={max(1, rehearsal.small.threads)}", f"--until={until}", *words]
    # who is told to stop must not leave the study behind, which then ends all that it started
    with (
        subprocess.Popen(call, env={**os.environ, **variables}) as process,
        answering(lambda *_: process.terminate()),
    ):
        return process.wait() == 0


def failures(rehearsal: Rehearsal) -> dict[str, str]:
    """Return the runs that failed, each with its sentence."""
    events = rehearsal.work / EVENTS
    rows = map(event_in, events.read_text().splitlines()) if events.is_file() else ()
    return {row["run"]: row["text"] for row in rows if row.get("event") == "failed"}


def _chosen(study: Study, root: Path) -> tuple[list[Case], tuple[int, int]]:
    """Return the cases of a rehearsal, and how many patients there are.

    They come from all sites of all releases in turn, a patient of several releases once.
    """
    cases = survey.survey(root, masks=study.data.extent == "masks").cases
    masked = [case for case in cases if case.segmentation]
    chosen, counts, seen = list[Case](), list[int](), set[str]()
    origin = attrgetter("release", "site")
    parts = ((study.data.internal_releases, PATIENTS), (study.data.external_releases, 1))
    for releases, limit in parts:
        asked = sorted((c for c in masked if c.release in releases), key=origin)
        in_turn = zip_longest(*(list(group) for _, group in groupby(asked, key=origin)))
        first: dict[str, Case] = {}
        for case in (case for row in in_turn for case in row if case):
            if case.patient_id not in seen:
                first.setdefault(case.patient_id, case)
        seen |= first.keys()
        counts.append(len(first))
        chosen += list(first.values())[:limit]
    if not counts[0]:
        asked_for = ", ".join(study.data.internal_releases)
        raise DataError(f"{root}: nobody of {asked_for} with a mask; give DATA=/path of them")
    return chosen, (counts[0], counts[1])


def _linked(cases: list[Case], root: Path, target: Path) -> Path:
    """Make a folder of links to the files of ``cases`` and to all tables beside them."""
    shutil.rmtree(target, ignore_errors=True)
    paths = layout.scan(root).paths
    images = set(layout.images_in(paths))
    files = {path for case in cases for path in case.files.values()}
    for path in files.union(set(paths) - images):
        link = target / path.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    return target


def _changes(study: Study) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield what the rehearsal changes: dotted name, the value of the study, and its own."""
    phantoms, plan = study.data.phantoms, study.split
    one_way = study.device == "cuda" and not models.has_gpu()
    yield "device", (study.device, "cpu" if one_way else study.device)
    # without the GPU the processor does its work, so one notebook at a time has all of it
    yield "threads", (study.threads, provenance.cores() if one_way else study.threads)
    yield "compute.steps", (study.compute.steps, STEPS)
    if not study.real_data:
        yield "data.phantoms.internal", (phantoms.internal, PATIENTS)
        yield "data.phantoms.external", (phantoms.external, min(phantoms.external, 1))
        yield "data.phantoms.copies", (phantoms.copies, min(phantoms.copies, 1))
    yield "split.folds", (plan.folds, 1)
    # two are tested, as the audit of splits divides them once more
    yield "split.test_share", (plan.test_share, 2 / PATIENTS)
    yield "split.val_share", (plan.val_share, 1 / PATIENTS if plan.val_share else 0)
    yield "split.site_patients", (plan.site_patients, 1)
    # with less than five somebody may be tested by none of the specifications of notebook 15
    yield "leakage.repeats", (study.leakage.repeats, min(study.leakage.repeats, 5))
    yield "leakage.turns", (study.leakage.turns, min(study.leakage.turns, 1))
    yield "leakage.epochs", (study.leakage.epochs, 1)
    yield "efficiency.patients", (study.efficiency.patients, 1)
    yield "efficiency.repeats", (study.efficiency.repeats, min(study.efficiency.repeats, 2))
    takes = models.cpu_precisions()
    for network, (_, section) in NETWORKS.items():
        how = getattr(study, section)
        yield f"{section}.epochs", (how.epochs, 1)
        if not models.has_gpu() and how.precision not in takes:
            yield f"{section}.precision", (how.precision, "32-true")
        yield f"{section}.batch_size", (how.batch_size, _batch(study, network, section))


def _batch(study: Study, network: str, section: str) -> int:
    """Return the batch size of a study, or half of it, and again, until a step fits here."""
    how, box = getattr(study, section), study.preprocessing
    side = round(max((*(box.crop_mm or (240, 240)), box.depth_mm or 0)) / min(box.voxel_mm))
    if network == "unet3d" and how.patch:
        side = round(math.prod(how.patch) ** (1 / 3))
    size, dims = int(how.batch_size), 3 if network == "unet3d" else 2
    side = getattr(how, "image_size", None) or side
    room = ROOM * footprint.free_bytes(study)
    while size > 2 and footprint.step_bytes(how, dims, side, size) > room:
        size //= 2
    return size
