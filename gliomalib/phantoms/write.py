"""Synthetic glioma patients on disk: a cohort in the layout of BraTS 2020, with its own IDs."""

import gzip
import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomalib import progress
from gliomalib.data import writing
from gliomalib.labels import to_raw
from gliomalib.phantoms.patient import PhantomPlan, make_patient
from gliomalib.provenance import code_digest, write_atomic
from gliomalib.schema import SEQUENCES, Affine, DataError, SettingsError

FOLDER = "Phantoms"
MAPPING = "name_mapping.csv"
NAMERS = ("BraTS_2017", "BraTS_2018", "TCGA_TCIA", "BraTS_2019", "BraTS_2020")
MAPPING_COLUMNS = ("Grade", *(f"{namer}_subject_ID" for namer in NAMERS))
CARD = "phantom.json"
"""File in a patient's folder that says from what the patient was made."""

_PATIENT = re.compile(r"Phantom-[A-Z]-\d{3}")
_LEFTOVER = re.compile(r"\.Phantom-[A-Z]-\d{3}\.(new|old)")


def case_name(site: str, number: int) -> str:
    """Return the name of a phantom; no real patient has one like it."""
    return f"Phantom-{site}-{number:03d}"


def write_cohort(
    root: str | Path, plan: PhantomPlan, numbers: Sequence[int], workers: int = 1
) -> Path:
    """Write patients under ``root`` in the layout of BraTS 2020; return their folder.

    A patient that this plan and this code have written before stays as it is, every other is
    made, whole or not at all. Phantoms of the plan's site with other numbers are taken away, so
    that the site's patients are just ``numbers``; those of another site stay. ``workers``
    processes work at once. Raises, before anything is touched, ``SettingsError`` for numbers that
    are not 1 to 999, and ``DataError`` where the folder holds a patient that is not a phantom.
    """
    # a phantom's name has three digits
    if beyond := set(numbers) - set(range(1, 1000)):
        raise SettingsError(f"phantom number {min(beyond)}: take 1 to 999")
    folder = Path(root) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    cards = read_cards(folder)
    _clear(folder, cards, plan.site, [case_name(plan.site, number) for number in numbers])
    digest = code_digest(sys.modules[__name__])
    todo = [n for n in numbers if not _is_written(folder, cards, _origin(plan, n, digest))]
    work, title = partial(_write_patient, folder, plan, digest), f"phantoms of site {plan.site}"
    list(progress.mapped(work, todo, workers, title))
    # phantoms have an ID of 2020 and no other
    graded = {name: card["grade"] for name, card in read_cards(folder).items()}
    rows = [{"Grade": grade, "BraTS_2020_subject_ID": name} for name, grade in graded.items()]
    write_atomic(folder / MAPPING, mapping(rows))
    return folder


def mapping(rows: list[dict[str, str]]) -> str:
    """Return the organisers' table of names as CSV; a column that a row lacks is NA."""
    return pd.DataFrame(rows, columns=MAPPING_COLUMNS).to_csv(index=False, na_rep="NA")


def read_cards(folder: str | Path) -> dict[str, dict[str, Any]]:
    """Return the card of every phantom in a folder, by patient, in order of name.

    A card has the keys ``origin`` (plan, number, code), ``grade`` and ``bytes``.
    Raises ``DataError`` for a patient's folder with files but without a card: a real patient.
    """
    cards = {}
    for place in sorted(Path(folder).iterdir()):
        if not _PATIENT.fullmatch(place.name) or not any(place.iterdir()):
            continue
        try:
            card = json.loads((place / CARD).read_text(encoding="utf-8"))
            # a file that lacks what is asked of a card later on is no card
            _ = card["origin"]["plan"]["site"], card["grade"], card["bytes"]
            cards[place.name] = card
        except (OSError, ValueError, LookupError, TypeError):
            raise DataError(
                f"{place}: has no readable {CARD}, so it is no phantom and is left alone; "
                "write phantoms to a folder of their own"
            ) from None
    return cards


def _clear(
    folder: Path, cards: dict[str, dict[str, Any]], site: str, wanted: Sequence[str]
) -> None:
    """Take away what a killed run left, and phantoms of this site that are not wanted."""
    for place in sorted(folder.iterdir()):
        if _LEFTOVER.fullmatch(place.name):
            shutil.rmtree(place)
    for name, card in cards.items():
        if name not in wanted and card["origin"]["plan"]["site"] == site:
            _remove(folder / name)


def _origin(plan: PhantomPlan, number: int, digest: str) -> dict[str, Any]:
    return {"plan": asdict(plan), "number": number, "code": digest}


def _is_written(folder: Path, cards: Mapping[str, Any], origin: Mapping[str, Any]) -> bool:
    """Tell whether a patient is there, from this origin and with all its files whole."""
    name = case_name(origin["plan"]["site"], origin["number"])
    if name not in cards:
        return False
    files = (path for path in (folder / name).iterdir() if path.name != CARD)
    sizes = {path.name: path.stat().st_size for path in files}
    return bool(cards[name]["origin"] == origin and cards[name]["bytes"] == sizes)


def _write_patient(folder: Path, plan: PhantomPlan, digest: str, number: int) -> None:
    """Make one patient in a hidden folder, then put that in its place."""
    phantom, name = make_patient(plan, number), case_name(plan.site, number)
    fresh = folder / f".{name}.new"
    fresh.mkdir()
    for sequence, image in zip(SEQUENCES, phantom.images, strict=True):
        _write(fresh / f"{name}_{sequence}.nii.gz", image.astype(np.int16), phantom.affine)
    _write(fresh / f"{name}_seg.nii.gz", to_raw(phantom.labels, "phantom"), phantom.affine)
    card = {
        "origin": _origin(plan, number, digest),
        "grade": phantom.grade,
        "bytes": {path.name: path.stat().st_size for path in sorted(fresh.iterdir())},
    }
    write_atomic(fresh / CARD, json.dumps(card, indent=1, sort_keys=True) + "\n")
    if (folder / name).exists():
        _remove(folder / name)
    fresh.rename(folder / name)


def _remove(place: Path) -> None:
    """Remove a patient's folder in one step, so that a killed run leaves none without its card."""
    old = place.with_name(f".{place.name}.old")
    place.rename(old)
    shutil.rmtree(old)


def _write(path: Path, voxels: NDArray[np.int16] | NDArray[np.uint8], matrix: Affine) -> None:
    # a scan's own coordinates, packed quickly; no time goes into the file
    image = writing.image_of(voxels, matrix, writing.OWN)
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))
