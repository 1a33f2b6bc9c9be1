"""Who takes part: every case found, what is wrong with some, and who stands there twice."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from gliomalib import settings
from gliomalib.cohort import identity, pseudonyms
from gliomalib.cohort.table import PARTS, Entry, in_order, table_of, write_cases
from gliomalib.data import inspection
from gliomalib.data.readers import brats, layout, survey
from gliomalib.labels import RELEASES
from gliomalib.phantoms import copies as phantom_copies
from gliomalib.phantoms import write
from gliomalib.schema import Case, DataError, Fault, SettingsError

FIRST_EXTERNAL = 501
"""Number of the first external phantom; internal ones count from 1, so no ID stands twice."""

USED = ("internal", "external")
"""Parts whose cases are read."""


@dataclass(frozen=True)
class Cohort:
    """Everybody found: the table of cases, who is who, what is wrong, and the tables of names.

    ``links`` is that of ``identity.link_table``; ``faults`` has a row for each thing that is wrong.
    """

    cases: pd.DataFrame
    links: pd.DataFrame
    faults: pd.DataFrame
    people: tuple[brats.Identity, ...]


@dataclass(frozen=True)
class _Found:
    """What a folder or the phantom maker gave, before anybody looked into a file."""

    root: Path
    entries: list[Entry]
    faults: list[Fault]


def gather(study: settings.Study, source_dir: Path | None, work_dir: Path) -> Cohort:
    """Return everybody who could take part, nobody dropped; see ``COLUMNS`` and ``PARTS``.

    Phantoms are written under ``work_dir/raw`` first. Every case that the study asks for is
    inspected. Of a patient's several cases, as tables, equal voxels or a suspicion tell, one is
    used: an internal one before an external one, then the newest release, then the first
    examination; the others are ``duplicate``. A faulty case stops the study or, if the study
    says so, is ``excluded``. ``note`` says why a case is not used. With ``snakemake.pseudonyms`` no
    real ID is returned, but in the paths of files, which no report shows.

    Raises ``SettingsError`` for a missing folder or unusable releases, and ``DataError`` for a
    faulty case, a release without cases, and a part of the study in which nobody is left.
    """
    made = _phantoms(study, work_dir / "raw") if not study.real_data else _folder(study, source_dir)
    asked = [entry.case for entry in made.entries if entry.part in USED]
    found = {one.case.case_id: one for one in inspection.inspect_all(asked, signatures=True)}
    faults = [*made.faults, *(fault for one in found.values() for fault in one.faults)]
    _stop(faults, made.root, study.data.on_bad_case)
    whole = [one for one in found.values() if not one.faults]
    links = identity.links(whole)
    patients = identity.patients(whole, links)
    entries = [_seen(entry, found, patients) for entry in made.entries]
    entries = _one_each(_sorted_out(entries, found, made.faults))
    _check_parts(entries, study.data)
    cohort = Cohort(
        cases=table_of(entries),
        links=identity.link_table(links),
        faults=_fault_table(faults, made.root),
        people=tuple(identity.named_patients(layout.tables(made.root, brats.TABLE_NAME))),
    )
    return _pseudonymous(cohort, work_dir) if study.pseudonyms else cohort


def _phantoms(study: settings.Study, raw: Path) -> _Found:
    phantoms = study.data.phantoms
    if phantoms.internal >= FIRST_EXTERNAL:
        raise SettingsError(
            f"phantoms.internal is {phantoms.internal}, at most {FIRST_EXTERNAL - 1} are possible"
        )
    wanted = (
        ("internal", phantoms.site, 1, phantoms.internal),
        ("external", phantoms.external_site, FIRST_EXTERNAL, phantoms.external),
    )
    entries: list[Entry] = []
    for part, site, first, count in wanted:
        if count:
            plan = write.PhantomPlan(seed=study.seed, spacing_mm=phantoms.spacing_mm, site=site)
            cases = _phantom_cases(raw / part, plan, range(first, first + count))
            entries += [Entry(case, part) for case in cases]
    originals = [entry.case for entry in entries if entry.part == "internal"]
    copies = phantom_copies.write(raw / "copies", originals[: phantoms.copies], study.seed)
    found = survey.survey(copies) if phantoms.copies else survey.Survey((), ())
    entries += [
        Entry(replace(case, release=phantom_copies.RELEASE), "internal") for case in found.cases
    ]
    return _Found(raw, entries, list(found.faults))


def _phantom_cases(root: Path, plan: write.PhantomPlan, numbers: range) -> list[Case]:
    write.write_cohort(root, plan, numbers, os.cpu_count() or 1)
    # an earlier run may have left more patients here than are asked for now
    found = [case for case in survey.discover(root) if int(case.case_id[-3:]) in numbers]
    if len(found) != len(numbers):
        raise DataError(f"{root}: {len(found)} phantoms, expected {len(numbers)}; delete it")
    return [replace(case, release="phantom") for case in found]


def _folder(study: settings.Study, source: Path | None) -> _Found:
    if source is None:
        raise SettingsError(
            "this study reads a folder: pass source_dir to 01_data_exploration, or run "
            "make report DATA=/path"
        )
    data = study.data
    _check_releases(data)
    found = survey.survey(source)
    there = sorted({one.release for one in found.cases} | {one.release for one in found.faults})
    for release in (*data.internal_releases, *data.external_releases):
        if release not in there:
            raise DataError(f"{source}: no case of {release}; found only {', '.join(there)}")
    asked = dict.fromkeys(data.internal_releases, "internal")
    asked |= dict.fromkeys(data.external_releases, "external")
    entries = [_asked(case, asked) for case in found.cases]
    # what is wrong with a release that nobody asked for is no concern of the study
    known = {*asked, *(fault.release for fault in found.faults if fault.release not in RELEASES)}
    return _Found(source, entries, [fault for fault in found.faults if fault.release in known])


def _check_releases(data: settings.Data) -> None:
    named = [*data.internal_releases, *data.external_releases]
    strange = [name for name in named if name not in RELEASES]
    if strange:
        known = ", ".join(RELEASES)
        raise SettingsError(f"no release {', '.join(strange)}: known releases are {known}")
    if len(set(named)) < len(named) or not data.internal_releases:
        raise SettingsError(
            f"internal_releases {list(data.internal_releases)} must name a release, and none that "
            f"external_releases {list(data.external_releases)} names"
        )


def _asked(case: Case, asked: Mapping[str, str]) -> Entry:
    if case.release not in asked:
        return Entry(case, "unused", f"{case.release} is not part of the study")
    if case.segmentation is None:
        return Entry(case, "unused", "no mask")
    return Entry(case, asked[case.release])


def _stop(faults: Sequence[Fault], root: Path, on_bad_case: str) -> None:
    # no exclusion mends a table of names: without it nobody knows who a patient is
    fatal = faults if on_bad_case == "stop" else [one for one in faults if one.kind == layout.TABLE]
    if fatal:
        raise DataError(survey.sentence(fatal, root), fatal[0].kind)


def _seen(
    entry: Entry, found: Mapping[str, inspection.Inspection], patients: Mapping[str, str]
) -> Entry:
    """Return an entry with what its inspection found and the one ID of its patient."""
    name = entry.case.case_id
    if name not in found:
        return entry
    case = replace(found[name].case, patient_id=patients.get(name, entry.case.patient_id))
    return replace(entry, case=case, seen=found[name])


def _sorted_out(
    entries: Sequence[Entry], found: Mapping[str, inspection.Inspection], faults: Sequence[Fault]
) -> list[Entry]:
    """Return the entries with the faulty ones excluded, and those that never became a case."""
    kept = []
    for entry in entries:
        wrong = found[entry.case.case_id].faults if entry.case.case_id in found else ()
        kept.append(replace(entry, part="excluded", note=_kinds(wrong)) if wrong else entry)
    places: dict[Path, list[Fault]] = {}
    for fault in faults:
        places.setdefault(fault.path, []).append(fault)
    for together in places.values():
        one = together[0]
        case = Case(one.case_id, one.patient_id, one.release, {}, None)
        kept.append(Entry(case, "excluded", _kinds(together)))
    return kept


def _kinds(faults: Sequence[Fault]) -> str:
    return "; ".join(dict.fromkeys(f"{fault.kind} ({fault.path.name})" for fault in faults))


def _one_each(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries with all but one case of each patient marked as duplicate."""
    kept: dict[str, Entry] = {}
    for entry in sorted(entries, key=_rank):
        if entry.part in USED:
            kept.setdefault(entry.case.patient_id, entry)
    return [_against(entry, kept) for entry in entries]


