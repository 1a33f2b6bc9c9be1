"""What becomes of one statement: its gate, what the data allow, then its rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from gliomalib.schema import Record, RecordError, Value
from gliomalib.verdicts.claims import Claim, Frame, Needs, Outcome, Source
from gliomalib.verdicts.decisions import decide, interval

RECIPE: Mapping[Frame, str] = {
    "crop": "pixel recipe, crop",
    "scan": "pixel recipe, whole scan",
}
"""Where the pixel recipe is scored → the column of its number; the paper crops."""


@dataclass(frozen=True)
class Context:
    """What a study was run on: its data, the size of its networks, the classifier's weights."""

    study: str
    real_data: bool
    full_size: bool
    weights: str


@dataclass(frozen=True)
class Verdict:
    """What became of one claim; ``obtained`` is None where its notebook was not run.

    ``run_commit`` made the record; ``pixel_recipe`` has the numbers of the recipe that there are.
    """

    claim: Claim
    obtained: Value | None
    verdict: Outcome
    reasons: tuple[str, ...]
    run_commit: str = "–"
    pixel_recipe: Mapping[Frame, Value] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """All reasons in one sentence."""
        return "; ".join(self.reasons)


def judge(
    claim: Claim, record: Record | None, context: Context, gates: Sequence[Value] = ()
) -> Verdict:
    """Return the verdict on a claim: not run, then what the data allow, then the claim's rule.

    ``record`` is None where the claim's notebook was not run in this study. Raises ``RecordError``
    where it is of another notebook, variant or study, or has a percentage where a share belongs.
    """
    if record is not None:
        _check_own(claim, record, context)
        verdict = judge_values(claim, record.values, context, gates)
        return replace(verdict, run_commit=str(record.provenance.get("commit", "–")))
    reasons = [f"study {context.study} has no record of {claim.run}"]
    unmet = _unmet(claim.testable_on, context, None)
    if unmet:
        unmet[0] = f"it could not have tested this claim either: {unmet[0]}"
    return Verdict(claim, None, "not run", (*reasons, *unmet))


def judge_values(
    claim: Claim, values: Sequence[Value], context: Context, gates: Sequence[Value] = ()
) -> Verdict:
    """Return the verdict on a claim from the values of its notebook, recorded or about to be.

    The value of the claim's gate is one of these or of ``gates``. Without the claim's value, such
    as in a variant which the study does not have, it counts as not run. Raises ``RecordError`` for
    a percentage where a share belongs.
    """
    if claim.value not in {value.name for value in values}:
        reason = f"the record of {claim.run} has no {claim.value}: this study did not make it"
        return Verdict(claim, None, "not run", (reason,))
    obtained = _of(claim, values)
    note = [obtained.note] if obtained.note else []
    closed = _closed(claim.gate, [*values, *gates])
    unmet = _unmet(claim.testable_on, context, obtained)
    if math.isnan(obtained.value):
        unmet += note or ["the number is undefined on these patients"]
    reasons = dict.fromkeys([*closed, *unmet, *note])
    if closed or unmet:
        outcome: Outcome = "not judged" if closed else "not testable on this data"
        return Verdict(claim, obtained, outcome, tuple(reasons))
    outcome, reason = _decided(claim, obtained)
    return Verdict(claim, obtained, outcome, (reason, *note))


def _decided(claim: Claim, obtained: Value) -> tuple[Outcome, str]:
    """Return what the rule says of a number that may be looked at, and why."""
    if obtained.n_seeds < claim.testable_on.min_seeds:
        few = f"{obtained.n_seeds} trainings of each network, {claim.testable_on.min_seeds} needed"
        single = "one training: its noise is not known"
        return "inconclusive", few if obtained.n_seeds > 1 else single
    answer, reason = decide(claim.decision, obtained, claim.compared, claim.shown)
    words: dict[str, Outcome] = dict(zip(("yes", "no"), claim.words, strict=True))
    return words.get(answer, "inconclusive"), reason


