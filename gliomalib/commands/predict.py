"""The verb ``predict``: a finished study applied to cases of the user's own."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gliomalib import labels
from gliomalib.commands import Verbs, say
from gliomalib.commands.data import text
from gliomalib.inputs import absolute
from gliomalib.provenance import write_atomic
from gliomalib.runner.jobs import Folders
from gliomalib.schema import SEQUENCES, Case, DataError, Fault, SettingsError

if TYPE_CHECKING:
    from gliomalib.pipeline.finished import Finished

TABLE = "predictions.csv"
"""File beside the results with a row for each case: what came out, or why nothing did."""

COLUMNS = ("case_id", "tumour_ml", "trained_on_this_patient", "notes", "why_not")

_SEQUENCE_ENDING = re.compile(r"[-_.]?t1[nw]?$", re.IGNORECASE)


def add(verbs: Verbs) -> None:
    """Add the verb of this module to the command line."""
    verb = verbs.add_parser("predict")
    verb.add_argument(
        "path", nargs="?", type=absolute, metavar="PATH", help="folder of one or more cases"
    )
    for name in SEQUENCES:
        verb.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"{name} of one case")
    verb.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="ID",
        help="which case of PATH (may be repeated); with four files, the name of their case",
    )
    verb.add_argument("--study", default="demo", help="finished study to apply (demo)")
    verb.add_argument("--out", type=absolute, required=True, metavar="FOLDER", help="for results")
    verb.add_argument("--fold", type=int, metavar="K", help="networks of one fold (mean of all)")
    verb.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    verb.add_argument(
        "--convention",
        default="canonical",
        metavar="KEY",
        help=f"labels to write: canonical (0 to 3), or as {', '.join(labels.RELEASES)}",
    )
    verb.add_argument("--force", action="store_true", help="replace results that are there")
    verb.add_argument("--data-dir", default="", metavar="FOLDER", help="working files (data)")
    verb.add_argument("--report-dir", default="", metavar="FOLDER", help="results (reports)")
    verb.set_defaults(verb=_predict)


def _predict(arguments: argparse.Namespace) -> None:
    # these take seconds to import, and the other verbs need none of them
    import pandas as pd  # noqa: PLC0415

    from gliomalib.pipeline import apply  # noqa: PLC0415
    from gliomalib.pipeline.finished import open_finished  # noqa: PLC0415

    cases, faults = _cases(arguments)
    names, path = [case.case_id for case in cases], arguments.out / TABLE
    apply.check_outputs(names, arguments.out, arguments.convention, arguments.force)
    several = len(cases) + len(faults) > 1
    if several and path.exists() and not arguments.force:
        raise SettingsError(f"{path}: is there already; give --force to replace it")
    folders = Folders.of(arguments.data_dir, arguments.report_dir)
    finished = open_finished(arguments.study, folders.data, folders.reports)
    finished.chosen(arguments.fold)
    rows: list[dict[str, Any]] = [{"case_id": f.case_id, "why_not": f.message} for f in faults]
    for case in cases:
        try:
            rows.append(_label(case, finished, arguments))
        except DataError as error:
            if not several:
                raise
            rows.append({"case_id": case.case_id, "why_not": str(error)})
        if several:
            table = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
            write_atomic(path, table.to_csv(index=False))
    if several:
        say(text(table))
    # one that lacks two sequences has two rows
    if lost := dict.fromkeys(row["case_id"] for row in rows if "why_not" in row):
        total = len({row["case_id"] for row in rows})
        raise DataError(f"{len(lost)} of {total} cases not labelled: {', '.join(lost)}")


def _label(case: Case, finished: Finished, arguments: argparse.Namespace) -> dict[str, Any]:
    """Label a case, say so, and return its row of the table."""
    from gliomalib.pipeline import apply  # noqa: PLC0415

    started = time.monotonic()
    applied = apply.segment_case(case, finished, arguments.fold, arguments.device)
    path = apply.write(applied, arguments.out, arguments.convention, arguments.force)
    tumour, about = applied.volumes["ml"].iloc[-1], applied.about
    trained = ", trained on this patient" if about["trained_on_this_patient"] else ""
    seconds = f"{time.monotonic() - started:.0f} s on {about['device']}"
    say(f"{case.case_id}: {tumour:.1f} mL of tumour, {path} ({seconds}{trained})")
    for doubt in about["doubts"]:
        say(f"note, {doubt}")
    row = (case.case_id, round(tumour, 3), bool(trained), " ".join(about["doubts"]) or None)
    return dict(zip(COLUMNS, row, strict=False))


def _cases(arguments: argparse.Namespace) -> tuple[Sequence[Case], Sequence[Fault]]:
    files = {name: getattr(arguments, name) for name in SEQUENCES}
    missing = [f"--{name}" for name, path in files.items() if path is None]
    if arguments.path is not None:
        if len(missing) < len(files):
            raise SettingsError("give PATH or the four files of one case, not both")
        return _cases_below(arguments.path, arguments.case)
    if missing:
        message = "not given: give PATH of a case, or the four files of one"
        raise SettingsError(f"{' '.join(missing)} {message}")
    from gliomalib.data.readers import layout  # noqa: PLC0415

    names = arguments.case
    if len(names) > 1:
        raise SettingsError(f"four files are one case, but --case names {', '.join(names)}")
    stem = layout.stem(files["t1"])
    name = names[0] if names else _SEQUENCE_ENDING.sub("", stem) or stem
    # the name of a link is the name that was meant
    images = {part: absolute(str(path.parent)) / path.name for part, path in files.items()}
    return [Case(name, name, "own files", images, None)], []


def _cases_below(folder: Path, wanted: Sequence[str]) -> tuple[Sequence[Case], Sequence[Fault]]:
    """Return the cases of a folder, or those ``wanted``, and what is wrong with others."""
    from gliomalib.data.readers import survey  # noqa: PLC0415

    try:
        # the name of a case's folder is its ID, and "." has none
        found = survey.survey(folder)
    except DataError as error:
        raise DataError(
            f"{error}; any case can be given as --t1, --t1ce, --t2 and --flair", error.kind
        ) from None
    cases = [case for case in found.cases if not wanted or case.case_id in wanted]
    faults = [fault for fault in found.faults if not wanted or fault.case_id in wanted]
    if absent := sorted({*wanted} - {c.case_id for c in cases} - {f.case_id for f in faults}):
        there = f"there are {len(found.cases)}: {', '.join(c.case_id for c in found.cases[:8])}"
        raise DataError(f"{folder}: no case {', '.join(absent)}; {there}")
    if not cases:
        raise DataError(survey.sentence(faults, folder), faults[0].kind)
    for entry in found.unused:
        # nobody needs a mask here
        if not wanted and entry.kind != "no mask":
            say(f"note, {entry.message}")
    return cases, faults