def _rank(entry: Entry) -> tuple[int, int, str]:
    return (
        PARTS.index(entry.part),
        -RELEASES.index(entry.case.release) if entry.part in USED else 0,
        entry.case.case_id,
    )


def _against(entry: Entry, kept: Mapping[str, Entry]) -> Entry:
    first = kept.get(entry.case.patient_id)
    if entry.part not in USED or first is None or first is entry:
        return entry
    return replace(entry, part="duplicate", note=f"{_how(entry, first)} {first.case.case_id}")


def _how(entry: Entry, first: Entry) -> str:
    """Return how it is known that two cases are one patient's."""
    one, other = entry.seen, first.seen
    # an inspection keeps the ID that the release itself gives, before equal voxels joined cases
    if one is None or other is None or one.case.patient_id == other.case.patient_id:
        return "same patient as"
    return "same voxels as" if one.content == other.content else "probably the same scan as"


def _check_parts(entries: Sequence[Entry], data: settings.Data) -> None:
    asked = {"internal": data.internal_releases, "external": data.external_releases}
    there = {entry.part for entry in entries}
    for part, releases in asked.items():
        if releases and part not in there:
            notes = {
                entry.note for entry in entries if entry.case.release in releases and entry.note
            }
            raise DataError(
                f"nobody of {', '.join(releases)} is left for the {part} part: "
                f"{'; '.join(sorted(notes)[:3])}; give another release"
            )


