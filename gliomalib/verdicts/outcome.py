"""What becomes of one statement: its gate, what the data allow, then its rule."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas as pd

from gliomalib.schema import Record, RecordError, Value
from gliomalib.settings import Study
from gliomalib.verdicts.claims import Claim, Frame, Needs, Outcome, Source
from gliomalib.verdicts.decisions import decide, interval

RECIPE: Mapping[Frame, str] = {"crop": "pixel recipe, crop", "scan": "pixel recipe, whole scan"}
"""Where the pixel recipe is scored → the column of its number; the paper crops."""

Protocol = Literal["full protocol", "restricted", "synthetic", "none needed"]

EXTENTS: Mapping[str, str] = {
    "boxes": "boxes around the tumour: there is no background far from it, so false alarms "
    "elsewhere cannot happen",
    "masks": "no images: the experts' masks, on a coarser grid, stand where predictions belong",
}
"""What a case is, where it is no whole head → what that could change."""


@dataclass(frozen=True)
class Verdict:
    """What became of one claim; ``obtained`` is None where its notebook was not run.

    ``run_commit`` made the record; ``pixel_recipe`` has the numbers of the recipe that there are.
    ``restrictions`` are what a restricted protocol could change.
    """

    claim: Claim
    obtained: Value | None
    verdict: Outcome
    reasons: tuple[str, ...]
    protocol: Protocol
    restrictions: tuple[str, ...] = ()
    run_commit: str = "–"
    pixel_recipe: Mapping[Frame, Value] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """All reasons in one sentence."""
        return "; ".join(self.reasons)

    @property
    def restriction(self) -> str:
        """What a restricted protocol could change, and where that use of the rule was fixed."""
        use = self.claim.restricted
        if use is None or not self.restrictions:
            return "–"
        written = f"this use of the rule was written in {use.fixed.commit}, {use.fixed.when}"
        return "; ".join([*self.restrictions, written])


def judge(claim: Claim, records: Mapping[str, Record], study: Study) -> Verdict:
    """Return the verdict on a claim: not run, then what the data allow, then the claim's rule.

    ``records`` are those of a study by name. Raises ``RecordError`` where the claim's is of another
    notebook, variant or study, or has a percentage where a share belongs.
    """
    record = records.get(claim.run)
    if record is None:
        reasons = [f"study {study.study} has no record of {claim.run}"]
        unmet = _unmet(claim, study, None)
        if unmet:
            unmet[0] = f"it could not have tested this claim either: {unmet[0]}"
        return Verdict(claim, None, "not run", (*reasons, *unmet), protocol(claim, study))
    actual = (record.study, record.notebook, record.variant)
    expected = (study.study, claim.notebook, claim.variant)
    if actual != expected:
        raise RecordError(
            f"claim {claim.id} is answered by (study, notebook, variant) {expected}, the record "
            f"is of {actual}; give its own record"
        )
    gate = find(claim.gate, records)
    verdict = judge_values(claim, [*record.values, *([gate] if gate else [])], study)
    recipe = {frame: find(source, records) for frame, source in claim.pixel_recipe.items()}
    return replace(
        verdict,
        run_commit=str(record.provenance.get("commit", "–")),
        pixel_recipe={frame: value for frame, value in recipe.items() if value},
    )


def judge_values(claim: Claim, values: Sequence[Value], study: Study) -> Verdict:
    """Return the verdict on a claim from the values of its notebook, recorded or about to be.

    The value of the claim's gate must be among them. Without the claim's value, such as in a
    variant which the study does not have, it counts as not run. Raises ``RecordError`` for a
    percentage where a share belongs.
    """
    by_name = {value.name: value for value in values}
    obtained = by_name.get(claim.value)
    level = protocol(claim, study)
    if obtained is None:
        reason = f"the record of {claim.run} has no {claim.value}: this study did not make it"
        return Verdict(claim, None, "not run", (reason,), level)
    # what is not a number is not refused
    if claim.unit == "%" and (obtained.value < 0 or obtained.value > 1):
        raise RecordError(
            f"the record of {claim.run} has {obtained.name} = {obtained.value}; "
            "records hold shares of 0 to 1, so divide percentages by 100"
        )
    note = [obtained.note] if obtained.note else []
    shut = closed(claim.gate, by_name.get(claim.gate.value)) if claim.gate else []
    unmet = _unmet(claim, study, obtained)
    if shut or unmet:
        outcome: Outcome = "not judged" if shut else "not testable on this data"
        reasons = tuple(dict.fromkeys([*shut, *unmet, *note]))
        return Verdict(claim, obtained, outcome, reasons, level)
    outcome, reason = _decided(claim, obtained)
    if level != "restricted":
        return Verdict(claim, obtained, outcome, (reason, *note), level)
    could_change = tuple(restrictions(claim.testable_on, study))
    # a level that is missed may be missed because of the restriction; one that is reached is
    # reached in spite of it, and the rule decides on a comparison within patients as it stands
    if claim.restricted and claim.restricted.use == "level" and outcome == claim.words[1]:
        outcome = "not reached under this restriction"
    return Verdict(claim, obtained, outcome, (reason, *note), level, could_change)


def protocol(claim: Claim, study: Study) -> Protocol:
    """Return on what a verdict on this claim stands in this study."""
    needs = claim.testable_on
    if not (needs.real_data or needs.full_size or needs.min_patients):
        return "none needed"
    if not study.real_data:
        return "synthetic"
    return "restricted" if restrictions(needs, study) else "full protocol"


def restrictions(needs: Needs, study: Study) -> list[str]:
    """Return where the study falls short of the paper's protocol, and what that could change."""
    short = []
    if needs.full_size and not study.full_size:
        short.append(
            "the networks are smaller than the paper's protocol needs: larger ones could rank "
            "otherwise"
        )
    if needs.weights is not None and study.classifier.weights not in needs.weights:
        short.append(
            f"the classifier began from {study.classifier.weights} weights, the paper's from "
            "ImageNet"
        )
    if needs.whole_head and study.data.extent in EXTENTS:
        short.append(EXTENTS[study.data.extent])
    return short


