"""All statements against all records of a study, and the answer in one paragraph."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

import pandas as pd

from gliomalib import settings
from gliomalib.schema import Record, SettingsError, Value
from gliomalib.verdicts import claims, outcome

KINDS: tuple[str, ...] = get_args(claims.Outcome)
"""The possible verdicts."""

ON_PHANTOMS = (
    "These results were made on synthetic patients: they show that the pipeline works and say "
    "nothing of whether a claim of the paper holds."
)


def judge_all(
    published: Sequence[claims.Claim], records: Mapping[str, Record], study: settings.Study
) -> list[outcome.Verdict]:
    """Return a verdict on every statement, in their order, also where its notebook was not run."""
    return [outcome.judge(claim, records, study) for claim in published]


def verdict_on(claim_id: str, values: Sequence[Value], study: settings.Study) -> outcome.Verdict:
    """Return the verdict on one statement from the values that a notebook is about to record.

    A notebook that says "holds" or "beats" asks here, so that its sentence and the verdicts of
    notebook 16 follow one rule, that of ``data/published.yml``, which is the only file read. The
    word is ``verdict.verdict``, the reason ``verdict.reason``; without the statement's own value
    it counts as not run, without that of its gate as not judged, and ``study`` may have no
    patients or networks to test it on. Raises ``SettingsError`` for an unknown id and
    ``RecordError`` for a percentage where a share belongs.
    """
    by_id = {claim.id: claim for claim in claims.load()}
    if claim_id not in by_id:
        raise SettingsError(f"there is no statement {claim_id!r}: take one of {', '.join(by_id)}")
    return outcome.judge_values(by_id[claim_id], values, study)


def numbers(verdicts: Sequence[outcome.Verdict]) -> pd.DataFrame:
    """Return the paper's claims that have a number to compare with and an obtained one.

    Columns: claim, metric, published (by the paper), reference (by others), value, low, high, and
    the pixel recipe's crop and scan; NaN where there is none.
    """
    columns = ["claim", "metric", "published", "reference", "value", "low", "high", *outcome.RECIPE]
    rows: list[tuple[object, ...]] = []
    for verdict in verdicts:
        claim, obtained = verdict.claim, verdict.obtained
        if claim.id[0] != "C" or claim.compared is None or obtained is None:
            continue
        other = claim.reference.value if claim.reference else None
        about = (claim.id, f"{claim.id} {claim.metric}", claim.published, other)
        ends = obtained.ci95 or (obtained.value, obtained.value)
        recipe = [verdict.pixel_recipe.get(frame) for frame in outcome.RECIPE]
        shown = [value.value if value else None for value in recipe]
        rows.append((*about, obtained.value, *ends, *shown))
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:], float))


def values(verdicts: Sequence[outcome.Verdict]) -> list[Value]:
    """Return how many statements got each verdict, and how many of them the paper claims."""
    counts = Counter[str](verdict.verdict for verdict in verdicts)
    rule = f"statements of {len(verdicts)} in data/published.yml with this verdict"
    return [
        Value(f"claims_{kind.replace(' ', '_')}", float(counts[kind]), unit="claims", rule=rule)
        for kind in KINDS
    ]


def answer(verdicts: Sequence[outcome.Verdict], study: settings.Study) -> str:
    """Return the answer of the study in one paragraph: claims, questions, what needs no network."""
    claimed = [verdict for verdict in verdicts if verdict.claim.id[0] == "C"]
    asked = [verdict for verdict in verdicts if verdict.claim.id[0] not in "CW"]
    parts = [] if study.real_data else [ON_PHANTOMS]
    parts.append(f"The paper's {len(claimed)} claims: {_summed_up(claimed)}.")
    if asked:
        parts.append(f"{len(asked)} questions about it: {_summed_up(asked)}.")
    decided = {word for pair in claims.WORDS.values() for word in pair}
    if study.real_data and not any(v.verdict in decided for v in [*claimed, *asked]):
        parts.append("Nothing of these is decided by these data: the table says for each why.")
    restricted = [verdict.claim.id for verdict in verdicts if verdict.restrictions]
    if restricted:
        parts.append(
            f"Of these, {ranges(restricted)} rest on a restricted protocol; each says what that "
            "could change."
        )
    certain = [v.claim for v in verdicts if v.claim.id[0] == "W" and v.verdict == v.claim.words[0]]
    if certain:
        statements = (f"({claim.id}) {claim.statement}" for claim in certain)
        parts.append("Without any network: " + " ".join(statements))
    return " ".join(parts)


def compute(records: Mapping[str, Record]) -> pd.DataFrame:
    """Return what each notebook took: name, device, minutes, memory in GB."""
    rows = [
        (name, run.device, round(run.wall_s / 60, 2), round(run.peak_memory_bytes / 1e9, 2))
        for name, run in records.items()
    ]
    return pd.DataFrame(rows, columns=["notebook", "device", "minutes", "peak memory, GB"])


def ranges(ids: Sequence[str]) -> str:
    """Return ids that are in order as people write them: ``C1–C6, C11``."""
    runs: list[list[str]] = []
    for name in ids:
        before = runs[-1][-1] if runs else ""
        # C2 comes after C1; nothing comes after what is no id
        if before[1:].isdecimal() and name == f"{before[0]}{int(before[1:]) + 1}":
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def _summed_up(verdicts: Sequence[outcome.Verdict]) -> str:
    """Return how many and which statements got which verdict."""
    parts = []
    for kind, count in Counter[str](v.verdict for v in verdicts).most_common():
        names = ranges([verdict.claim.id for verdict in verdicts if verdict.verdict == kind])
        parts.append(f"{count} {kind} ({names})")
    return "; ".join(parts)
