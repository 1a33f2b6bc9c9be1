"""The jobs of one study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gliomalib import settings
from gliomalib.runner.chain import CHAIN, LAST, upstream, wanted
from gliomalib.runner.digests import with_digest
from gliomalib.runner.jobs import Folders, Job
from gliomalib.schema import DataError, SettingsError


def plan(study: str, folders: Folders | None = None, until: str = "") -> tuple[Job, ...]:
    """Return the jobs of a study, each after those that it needs.

    With ``until`` only that notebook and what it needs. Raises ``SettingsError`` for an unknown
    study, notebook or parameter, ``DataError`` where the study needs a folder that is not there.
    """
    folders = folders or Folders()
    known = settings.load(study)
    _check_source(known, folders)
    _check_variants(known)
    jobs: dict[str, Job] = {}
    for notebook in wanted(until):
        for variant, own in {"": {}, **known.variants.get(notebook, {})}.items():
            job = Job(notebook, variant, known, own, folders)
            job = replace(job, needs=tuple(_needed(job, jobs)))
            jobs[job.name] = with_digest(job, {name: jobs[name].digest for name in job.needs})
    return tuple(jobs.values())


def _needed(job: Job, planned: Iterable[str]) -> Iterator[str]:
    every = job.notebook == LAST or CHAIN[job.notebook].variants_too
    fused = {_trained_by(branch) for branch in job.own.get("branches", ())}
    for name in planned:
        notebook, _, variant = name.partition(".")
        if name in fused or (notebook in upstream(job.notebook) and (every or not variant)):
            yield name


def _trained_by(branch: str) -> str:
    """Return the run that trains ``network`` or ``network.variant``."""
    network, dot, variant = branch.partition(".")
    return settings.NETWORKS[network][0] + dot + variant


def _check_source(study: settings.Study, folders: Folders) -> None:
    if study.data.source == "folder" and folders.source is None:
        raise DataError(
            f"the study {study.study} reads patients from a folder: say which with DATA=/path"
        )
    if folders.source is not None and not folders.source.is_dir():
        raise DataError(f"{folders.source}: there is no such folder; DATA must name one")


def _check_variants(study: settings.Study) -> None:
    for notebook, variants in study.variants.items():
        if notebook not in CHAIN:
            raise SettingsError(
                f"{study.study}.yml: variants of {notebook!r}, which is no notebook: take one of "
                f"{', '.join(CHAIN)}"
            )
        if variants and "variant" not in settings.parameters_of(notebook):
            raise SettingsError(f"{study.study}.yml: {notebook} takes no variants; remove them")
        wrong = [name for name in variants if not name.replace("-", "").replace("_", "").isalnum()]
        if wrong:
            raise SettingsError(
                f"{study.study}.yml: {wrong[0]!r} cannot name a variant: letters, digits, - and _"
            )