def find(source: Source | None, records: Mapping[str, Record]) -> Value | None:
    """Return the number that a source names, None where the study has none."""
    record = records.get(source.run) if source else None
    values = record.values if record else ()
    return next((value for value in values if source and value.name == source.value), None)


def closed(gate: Source, value: Value | None) -> list[str]:
    """Return why a gate with this value is not passed; empty where it is."""
    if value is None:
        return [f"its control is missing: the study has no {gate.value} of {gate.run}"]
    failed = value.note or f"ResNet50 fails its control ({gate.value} of {gate.run})"
    return [] if value.value == 1 else [failed]


def _decided(claim: Claim, obtained: Value) -> tuple[Outcome, str]:
    """Return what the rule says of a number that may be looked at, and why."""
    if obtained.n_seeds < claim.testable_on.min_seeds:
        few = f"{obtained.n_seeds} trainings of each network, {claim.testable_on.min_seeds} needed"
        single = "one training: its noise is not known"
        return "inconclusive", few if obtained.n_seeds > 1 else single
    answer, reason = decide(claim.decision, obtained, claim.compared, claim.shown)
    words: dict[str, Outcome] = dict(zip(("yes", "no"), claim.words, strict=True))
    return words.get(answer, "inconclusive"), reason


def table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return one row per verdict, in words and percentages, for people to read."""
    rows = []
    for verdict in verdicts:
        claim, obtained, other = verdict.claim, verdict.obtained, verdict.claim.reference
        bounds = interval(obtained) if obtained else None
        recipe = [(verdict.pixel_recipe.get(frame), RECIPE[frame]) for frame in RECIPE]
        rows.append(
            {
                "claim": claim.id,
                "group": claim.group,
                "statement": claim.statement,
                "metric": claim.metric,
                "level": claim.level,
                "published": claim.shown(claim.published),
                "reference": f"{claim.shown(other.value)} ({other.source})" if other else "–",
                **{column: claim.shown(value.value if value else None) for value, column in recipe},
                "obtained": claim.shown(obtained.value if obtained else None),
                "95 % interval": " to ".join(map(claim.shown, bounds)) if bounds else "–",
                "unit": claim.unit_behind or "–",
                "patients": str(obtained.n_patients) if obtained else "–",
                "decision rule": claim.rule,
                "rule fixed": claim.fixed.when,
                "rule commit": claim.fixed.commit,
                "run commit": verdict.run_commit,
                "rests on": verdict.protocol,
                "verdict": verdict.verdict,
                "reason": verdict.reason,
                "restriction": verdict.restriction,
                "notebook": claim.notebook,
            }
        )
    return pd.DataFrame(rows)


def _unmet(claim: Claim, study: Study, obtained: Value | None) -> list[str]:
    """Return why these data say nothing of a claim; empty where its rule may be asked."""
    needs, unmet = claim.testable_on, []
    if needs.real_data and not study.real_data:
        unmet.append("the claim is about patients, these are synthetic")
    if unmet or claim.restricted is None:
        unmet += restrictions(needs, study)
    if obtained is not None and obtained.n_patients < needs.min_patients:
        patients = f"{obtained.n_patients} test patient{'s' * (obtained.n_patients != 1)}"
        unmet.append(f"{patients}, at least {needs.min_patients} needed")
    if obtained is not None and math.isnan(obtained.value):
        unmet.append(obtained.note or "the number is undefined on these patients")
    return unmet