def _closed(gate: Source | None, values: Sequence[Value]) -> list[str]:
    """Return why a gate is not passed; empty where it is, or where there is none."""
    if gate is None:
        return []
    value = next((value for value in values if value.name == gate.value), None)
    if value is None:
        return [f"its control is missing: the study has no {gate.value} of {gate.run}"]
    if value.value == 1:
        return []
    return [value.note or f"ResNet50 fails its control ({gate.value} of {gate.run})"]


def table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return one row per verdict, in words and percentages, for people to read."""
    rows = []
    for verdict in verdicts:
        claim, obtained, other = verdict.claim, verdict.obtained, verdict.claim.reference
        bounds = interval(obtained) if obtained else None
        rows.append(
            {
                "claim": claim.id,
                "group": claim.group,
                "statement": claim.statement,
                "metric": claim.metric,
                "level": claim.level,
                "published": claim.shown(claim.published),
                "reference": f"{claim.shown(other.value)} ({other.source})" if other else "–",
                **_recipe(verdict),
                "obtained": claim.shown(obtained.value if obtained else None),
                "95 % interval": " to ".join(map(claim.shown, bounds)) if bounds else "–",
                "unit": claim.unit_behind or "–",
                "patients": str(obtained.n_patients) if obtained else "–",
                "decision rule": claim.rule,
                "rule fixed": claim.fixed.when,
                "rule commit": claim.fixed.commit,
                "run commit": verdict.run_commit,
                "verdict": verdict.verdict,
                "reason": verdict.reason,
                "notebook": claim.notebook,
            }
        )
    return pd.DataFrame(rows)


def _recipe(verdict: Verdict) -> dict[str, str]:
    numbers = {frame: verdict.pixel_recipe.get(frame) for frame in RECIPE}
    shown = verdict.claim.shown
    return {
        RECIPE[frame]: shown(value.value if value else None) for frame, value in numbers.items()
    }


def number(source: Source, record: Record, context: Context) -> Value:
    """Return the number that a claim, or the pixel recipe beside it, finds in its record.

    Raises ``RecordError`` as ``judge`` does, and where the record has no such value.
    """
    _check_own(source, record, context)
    return _of(source, record.values)


def _of(source: Source, values: Sequence[Value]) -> Value:
    by_name = {value.name: value for value in values}
    if source.value not in by_name:
        raise RecordError(
            f"the record of {source.run} has no value {source.value!r} for {_titled(source)}, "
            f"only {', '.join(by_name)}; name it so in the notebook or correct published.yml"
        )
    obtained = by_name[source.value]
    is_share = isinstance(source, Claim) and source.unit == "%"
    if is_share and not math.isnan(obtained.value) and not 0 <= obtained.value <= 1:
        raise RecordError(
            f"the record of {source.run} has {source.value} = {obtained.value}; "
            "records hold shares of 0 to 1, so divide percentages by 100"
        )
    return obtained


def _check_own(source: Source, record: Record, context: Context) -> None:
    actual = (record.study, record.notebook, record.variant)
    expected = (context.study, source.notebook, source.variant)
    if actual != expected:
        raise RecordError(
            f"{_titled(source)} is answered by (study, notebook, variant) {expected}, the record "
            f"is of {actual}; give its own record"
        )


def _titled(source: Source) -> str:
    return f"claim {source.id}" if isinstance(source, Claim) else "the pixel recipe"


def _unmet(needs: Needs, context: Context, obtained: Value | None) -> list[str]:
    unmet = []
    if needs.real_data and not context.real_data:
        unmet.append("the claim is about patients, these are synthetic")
    if needs.full_size and not context.full_size:
        unmet.append("the networks are smaller than the paper's protocol needs")
    if needs.weights is not None and context.weights not in needs.weights:
        unmet.append(
            f"the classifier began from {context.weights} weights, the paper's from ImageNet"
        )
    if obtained is not None and obtained.n_patients < needs.min_patients:
        unmet.append(f"{obtained.n_patients} test patients, at least {needs.min_patients} needed")
    return unmet
