"""Verbs on studies: run them, read and judge what they left, pass their reports on."""

import argparse
import contextlib
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from gliomalib import inputs, settings
from gliomalib.commands import Verbs, positive, say
from gliomalib.parameters import LAST_NOTEBOOK
from gliomalib.runner.chain import CHAIN
from gliomalib.runner.jobs import Folders, Job, plan, with_digest
from gliomalib.schema import SettingsError, run_name


def add(verbs: Verbs) -> None:
    """Add the verbs of this module to the command line."""
    run = verbs.add_parser("run")
    run.add_argument("notebook", metavar="NOTEBOOK", help=f"one of {', '.join(CHAIN)}")
    run.add_argument("--study", default="demo", help="the study to take (demo)")
    run.add_argument("--variant", default="", help="variant of the study file to run")
    run.add_argument("-f", "--file", type=Path, help="YAML file of parameters that replace them")
    run.set_defaults(verb=_run)

    study = verbs.add_parser("study")
    study.add_argument("study", metavar="STUDY", help=f"one of {', '.join(settings.studies())}")
    study.add_argument("--profile", default="", help="run on a cluster: slurm, or a folder")
    study.add_argument("--quiet", action="store_true", help="print only faults and the address")
    study.set_defaults(verb=_study)

    trial = verbs.add_parser("rehearse")
    trial.add_argument("study", metavar="STUDY")
    trial.add_argument("-f", "--file", type=Path, help="YAML file of settings (a.b: value)")
    trial.set_defaults(verb=_rehearse)

    report = verbs.add_parser("report")
    report.add_argument("study", metavar="STUDY")
    report.set_defaults(verb=_report)

    verify = verbs.add_parser("verify")
    verify.add_argument("study", metavar="STUDY", help="a study that has a report")
    verify.add_argument(
        "--out", default="", metavar="FOLDER", help="keep what is made here, to go on after a stop"
    )
    verify.set_defaults(verb=_verify)

    for verb in (study, verify):
        cores = os.cpu_count() or 1
        verb.add_argument("--cores", type=positive, default=cores, help="processes at once")
    for verb in (study, verify, trial):
        verb.add_argument(
            "--until", default="", metavar="NOTEBOOK", help="stop after this notebook"
        )
    for verb in (run, study, trial, report, verify):
        verb.add_argument("--source", default="", metavar="FOLDER", help="the user's data set")
        verb.add_argument("--report-dir", default="", metavar="FOLDER", help="results (reports)")
    for verb in (run, study, trial, report):
        verb.add_argument("--data-dir", default="", metavar="FOLDER", help="working files (data)")
        verb.add_argument("--folders", type=Path, metavar="FILE", help="JSON that names all three")
    verbs.add_parser("studies").set_defaults(verb=_studies)
    _add_judging(verbs)
    _add_passing_on(verbs)


def _folders(arguments: argparse.Namespace) -> Folders:
    if arguments.folders:
        return Folders.described(arguments.folders)
    return Folders.of(arguments.data_dir, arguments.report_dir, arguments.source)


def _run(arguments: argparse.Namespace) -> None:
    job = _job(arguments)
    # papermill takes seconds to import, and the other verbs need none of it
    from gliomalib.runner.execution import execute  # noqa: PLC0415

    say(f"{job.name}: running")
    seconds = execute(job)
    say(f"{job.name}: done in {seconds:.0f} s")


def _job(arguments: argparse.Namespace) -> Job:
    jobs = {job.name: job for job in plan(arguments.study, _folders(arguments), arguments.notebook)}
    name = run_name(arguments.notebook, arguments.variant)
    if name not in jobs:
        raise SettingsError(f"the study {arguments.study} has no {name}: take {', '.join(jobs)}")
    if arguments.file is None:
        return jobs[name]
    overrides = {**jobs[name].overrides, **inputs.content_of(arguments.file)}
    needed = {other: jobs[other].digest for other in jobs[name].needs}
    return with_digest(replace(jobs[name], overrides=overrides), needed)


def _study(arguments: argparse.Namespace) -> None:
    from gliomalib import records  # noqa: PLC0415
    from gliomalib.runner.snakemake import Place, bring_up_to_date  # noqa: PLC0415

    folders, place = _folders(arguments), Place(arguments.cores, arguments.profile)
    bring_up_to_date(arguments.study, folders, place, arguments.until, arguments.quiet)
    results = folders.reports / arguments.study
    if not arguments.until and not arguments.quiet:
        say(records.read(records.record_path(results, LAST_NOTEBOOK)).conclusion)
    if not arguments.until:
        say((results / "index.html").as_uri())


