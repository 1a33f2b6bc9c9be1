"""Verbs that pass reports on: ``export`` as a web site, ``archive`` as a deposit."""

import argparse
from pathlib import Path

from gliomalib import inputs
from gliomalib.commands import Verbs, say
from gliomalib.runner.jobs import Folders


def add(verbs: Verbs) -> None:
    """Add the verbs of this module to the command line."""
    export = verbs.add_parser("export", help="write reports as a static site for a host of pages")
    export.add_argument("studies", nargs="*", metavar="STUDY", help="those that have a report")
    export.add_argument("--out", default="site", metavar="FOLDER", help="where it goes (site)")
    export.set_defaults(verb=_export)

    archive = verbs.add_parser("archive", help="write what a deposit of a study needs, as a zip")
    archive.add_argument("study", metavar="STUDY")
    archive.add_argument("--out", default="", metavar="FILE", help="the zip (STUDY-deposit.zip)")
    archive.add_argument("--mixed", action="store_true", help="take records of several commits")
    archive.set_defaults(verb=_archive)

    for verb in (export, archive):
        verb.add_argument("--report-dir", default="", metavar="FOLDER", help="results (reports)")


def _export(arguments: argparse.Namespace) -> None:
    # nbconvert takes a second to import, and the other verbs need none of it
    from gliomalib.report import export  # noqa: PLC0415

    # make gives all names in one word, and an empty word for none
    names = [name for word in arguments.studies for name in word.split()]
    out = inputs.absolute(arguments.out or "site")
    say(f"site: {export.write(names, _reports(arguments), out)}")


def _archive(arguments: argparse.Namespace) -> None:
    from gliomalib.report import export  # noqa: PLC0415

    study, mixed = arguments.study, arguments.mixed
    out = inputs.absolute(arguments.out or f"{study}-deposit.zip")
    say(f"deposit: {export.deposit(study, _reports(arguments), out, mixed=mixed)}")


def _reports(arguments: argparse.Namespace) -> Path:
    return Folders.of(reports=arguments.report_dir).reports