def _fault_table(faults: Sequence[Fault], root: Path) -> pd.DataFrame:
    rows = [
        {
            "case_id": fault.case_id,
            "release": fault.release,
            "kind": fault.kind,
            "file": fault.path.name,
            "what to do": fault.message.replace(f"{root}/", ""),
        }
        for fault in faults
    ]
    return pd.DataFrame(rows, columns=["case_id", "release", "kind", "file", "what to do"])


def _pseudonymous(cohort: Cohort, work_dir: Path) -> Cohort:
    """Return a cohort without real IDs; the list of who is who stays in the working folder.

    Rows are sorted anew, as their order would give away who has the next ID in the release.
    """
    names = pseudonyms.open_pseudonyms(work_dir.parent)
    cases = cohort.cases
    rows = cases[["case_id", "patient_id"]].drop_duplicates()
    hidden = {name: names.case(name) for name in rows["case_id"]}
    people = {name: names.patient(name) for name in rows["patient_id"]}
    known = rows.assign(exam=rows["case_id"].map(hidden), patient=rows["patient_id"].map(people))
    write_cases(known, work_dir / "pseudonyms.csv").chmod(0o600)
    cases = cases.assign(
        case_id=cases["case_id"].map(hidden),
        patient_id=cases["patient_id"].map(people),
        note=cases["note"].map(lambda note: _hidden(note, hidden)),
    )
    links = cohort.links.replace({"case_id": hidden, "same_as": hidden})
    faults = cohort.faults.assign(
        case_id=cohort.faults["case_id"].map(lambda name: hidden.get(name, "a file")),
        file="hidden",
        **{"what to do": "see python -m gliomalib data verify"},
    )
    return Cohort(
        cases=in_order(cases),
        links=links.sort_values(["case_id", "same_as"], ignore_index=True),
        faults=faults.sort_values(["case_id", "kind"], ignore_index=True),
        people=cohort.people,
    )


def _hidden(note: str | None, names: Mapping[str, str]) -> str | None:
    """Return a note with every ID replaced and without names of files, which hold IDs."""
    if note is None or pd.isna(note):
        return None
    # a name may hold parentheses itself
    text = re.sub(r" \(.*?\)(?=; |$)", "", note, flags=re.DOTALL)
    known = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(rf"(?<![\w-])({known})(?![\w-])", lambda match: names[match[0]], text)