def _rehearse(arguments: argparse.Namespace) -> None:
    # these bring torch, and the other verbs need none of it
    from gliomalib.runner import extrapolation, rehearsal  # noqa: PLC0415

    overrides = inputs.content_of(arguments.file) if arguments.file else {}
    folders = _folders(arguments)
    with rehearsal.alone(arguments.study, folders, overrides):
        planned = rehearsal.prepare(arguments.study, folders, overrides)
        for change in planned.changes:
            say(f"changed for the rehearsal: {change}")
        went_well = rehearsal.run(planned, arguments.until)
        faults = rehearsal.failures(planned)
        # without a cohort of this very rehearsal there is nothing to measure
        if planned.cohort.is_file() and planned.stamp(planned.runs[0]).is_file():
            for line in extrapolation.told(extrapolation.write(planned)):
                say(line)
    if not went_well:
        why = "is not complete: the reason is printed above"
        if faults:
            why = f"has runs that failed: {', '.join(faults)}"
        raise SettingsError(f"the rehearsal of {arguments.study} {why}")


def _report(arguments: argparse.Namespace) -> None:
    from gliomalib import report  # noqa: PLC0415
    from gliomalib.runner.executed import refresh_text  # noqa: PLC0415

    folders = _folders(arguments)
    # who has the records but not the patients cannot plan, and takes the copies as they are
    without_data = settings.load(arguments.study).real_data and not folders.source
    for job in [] if without_data else plan(arguments.study, folders):
        if job.executed.is_file():
            refresh_text(job)
    page = report.build(arguments.study, folders.reports / arguments.study)
    say(f"report: {page}")


def _verdicts(arguments: argparse.Namespace) -> None:
    from gliomalib import records  # noqa: PLC0415
    from gliomalib.verdicts import claims, judge  # noqa: PLC0415

    study = settings.load(arguments.study)
    found = records.read_all(_reports(arguments) / study.study)
    published = claims.load(arguments.claims or study.published)
    for verdict in judge.judge_all(published, found, study):
        claim, (obtained, bounds) = verdict.claim, verdict.claim.told(verdict.obtained)
        numbers = f"printed {claim.shown(claim.published)}, obtained {obtained} ({bounds})"
        say(f"{claim.id:4}{verdict.verdict}: {numbers}; {verdict.reason}")


def _studies(_: argparse.Namespace) -> None:
    for name in settings.studies():
        try:
            title = settings.load(name).title
        except SettingsError as error:
            title = f"cannot be run: {error}"
        say(f"{name:14} {title}")


def _compare(arguments: argparse.Namespace) -> None:
    # nbconvert takes a second to import, and the other verbs need none of it
    from gliomalib.report import compare  # noqa: PLC0415

    page = compare.build(arguments.a, arguments.b, _reports(arguments), arguments.out)
    say(f"side by side: {page}")


def _verify(arguments: argparse.Namespace) -> bool:
    from gliomalib.report import compare  # noqa: PLC0415
    from gliomalib.runner.snakemake import Place, bring_up_to_date  # noqa: PLC0415

    study, until = arguments.study, arguments.until
    stored = compare.read("A", compare.find(study, _reports(arguments)))
    with contextlib.ExitStack() as stack:
        out = arguments.out
        if not out:
            # on the disk on which studies work, which has the room for another one
            fresh = tempfile.TemporaryDirectory(dir=Folders().data, prefix=".verify-")
            out = stack.enter_context(fresh)
        folders = Folders.of(f"{out}/data", f"{out}/reports", arguments.source)
        bring_up_to_date(study, folders, Place(arguments.cores), until)
        again = compare.read("B", folders.reports / study)
        if until:
            names = {job.name for job in plan(study, folders, until)}
            kept = {name: record for name, record in stored.records.items() if name in names}
            stored = replace(stored, records=kept, verdicts={})
        found = compare.Comparison(stored, again)
        for line in compare.sentences(found):
            say(line)
    return not found.same


def _add_judging(verbs: Verbs) -> None:
    verdicts = verbs.add_parser("verdicts")
    verdicts.add_argument("study", metavar="STUDY")
    verdicts.add_argument(
        "--claims", type=inputs.absolute, metavar="FILE", help="judge these claims"
    )
    verdicts.set_defaults(verb=_verdicts)

    compare = verbs.add_parser("compare")
    for name in ("a", "b"):
        compare.add_argument(
            name, metavar=name.upper(), help="a study that has a report, or the folder of a report"
        )
    compare.add_argument(
        "--out", type=inputs.absolute, metavar="FILE", help="page (compare-A-B.html of these)"
    )
    compare.set_defaults(verb=_compare)

    for verb in (verdicts, compare):
        verb.add_argument("--report-dir", default="", metavar="FOLDER", help="reports (reports)")


def _add_passing_on(verbs: Verbs) -> None:
    export = verbs.add_parser("export")
    export.add_argument("studies", nargs="*", metavar="STUDY", help="those that have a report")
    export.add_argument("--out", default="site", metavar="FOLDER", help="where it goes (site)")
    export.set_defaults(verb=_export)

    archive = verbs.add_parser("archive")
    archive.add_argument("study", metavar="STUDY")
    archive.add_argument("--out", default="", metavar="FILE", help="the zip (STUDY-deposit.zip)")
    archive.add_argument("--mixed", action="store_true", help="take records of several commits")
    archive.set_defaults(verb=_archive)

    for verb in (export, archive):
        verb.add_argument("--report-dir", default="", metavar="FOLDER", help="results (reports)")


def _export(arguments: argparse.Namespace) -> None:
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
