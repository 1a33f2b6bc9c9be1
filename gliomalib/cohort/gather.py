"""Who takes part: every case found, what is wrong with some, and who is there several times."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from gliomalib import provenance, settings
from gliomalib.cohort import identity, pseudonyms
from gliomalib.cohort.table import Entry, table_of
from gliomalib.data import inspection
from gliomalib.data.readers import brats, layout, people, survey, tables
from gliomalib.data.readers.unused import Unused
from gliomalib.labels import RELEASES
from gliomalib.phantoms import copies as phantom_copies
from gliomalib.phantoms import write
from gliomalib.phantoms.patient import PhantomPlan
from gliomalib.schema import Case, DataError, Fault, SettingsError

TWIN = "same anatomy at another site"
"""What is said of an external phantom that a held-out one is, imaged at another site."""

USED = ("internal", "external")
"""Parts whose cases are read."""


@dataclass(frozen=True)
class Cohort:
    """Everybody found: the table of cases, who is who, what is wrong, and the tables of names.

    ``links`` is that of ``identity.link_table``; ``faults`` has a row for each thing that is wrong,
    ``notes`` for each doubt, ``unused`` for what lies there and is not used (kind, files, why).
    """

    cases: pd.DataFrame
    links: pd.DataFrame
    faults: pd.DataFrame
    notes: pd.DataFrame
    unused: pd.DataFrame
    people: tuple[people.Identity, ...]


Listed = tuple[Path, list[Entry], Sequence[Fault], Sequence[Unused]]
"""A folder, its cases, what is wrong with others, what is not used; nobody looked into a file."""


def gather(study: settings.Study, source_dir: str | Path | None, work_dir: str | Path) -> Cohort:
    """Return everybody who could take part, nobody dropped; see ``COLUMNS`` and ``PARTS``.

    Phantoms are written under ``work_dir/raw`` first. In a study of masks a case is its mask alone,
    whatever images lie beside it. Every case that the study asks for is inspected. Of a patient's
    several cases, as tables, equal voxels or a suspicion tell, one is used: an internal one before
    an external one, then the newest release, then the first examination; the others are
    ``duplicate``. A faulty case stops the study or, if the study says so, is ``excluded``. ``note``
    says why a case is not used. With ``study.pseudonyms`` no real ID is returned, but in the paths
    of files, which no report shows.

    Raises ``SettingsError`` for a missing folder or unusable releases, and ``DataError`` for a
    faulty case, a release without cases, and a part of the study in which nobody is left.
    """
    work_dir = Path(work_dir)
    listed = _folder(study, source_dir) if study.real_data else _phantoms(study, work_dir / "raw")
    root, entries, listing_faults, unused = listed
    if study.data.extent == "masks":
        entries = [replace(e, case=replace(e.case, images={}, channels=())) for e in entries]
    asked = [entry.case for entry in entries if entry.part in USED]
    inspections = inspection.inspect_all(
        asked, signatures=True, mask_pattern=study.data.mask_pattern
    )
    seen = {scan.case.case_id: scan for scan in inspections}
    faults = [*listing_faults, *(fault for scan in seen.values() for fault in scan.faults)]
    stop(faults, root, study.data.on_bad_case)
    sound = [scan for scan in seen.values() if not scan.faults]
    twins = {entry.case.case_id: entry.same_as for entry in entries if entry.same_as}
    links = identity.links(sound, twins)
    patients = identity.patients(sound, links)
    entries = [_inspected(entry, seen, patients) for entry in entries]
    entries = _one_each([*entries, *_without_case(listing_faults)])
    if study.split.by == "site":
        entries = [_at_a_site(entry) for entry in entries]
    _check_parts(entries, study.data)
    named = tuple(people.named_patients(root))
    years = {person.patient_id: tuple(sorted(person.ids)) for person in named}
    entries = [replace(e, years=years.get(e.case.patient_id, ())) for e in entries]
    cohort = Cohort(
        cases=table_of(entries),
        links=identity.link_table(links),
        faults=_fault_table(faults, root),
        notes=_fault_table([note for scan in sound for note in scan.notes], root),
        unused=_unused_table(unused, root),
        people=named,
    )
    return _under_pseudonyms(cohort, entries, work_dir) if study.pseudonyms else cohort


def _phantoms(study: settings.Study, raw: Path) -> Listed:
    phantoms, boxes = study.data.phantoms, study.data.extent == "boxes"
    plan = PhantomPlan(study.seed, phantoms.spacing_mm, phantoms.site)
    plan = replace(plan, box=phantoms.box if boxes else None)
    originals = _phantom_cases(raw / "internal", plan, range(1, phantoms.internal + 1))
    entries = [Entry(case, "internal") for case in originals]
    if phantoms.external:
        there = replace(plan, site=phantoms.external_site)
        # one number is one anatomy at every site
        names = {case.case_id[-3:]: case.case_id for case in originals}
        for case in _phantom_cases(raw / "external", there, _external_numbers(study)):
            same = names.get(case.case_id[-3:])
            entries.append(Entry(case, "external", TWIN if same else "", same))
    copies = phantom_copies.write(raw / "copies", originals[: phantoms.copies], study.seed)
    copied = survey.survey(copies) if phantoms.copies else survey.Survey((), ())
    entries += [Entry(case, "internal") for case in copied.cases]
    return raw, entries, copied.faults, ()


def _external_numbers(study: settings.Study) -> range:
    """Return who is imaged at the second site: the last internal phantoms, whom the split tests.

    New ones where these cannot all be held out, as in several folds, of which each trains on them.
    """
    phantoms, split = study.data.phantoms, study.split
    enough = phantoms.external <= round(split.test_share * phantoms.internal)
    paired = enough and split.folds == 1 and phantoms.site != phantoms.external_site
    first = phantoms.internal + 1 - phantoms.external * paired
    return range(first, first + phantoms.external)


def _phantom_cases(root: Path, plan: PhantomPlan, numbers: range) -> list[Case]:
    write.write_cohort(root, plan, numbers, provenance.cores())
    # an earlier run may have left more patients here than are asked for now
    cases = [case for case in survey.discover(root) if int(case.case_id[-3:]) in numbers]
    if len(cases) != len(numbers):
        raise DataError(f"{root}: {len(cases)} phantoms, expected {len(numbers)}; delete it")
    return cases


def _folder(study: settings.Study, source_dir: str | Path | None) -> Listed:
    if source_dir is None:
        raise SettingsError(
            "this study reads a folder: pass source_dir to 01_data_exploration, or run "
            "make report DATA=/path"
        )
    root, data = Path(source_dir), study.data
    _check_releases(data)
    found = survey.survey(root, masks=data.extent == "masks")
    there = {case.release for case in found.cases} | {fault.release for fault in found.faults}
    for release in (*data.internal_releases, *data.external_releases):
        if release not in there:
            raise DataError(
                f"{root}: no case of {release}; found only {', '.join(sorted(there))}; give a "
                "folder that holds all releases of the study"
            )
    asked = dict.fromkeys(data.internal_releases, "internal")
    asked |= dict.fromkeys(data.external_releases, "external")
    # what is wrong with a release that nobody asked for is no concern of the study
    faults = [
        fault for fault in found.faults if fault.release in asked or fault.release not in RELEASES
    ]
    return root, [_asked(case, asked) for case in found.cases], faults, found.unused


def _check_releases(data: settings.Data) -> None:
    named = [*data.internal_releases, *data.external_releases]
    unknown = [name for name in named if name not in RELEASES]
    if unknown:
        raise SettingsError(
            f"no release {', '.join(unknown)}: known releases are {', '.join(RELEASES)}"
        )
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
    # whom the tables know by an ID of an internal release is of that population
    known = (year for year, ids in brats.CASE_FOLDERS.items() if re.fullmatch(ids, case.patient_id))
    if any(asked.get(year) == "internal" for year in known):
        return Entry(case, "internal")
    return Entry(case, asked[case.release])


def stop(faults: Sequence[Fault], root: Path, on_bad_case: str) -> None:
    """Raise ``DataError`` for a fault, if the study stops at it or no exclusion mends it."""
    # as that of a table of names: without it nobody knows who a patient is
    fatal = [fault for fault in faults if on_bad_case == "stop" or fault.kind == tables.KIND]
    if fatal:
        raise DataError(survey.sentence(fatal, root), fatal[0].kind)


def _inspected(
    entry: Entry, seen: Mapping[str, inspection.Inspection], patients: Mapping[str, str]
) -> Entry:
    """Return an entry with what its inspection found, excluded if that is a fault."""
    name = entry.case.case_id
    if name not in seen:
        return entry
    case = replace(seen[name].case, patient_id=patients.get(name, entry.case.patient_id))
    entry = replace(entry, case=case, seen=seen[name])
    return _excluded(entry, seen[name].faults) if seen[name].faults else entry


def _without_case(faults: Sequence[Fault]) -> list[Entry]:
    """Return what never became a case, as faults stand in the way, once for each path and ID."""
    places: dict[tuple[Path, str], list[Fault]] = {}
    for fault in faults:
        places.setdefault((fault.path, fault.case_id), []).append(fault)
    return [
        _excluded(Entry(Case(f.case_id, f.patient_id, f.release, {}, None), "excluded"), [f, *more])
        for f, *more in places.values()
    ]


def _excluded(entry: Entry, faults: Sequence[Fault]) -> Entry:
    kind = "; ".join(dict.fromkeys(fault.kind for fault in faults))
    places = dict.fromkeys(f"{fault.kind} ({layout.plain(fault.path.name)})" for fault in faults)
    detail = "; ".join(places)
    return replace(entry, part="excluded", kind=kind, detail=detail, same_as=None)


def _one_each(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries with all but one case of each patient marked as duplicate."""
    kept: dict[str, Entry] = {}
    for entry in sorted((entry for entry in entries if entry.part in USED), key=_rank):
        kept.setdefault(entry.case.patient_id, entry)
    return [
        _duplicate(entry, kept[entry.case.patient_id])
        if entry.part in USED and entry is not kept[entry.case.patient_id]
        else entry
        for entry in entries
    ]


