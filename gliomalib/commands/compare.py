"""The verb ``compare``: two runs side by side on one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from gliomalib.commands import Verbs, say
from gliomalib.runner import Folders


def add(verbs: Verbs) -> None:
    """Add the verb of this module to the command line."""
    verb = verbs.add_parser("compare", help="write a page of two runs side by side")
    for name in ("a", "b"):
        verb.add_argument(
            name, metavar=name.upper(), help="a study that has a report, or the folder of a report"
        )
    verb.add_argument("--report-dir", default="", metavar="FOLDER", help="all reports (reports)")
    verb.add_argument("--out", type=Path, metavar="FILE", help="page (compare-A-B.html of these)")
    verb.set_defaults(verb=_compare)


def _compare(arguments: argparse.Namespace) -> None:
    # nbconvert takes a second to import, and the other verbs need none of it
    from gliomalib.report.compare import page  # noqa: PLC0415

    reports = Folders.of(reports=arguments.report_dir).reports
    out = arguments.out.expanduser() if arguments.out else None
    say(f"side by side: {page.build(arguments.a, arguments.b, reports, out)}")
