"""The trained pipeline on patients it never saw: who they are, and what it makes of them.

Both groups are people on whom no network was trained: the held-out patients of the study, and
those of its external part or of any folder.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from gliomalib import inputs, progress, records, settings
from gliomalib.cohort import gather, identity, pseudonyms
from gliomalib.cohort import table as casetable
from gliomalib.data.inspection import Inspection, inspect_all
from gliomalib.data.readers import survey
from gliomalib.experiments import comparing, intensities
from gliomalib.fusion import average
from gliomalib.labels import RELEASES
from gliomalib.networks import models, predict
from gliomalib.pipeline import folds, patient, preprocess
from gliomalib.pipeline.finished import open_finished
from gliomalib.schema import SEQUENCES, Case, DataError, FloatArray, RecordError, Split
from gliomalib.scoring import calibration
from gliomalib.scoring import tables as evaluate

SCORED, OVERLAP, NO_MASK = "scored", "patient of the study", "no mask"
FAULTY, AGAIN = "faulty", "same patient again"
"""What becomes of an external case."""

GROUPS = {"test": "internal", "external": "external"}
"""The two parts on which results are reported, and what they are called here."""

NONE, Z_SCORE = "none", "z_score"
"""The fused volume as it is, and as it is where `intensities.z_score` came first."""

Tallies = Mapping[str, FloatArray]
"""Patient → ``calibration.tally`` of the fused probabilities in the brain."""


@dataclass(frozen=True)
class Sites:
    """The study's own patients, and those of another site.

    ``outside`` is the study itself, or a folder's patients with their own store and predictions.
    ``cases`` has a row per external case: case_id, patient_id, release, site, fate. ``homes``
    gives the site of every reported patient. ``twins`` is external patient → held-out one with the
    same anatomy; only phantoms have any.
    """

    inside: folds.Material
    outside: folds.Material
    cases: pd.DataFrame
    homes: Mapping[str, str]
    twins: Mapping[str, str] = field(default_factory=dict)

    @property
    def study(self) -> settings.Study:
        """The settings in force."""
        return self.inside.study

    @property
    def device(self) -> str:
        """Where the networks run."""
        return str(models.find_device(self.study.device))

    def count(self, fate: str) -> int:
        """Return how many external cases met this fate."""
        return int((self.cases["fate"] == fate).sum())


@dataclass(frozen=True)
class GroupScores:
    """What was measured in both groups; ``part`` is test (internal) or external.

    ``scores`` and ``slices`` are as notebooks 05 and 06 write them. ``intensities`` has a hundred
    rows per patient and sequence: part, patient_id, sequence, value. ``tallies`` are by part.
    ``remedied`` has part, patient_id, fold, network (``NONE`` or ``Z_SCORE``), region, dice,
    state. ``twins`` are those of ``Sites``.
    """

    scores: pd.DataFrame
    slices: pd.DataFrame
    intensities: pd.DataFrame
    tallies: Mapping[str, Tallies]
    remedied: pd.DataFrame
    twins: Mapping[str, str] = field(default_factory=dict)


def open_sites(run: records.Run) -> Sites:
    """Return both groups: the external part of the study, or the cases of ``external_root``.

    A folder's cases go through everything: what is also a patient of the study, by ID, table,
    file or voxels, is excluded; the others are preprocessed and predicted by every fold. Raises
    ``DataError`` for a folder in which nobody is left, and for a fault if the study stops at it.
    """
    inside = folds.open_material(run)
    table = casetable.read_cases(run.work_dir / "cases.csv")
    internal = table[table["part"] == "internal"]
    root = run.parameters.get("external_root")
    if root:
        cases, outside = _from_folder(inside, inputs.absolute(root))
    else:
        cases, outside = cases_of_the_study(table, inside.study.data), inside
    cases["site"] = _sites(cases)
    scored = cases[cases["fate"] == SCORED]
    homes = dict(zip(internal["patient_id"], _sites(internal), strict=True))
    homes |= dict(zip(scored["patient_id"], scored["site"], strict=True))
    return Sites(inside, outside, cases, homes, {} if root else casetable.twins(table))


def cases_of_the_study(table: pd.DataFrame, plan: settings.Data) -> pd.DataFrame:
    """Return the external cases of the table: case_id, patient_id, release, site, fate."""
    internal = set(table.loc[table["part"] == "internal", "patient_id"])
    rows = table[(table["part"] == "external") | table["release"].isin(plan.external_releases)]
    fates = {"external": SCORED, "excluded": FAULTY, "unused": NO_MASK, "duplicate": AGAIN}
    fate = rows["part"].map(fates)
    fate = fate.mask((fate == AGAIN) & rows["patient_id"].isin(internal), OVERLAP)
    return rows[["case_id", "patient_id", "release", "site"]].assign(fate=fate)


def _from_folder(inside: folds.Material, root: Path) -> tuple[pd.DataFrame, folds.Material]:
    surveyed, pattern = survey.survey(root), inside.study.data.mask_pattern
    seen = inspect_all(surveyed.cases, signatures=True, mask_pattern=pattern)
    faults = [*surveyed.faults, *(fault for inspection in seen for fault in inspection.faults)]
    gather.stop(faults, root, inside.study.data.on_bad_case)
    # a case keeps its own names unless the study hides them
    names: Callable[[Case], Case] = replace
    if inside.study.pseudonyms:
        names = pseudonyms.open_pseudonyms(inside.run.work_dir.parent).renamed
    # of a patient's several examinations that of the newest release counts, as in ``cohort``
    seen.sort(key=lambda one: (-RELEASES.index(one.case.release), one.case.case_id))
    seen = [replace(inspection, case=names(inspection.case)) for inspection in seen]
    fates = _fates(inside, seen)
    rows = [(inspection.case, fates[inspection.case.case_id]) for inspection in seen]
    # a case whose files could not be listed is known by its fault alone, and counted once
    lost = {
        fault.case_id: names(Case(fault.case_id, fault.patient_id, fault.release, {}, None))
        for fault in surveyed.faults
    }
    rows += [(case, FAULTY) for case in lost.values()]
    table = pd.DataFrame(
        [(case.case_id, case.patient_id, case.release, case.site, fate) for case, fate in rows],
        columns=["case_id", "patient_id", "release", "site", "fate"],
    )
    used = [case for case, fate in rows if fate == SCORED]
    if not used:
        counts = ", ".join(f"{n} {fate}" for fate, n in table["fate"].value_counts().items())
        raise DataError(
            f"{root}: no case is left to be scored ({counts}); give a folder with masks, of "
            "patients who are not in the study"
        )
    return table, _prepared(inside, used)


def _fates(inside: folds.Material, seen: Sequence[Inspection]) -> dict[str, str]:
    """Return the fate of each case: a fault is one before anyone asks whose case it is."""
    run = inside.run
    finished = open_finished(run.study.study, run.work_dir.parent, run.report_dir.parent)
    fates = {inspection.case.case_id: FAULTY for inspection in seen if inspection.faults}
    internal = casetable.cases_of(finished.cases, "internal")
    # who has the ID of a phantom may be another, but cannot be kept apart from it
    ids = {name for case in internal for name in (case.case_id, case.patient_id)}
    for inspection in seen:
        case, parts = inspection.case, finished.parts(inspection, finished.folds).values()
        if {"train", "val", "test"} & set(parts) or ids & {case.case_id, case.patient_id}:
            fates.setdefault(case.case_id, OVERLAP)
    # the others may still be one of the study's scans, processed otherwise
    others = [inspection for inspection in seen if inspection.case.case_id not in fates]
    own = inspect_all(internal, signatures=True, mask_pattern=inside.study.data.mask_pattern)
    unread = [fault for inspection in own for fault in inspection.faults]
    if unread:
        raise DataError(f"nobody can tell who is external: {unread[0].message}", unread[0].kind)
    together = [*own, *others]
    patients = identity.patients(together, identity.links(together))
    taken, used = {inspection.case.patient_id for inspection in own}, set()
    for case in (inspection.case for inspection in others):
        who = patients[case.case_id]
        if who in taken or case.segmentation is None:
            fates[case.case_id] = OVERLAP if who in taken else NO_MASK
        else:
            fates[case.case_id] = AGAIN if who in used else SCORED
            used.add(who)
    return fates


def _prepared(inside: folds.Material, cases: Sequence[Case]) -> folds.Material:
    """Return the cases as the external part of every fold, preprocessed and predicted."""
    run = replace(inside.run, work_dir=inside.run.work_dir / "external")
    plan = inside.study.preprocessing
    store = preprocess.open_store(run.work_dir / "store", plan)
    preprocess.fill(store, cases, plan)
    names = tuple(sorted(case.patient_id for case in cases))
    splits = tuple(Split(split.fold, (), (), (), names) for split in inside.splits)
    for network in dict.fromkeys((*folds.BRANCHES, *inside.study.fusion.branches)):
        for split in splits:
            folder = run.work_dir / "predictions" / network / f"fold{split.fold}"
            weights = folds.checkpoint(inside, network, split.fold)
            stored = (store.get(name) for name in names)
            predict.segment_all(weights, stored, folder, inside.study.device)
    return folds.Material(run, splits, store)


def _sites(cases: pd.DataFrame) -> list[str]:
    """Return the release of each case and, where it is known, the institution."""
    pairs = zip(cases["release"], cases["site"], strict=True)
    return [f"{release}, site {site}" if site else release for release, site in pairs]


def measure(sites: Sites) -> GroupScores:
    """Measure both groups; scores of the study's own parts are those of notebooks 05 and 06.

    Raises ``RecordError`` where a reported patient has no score, and what the predictions raise.
    """
    run, own = sites.inside.run, sites.outside is sites.inside
    scores = records.read_table(run, "05_fusion", "scores")
    slices = records.read_table(run, "06_train_resnet50", "slices")
    if not own:
        fresh = folds.segmentation_scores(sites.outside, ["unet2d", "unet3d", "fused"])
        classified = folds.classify_slices(sites.outside, trained_in=sites.inside)
        scores = pd.concat([scores[scores["part"] == "test"], fresh])
        slices = pd.concat([slices[slices["part"] == "test"], classified])
    reported = {(part, name) for part, _, _, name in _reported(sites)}
    for table, made_by in ((scores, "05_fusion"), (slices, "06_train_resnet50")):
        scored = set(zip(table["part"], table["patient_id"], strict=True))
        if scored != reported:
            names = ", ".join(sorted(name for _, name in scored ^ reported))
            raise RecordError(
                f"{made_by} tells of {len(scored)} patients, the splits of {len(reported)}; only "
                f"one of them has {names}: run {made_by} again"
            )
    return GroupScores(scores, slices, *_measured(sites), sites.twins)


def _reported(sites: Sites) -> Iterator[tuple[str, folds.Material, Split, str]]:
    for split, other in zip(sites.inside.splits, sites.outside.splits, strict=True):
        yield from (("test", sites.inside, split, name) for name in split.test)
        yield from (("external", sites.outside, other, name) for name in other.external)


def _measured(sites: Sites) -> tuple[pd.DataFrame, Mapping[str, Tallies], pd.DataFrame]:
    """Return ``intensities``, ``tallies`` and ``remedied`` of ``GroupScores``."""
    profiles: dict[tuple[str, str], pd.DataFrame] = {}
    tallies: dict[str, dict[str, FloatArray]] = {part: {} for part in GROUPS}
    rows: list[dict[str, object]] = []
    plan = sites.study.fusion
    for split in sites.inside.splits:
        reference = intensities.fit(sites.inside.store.get(name) for name in split.train)
        weights = [folds.checkpoint(sites.inside, branch, split.fold) for branch in plan.branches]
        branches = [predict.load_segmenter(path, sites.study.device) for path in weights]
        reported = [row for row in _reported(sites) if row[2].fold == split.fold]
        for part, material, _, name in progress.steps(reported, f"fold {split.fold}: patients"):
            case, about = material.store.get(name), {"part": part, "patient_id": name}
            fused = folds.volume(material, "fused", split.fold, name)
            values = pd.DataFrame(intensities.profile(case).T, columns=list(SEQUENCES))
            long = values.melt(var_name="sequence", value_name="value")
            profiles[part, name] = long.assign(**about)
            inside = intensities.brain(case)
            tally = calibration.tally(fused.probabilities[:, inside].T, case.labels[inside])
            # an external patient is tallied in every fold
            tallies[part][name] = tallies[part].get(name, 0) + tally
            both = patient.segment(branches, intensities.z_score(case, reference))
            volumes = {NONE: fused, Z_SCORE: average.weighted_average(*both, plan.alpha)}
            for key, volume in volumes.items():
                counts = evaluate.confusion_of(case, volume)
                told = {**about, "fold": split.fold, "network": key}
                rows += comparing.dice_rows(told, counts, sites.study)
    return pd.concat(profiles.values(), ignore_index=True), tallies, pd.DataFrame(rows)