def _at_a_site(entry: Entry) -> Entry:
    # whose site is unknown may be of the one that is left out
    known = entry.case.site or entry.part != "internal"
    return entry if known else replace(entry, part="unused", kind="site unknown")


def _rank(entry: Entry) -> tuple[int, int, str]:
    newest_first = -RELEASES.index(entry.case.release)
    return USED.index(entry.part), newest_first, entry.case.case_id


def _duplicate(entry: Entry, used: Entry) -> Entry:
    """Return an entry as a duplicate of the one that is used, and how that is known."""
    scan, other, kind = entry.seen, used.seen, "same patient"
    # an inspection keeps the ID that the release itself gives, before equal voxels joined cases
    if scan and other and scan.case.patient_id != other.case.patient_id:
        kind = "same voxels" if scan.content == other.content else "probably the same scan"
    return replace(entry, part="duplicate", kind=kind, same_as=used.case.case_id)


def _check_parts(entries: Sequence[Entry], data: settings.Data) -> None:
    asked = {"internal": data.internal_releases, "external": data.external_releases}
    there = {entry.part for entry in entries}
    for part, releases in asked.items():
        if releases and part not in there:
            left = [entry for entry in entries if entry.case.release in releases]
            notes = {entry.note for entry in left if entry.note}
            raise DataError(
                f"nobody of {', '.join(releases)} is left for the {part} part: "
                f"{'; '.join(sorted(notes)[:3])}; give another release"
            )


