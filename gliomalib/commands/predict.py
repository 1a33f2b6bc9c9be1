"""The verb ``predict``: a finished study applied to cases of the user's own."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gliomalib import labels
from gliomalib.commands import Verbs, say
from gliomalib.inputs import absolute
from gliomalib.runner.jobs import Folders
from gliomalib.schema import SEQUENCES, Case, DataError, SettingsError

if TYPE_CHECKING:
    from gliomalib.pipeline.finished import Finished

OWN = "own files"
"""The release of a case that was given as four files."""

_SEQUENCE_ENDING = re.compile(r"[-_.]?t1[nw]?$", re.IGNORECASE)


def add(verbs: Verbs) -> None:
    """Add the verb of this module to the command line."""
    verb = verbs.add_parser("predict", help="label cases of your own with a finished study")
    verb.add_argument(
        "path", nargs="?", type=absolute, metavar="PATH", help="folder of one case or more"
    )
    for name in SEQUENCES:
        verb.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"{name} of one case")
    verb.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="ID",
        help="which case of PATH, may be repeated; with four files, what to call theirs",
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
    # torch takes seconds to import, and the other verbs need none of it
    from gliomalib.pipeline import apply  # noqa: PLC0415
    from gliomalib.pipeline.finished import open_finished  # noqa: PLC0415

    cases, out = _cases(arguments), arguments.out
    names = [case.case_id for case in cases]
    apply.check_outputs(names, out, arguments.convention, arguments.force)
    folders = Folders.of(arguments.data_dir, arguments.report_dir)
    finished = open_finished(arguments.study, folders.data, folders.reports)
    finished.chosen(arguments.fold)
    failed = []
    for case in cases:
        try:
            _label(case, finished, arguments)
        except DataError as error:
            if len(cases) == 1:
                raise
            say(f"{case.case_id}: not labelled, {error}")
            failed.append(case.case_id)
    if failed:
        raise DataError(f"{len(failed)} of {len(cases)} cases not labelled: {', '.join(failed)}")


def _label(case: Case, finished: Finished, arguments: argparse.Namespace) -> None:
    from gliomalib.pipeline import apply  # noqa: PLC0415

    started = time.monotonic()
    applied = apply.segment_case(case, finished, arguments.fold, arguments.device)
    path = apply.write(applied, arguments.out, arguments.convention, arguments.force)
    tumour = applied.volumes["ml"].iloc[-1]
    trained = ", trained on this patient" if applied.about["trained_on_this_patient"] else ""
    seconds = time.monotonic() - started
    say(f"{case.case_id}: {tumour:.1f} mL of tumour, {path} ({seconds:.0f} s{trained})")


def _cases(arguments: argparse.Namespace) -> list[Case]:
    files = {name: getattr(arguments, name) for name in SEQUENCES}
    missing = [f"--{name}" for name, path in files.items() if path is None]
    if arguments.path is not None:
        if len(missing) < len(files):
            raise SettingsError("give PATH or the four files of one case, not both")
        return _cases_below(arguments.path, arguments.case)
    if missing:
        raise SettingsError(
            f"{' '.join(missing)} not given: give PATH of a case folder, or the four files of one "
            "case"
        )
    from gliomalib.data.readers import layout  # noqa: PLC0415

    names = arguments.case
    if len(names) > 1:
        raise SettingsError(f"four files are one case, but --case names {', '.join(names)}")
    stem = layout.stem(files["t1"])
    name = names[0] if names else _SEQUENCE_ENDING.sub("", stem) or stem
    # the name of a link is the name that was meant
    images = {part: absolute(str(path.parent)) / path.name for part, path in files.items()}
    return [Case(name, name, OWN, images, None)]


def _cases_below(folder: Path, wanted: Sequence[str]) -> list[Case]:
    """Return the cases of a folder, or those ``wanted``; one that is faulty is refused."""
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
    absent = set(wanted) - {case.case_id for case in cases} - {fault.case_id for fault in faults}
    if absent:
        first = ", ".join(case.case_id for case in found.cases[:8])
        raise DataError(
            f"{folder}: no case {', '.join(sorted(absent))}; there are {len(found.cases)}: {first}"
        )
    if faults:
        raise DataError(survey.sentence(faults, folder), faults[0].kind)
    return cases
