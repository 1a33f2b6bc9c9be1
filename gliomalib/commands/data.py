"""The verb ``data``: list the known sets, fetch the open ones, verify a folder, make patients."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gliomalib import provenance, settings
from gliomalib.commands import Verbs, positive, say
from gliomalib.inputs import absolute, explain
from gliomalib.runner.jobs import Folders
from gliomalib.schema import SettingsError

if TYPE_CHECKING:
    # imported where they are used: the other verbs need none of them, and they take a second
    import pandas as pd

    from gliomalib.data.verification import Verification


def add(verbs: Verbs) -> None:
    """Add the verbs of this module to the command line."""
    data = verbs.add_parser("data")
    kinds = data.add_subparsers(required=True, metavar="WHAT")

    listing = kinds.add_parser("list", help="known data sets, their licence and how to get them")
    listing.add_argument(
        "key", nargs="?", default="", metavar="SET", help="everything about one set"
    )
    listing.set_defaults(verb=_list)

    download = kinds.add_parser("download", help="fetch an open set and unpack it")
    download.add_argument("key", metavar="SET", help="as `data list` calls it")
    download.add_argument("--to", type=absolute, default=".", metavar="FOLDER", help="where to (.)")
    download.set_defaults(verb=_download)

    verify = kinds.add_parser("verify", help="look into every file; exit code 1 if one has a fault")
    verify.add_argument("root", type=absolute, metavar="ROOT", help="folder of releases")
    verify.add_argument("--json", action="store_true", help="print JSON instead of tables")
    verify.add_argument("--study", default="", help="compare with the files that this study read")
    verify.add_argument("--data-dir", default="", metavar="FOLDER", help="its working files (data)")
    verify.add_argument("--workers", type=positive, default=None, help="cases read side by side")
    verify.add_argument(
        "--mask-pattern", default="", metavar="GLOB", help="names of masks that are an expert's"
    )
    verify.set_defaults(verb=_verify)

    for kind, what in (("cubes", "boxes around the tumours"), ("masks", "the masks alone, 128³")):
        made = kinds.add_parser(kind, help=f"make {what} from whole scans of BraTS 2020")
        made.add_argument("root", type=absolute, metavar="ROOT", help="folder of the whole scans")
        made.add_argument("out", type=absolute, metavar="OUT", help="new folder to write to")
        made.set_defaults(verb=_boxes, kind=kind)

    phantoms = kinds.add_parser("phantoms", help="write synthetic patients, laid out as BraTS 2020")
    phantoms.add_argument("root", type=absolute, metavar="ROOT", help="folder to write into")
    phantoms.add_argument("--count", type=positive, default=10, help="how many (10)")
    phantoms.add_argument("--seed", type=int, default=2025, help="another seed, other patients")
    phantoms.add_argument("--spacing", type=float, default=1.0, metavar="MM", help="voxel size (1)")
    phantoms.add_argument("--site", default="A", help="scanner and protocol: A or B")
    phantoms.set_defaults(verb=_phantoms)


def _list(arguments: argparse.Namespace) -> None:
    from gliomalib.data import catalogue  # noqa: PLC0415

    if arguments.key:
        for name, fact in catalogue.find(arguments.key):
            say(f"{name:10} {catalogue.UNKNOWN if fact is None else fact}")
        return
    say(text(catalogue.table()))
    say("\nAll of one set: python -m gliomalib data list SET")


def _download(arguments: argparse.Namespace) -> None:
    from gliomalib.data import download  # noqa: PLC0415

    say(f"unpacked to {download.fetch_open(arguments.key, arguments.to)}")


def _verify(arguments: argparse.Namespace) -> int:
    from gliomalib.cohort import table  # noqa: PLC0415
    from gliomalib.data import verification  # noqa: PLC0415

    used = None
    if arguments.study:
        folder = Folders.of(arguments.data_dir).data / arguments.study
        used = verification.used_files(table.read_cases(folder / "cases.csv"))
    result = verification.verify(arguments.root, used, arguments.workers, arguments.mask_pattern)
    if arguments.json:
        say(json.dumps(result.as_json(), indent=1))
    else:
        _show(result)
    return 0 if result.sound else 1


def _show(result: Verification) -> None:
    if len(result.cases):
        say(text(result.cases))
    for _, fault in result.faults.iterrows():
        say(f"{fault['kind']}: {fault['message']}")
    for notes in (result.notes, result.unused):
        for _, note in notes.iterrows():
            say(f"note, {note['kind']}: {note['message']}")
    n_faults = len(result.faults)
    say(f"{len(result.cases)} cases, {n_faults or 'no'} fault{'s' * (n_faults != 1)}")


def _boxes(arguments: argparse.Namespace) -> None:
    from gliomalib.data import boxes  # noqa: PLC0415

    count = boxes.write(arguments.root, arguments.out, masks=arguments.kind == "masks")
    say(f"{count} patients in {arguments.out}")


def _phantoms(arguments: argparse.Namespace) -> None:
    from gliomalib.phantoms import write  # noqa: PLC0415
    from gliomalib.phantoms.patient import PhantomPlan  # noqa: PLC0415

    try:
        asked = settings.Phantoms(spacing_mm=arguments.spacing, site=arguments.site)
    except ValidationError as error:
        raise SettingsError(f"no such phantoms: {explain(error)}; ask for others") from None
    plan = PhantomPlan(seed=arguments.seed, spacing_mm=asked.spacing_mm, site=asked.site)
    numbers = range(1, arguments.count + 1)
    folder = write.write_cohort(arguments.root, plan, numbers, provenance.cores())
    say(f"{arguments.count} synthetic patients in {folder}")


def text(rows: pd.DataFrame) -> str:
    """Return a table as lines, with a dash where there is nothing."""
    filled = rows.astype(object).where(rows.notna(), "–")
    return filled.to_string(index=False, max_colwidth=None)