def _fault_table(faults: Sequence[Fault], root: Path) -> pd.DataFrame:
    rows = [
        (f.case_id, f.release, f.kind, layout.plain(f.path.name), f.message.replace(f"{root}/", ""))
        for f in faults
    ]
    return pd.DataFrame(rows, columns=["case_id", "release", "kind", "file", "what to do"])


def _unused_table(unused: Sequence[Unused], root: Path) -> pd.DataFrame:
    rows = [(u.kind, u.files, u.message.replace(f"{root}/", "")) for u in unused]
    return pd.DataFrame(rows, columns=["kind", "files", "why"])


def _under_pseudonyms(cohort: Cohort, entries: Sequence[Entry], work_dir: Path) -> Cohort:
    """Return a cohort without real IDs; the list of who is who stays in the working folder.

    Notes are written anew from fields that hold no real ID. Rows are sorted anew, as their order
    would give away who has the next ID in the release.
    """
    names = pseudonyms.open_pseudonyms(work_dir.parent)
    who = cohort.cases[["case_id", "patient_id"]].drop_duplicates()
    exams = {name: names.case(name) for name in who["case_id"]}
    people = who["patient_id"].map(names.patient)
    private = who.assign(exam=who["case_id"].map(exams), patient=people)
    table = private.to_csv(index=False)
    provenance.write_atomic(work_dir / "pseudonyms.csv", table, private=True)
    # names of files hold IDs, so that of a faulty one goes with ``detail``
    hidden = [replace(e, same_as=e.same_as and names.case(e.same_as), detail="") for e in entries]
    renamed = [replace(entry, case=names.renamed(entry.case)) for entry in hidden]
    links = cohort.links.replace({"case_id": exams, "same_as": exams})
    faults, notes = (
        table.assign(
            case_id=[exams.get(name, "a file") for name in table["case_id"]],
            file="hidden",
            **{"what to do": "see python -m gliomalib data verify"},
        ).sort_values(["case_id", "kind"], ignore_index=True)
        for table in (cohort.faults, cohort.notes)
    )
    unused = cohort.unused.assign(why="see python -m gliomalib data verify")
    return replace(
        cohort,
        cases=table_of(renamed),
        links=links.sort_values(["case_id", "same_as"], ignore_index=True),
        faults=faults,
        notes=notes,
        unused=unused.sort_values(["kind", "files"], ignore_index=True),
    )
