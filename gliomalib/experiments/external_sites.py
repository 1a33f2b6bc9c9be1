"""The trained pipeline on patients it never saw: who they are, and what it makes of them.

Both groups are people on whom no network was trained: the held-out patients of the study, and
those of its external part.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from gliomalib import progress, records, settings
from gliomalib.cohort import table as casetable
from gliomalib.experiments import comparing, intensities
from gliomalib.fusion import average
from gliomalib.networks import models, predict
from gliomalib.pipeline import folds, patient
from gliomalib.schema import SEQUENCES, FloatArray, RecordError, Split, StoredCase, Volume
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

    ``cases`` has a row per external case: case_id, patient_id, release, site, fate. ``homes``
    gives the site of every reported patient. ``twins`` is external patient → held-out one with the
    same anatomy; only phantoms have any.
    """

    material: folds.Material
    cases: pd.DataFrame
    homes: Mapping[str, str]
    twins: Mapping[str, str] = field(default_factory=dict)

    @property
    def study(self) -> settings.Study:
        """The settings in force."""
        return self.material.study

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
    """Return the held-out patients of the study and those of its external part."""
    material = folds.open_material(run)
    table = casetable.read_cases(run.work_dir / "cases.csv")
    cases = cases_of_the_study(table, material.study.data)
    cases["site"] = _sites(cases)
    used = table[table["part"].isin(["internal", "external"])]
    homes = dict(zip(used["patient_id"], _sites(used), strict=True))
    return Sites(material, cases, homes, casetable.twins(table))


def cases_of_the_study(table: pd.DataFrame, plan: settings.Data) -> pd.DataFrame:
    """Return the external cases of the table: case_id, patient_id, release, site, fate."""
    internal = set(table.loc[table["part"] == "internal", "patient_id"])
    rows = table[(table["part"] == "external") | table["release"].isin(plan.external_releases)]
    fates = {"external": SCORED, "excluded": FAULTY, "unused": NO_MASK, "duplicate": AGAIN}
    fate = rows["part"].map(fates)
    fate = fate.mask((fate == AGAIN) & rows["patient_id"].isin(internal), OVERLAP)
    return rows[["case_id", "patient_id", "release", "site"]].assign(fate=fate)


def _sites(cases: pd.DataFrame) -> list[str]:
    """Return the release of each case and, where it is known, the institution."""
    pairs = zip(cases["release"], cases["site"], strict=True)
    return [f"{release}, site {site}" if site else release for release, site in pairs]


def measure(sites: Sites) -> GroupScores:
    """Measure both groups; their scores are those of notebooks 05 and 06.

    Raises ``RecordError`` where a reported patient has no score, and what the predictions raise.
    """
    run = sites.material.run
    scores = records.read_table(run, "05_fusion", "scores")
    slices = records.read_table(run, "06_train_resnet50", "slices")
    reported = {(part, name) for _, part, name in folds.scored(sites.material)}
    for table, made_by in ((scores, "05_fusion"), (slices, "06_train_resnet50")):
        scored = set(zip(table["part"], table["patient_id"], strict=True))
        if scored != reported:
            raise RecordError(
                f"{made_by} tells of {len(scored)} patients, the splits of {len(reported)}; "
                f"run {made_by} again"
            )
    return GroupScores(scores, slices, *_measured(sites), sites.twins)


def _measured(sites: Sites) -> tuple[pd.DataFrame, Mapping[str, Tallies], pd.DataFrame]:
    """Return ``intensities``, ``tallies`` and ``remedied`` of ``GroupScores``."""
    profiles: dict[tuple[str, str], pd.DataFrame] = {}
    tallies: dict[str, dict[str, FloatArray]] = {part: {} for part in GROUPS}
    rows: list[dict[str, object]] = []
    material = sites.material
    for split in material.splits:
        reference = intensities.fit(material.store.get(name) for name in split.train)
        segment = pipeline(material, split)
        reported = [(part, name) for part in GROUPS for name in folds.parts_of(split)[part]]
        for part, name in progress.steps(reported, f"fold {split.fold}: patients"):
            case, about = material.store.get(name), {"part": part, "patient_id": name}
            fused = folds.volume(material, "fused", split.fold, name)
            values = pd.DataFrame(intensities.profile(case).T, columns=list(SEQUENCES))
            long = values.melt(var_name="sequence", value_name="value")
            profiles[part, name] = long.assign(**about)
            inside = intensities.brain(case)
            tally = calibration.tally(fused.probabilities[:, inside].T, case.labels[inside])
            # an external patient is tallied in every fold
            tallies[part][name] = tallies[part].get(name, 0) + tally
            volumes = {NONE: fused, Z_SCORE: segment(intensities.z_score(case, reference))}
            for key, volume in volumes.items():
                counts = evaluate.confusion_of(case, volume)
                told = {**about, "fold": split.fold, "network": key}
                rows += comparing.dice_rows(told, counts, sites.study)
    return pd.concat(profiles.values(), ignore_index=True), tallies, pd.DataFrame(rows)


def pipeline(material: folds.Material, split: Split) -> Callable[[StoredCase], Volume]:
    """Return the networks of a fold as one step, from a stored case to the fused volume."""
    study = material.study
    branches = [
        predict.load_segmenter(folds.checkpoint(material, branch, split.fold), study.device)
        for branch in study.fusion.branches
    ]

    def segment(case: StoredCase) -> Volume:
        return average.weighted_average(*patient.segment(branches, case), study.fusion.alpha)

    return segment
