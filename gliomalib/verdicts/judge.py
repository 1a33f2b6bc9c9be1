"""All statements against all records of a study, and the answer in one paragraph."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

import pandas as pd

from gliomalib import settings
from gliomalib.schema import Record, Value, run_name
from gliomalib.verdicts import claims

KINDS: tuple[str, ...] = get_args(claims.Outcome)
"""The possible verdicts."""

ON_PHANTOMS = (
    "These results were made on synthetic patients: they show that the pipeline works and say "
    "nothing of whether a claim of the paper holds."
)


def judge_all(
    published: Sequence[claims.Claim], records: Mapping[str, Record], study: settings.Study
) -> list[claims.Verdict]:
    """Return a verdict on every statement, in their order, also where its notebook was not run."""
    context = claims.Context(
        study=study.study,
        real_data=study.real_data,
        full_size=study.full_size,
        weights=study.classifier.weights,
    )
    found = [claims.judge(claim, records.get(_record_name(claim)), context) for claim in published]
    return [replace(one, faithful=_faithful(one.claim, records, context)) for one in found]


def numbers(verdicts: Sequence[claims.Verdict]) -> pd.DataFrame:
    """Return the paper's claims that have a published number and an obtained one.

    Columns: claim, metric, published, faithful (NaN where there is none), value, low, high.
    """
    rows = []
    for one in verdicts:
        claimed = one.claim.id[0] == "C" and one.published is not None
        if claimed and one.obtained is not None:
            low, high = one.obtained.ci95 or (one.obtained.value, one.obtained.value)
            rows.append(
                {"claim": one.claim.id, "metric": f"{one.claim.id} {one.claim.metric}",
                 "published": one.published, "value": one.obtained.value, "low": low, "high": high,
                 "faithful": one.faithful.value if one.faithful else math.nan}
            )  # fmt: skip
    return pd.DataFrame(rows)


def values(verdicts: Sequence[claims.Verdict]) -> list[Value]:
    """Return how many statements got each verdict, and how many of them the paper claims."""
    counts = _counted(verdicts)
    rule = f"statements of {len(verdicts)} in data/published.yml with this verdict"
    return [
        Value(f"claims_{kind.replace(' ', '_')}", float(counts[kind]), unit="claims", rule=rule)
        for kind in KINDS
    ]


def answer(verdicts: Sequence[claims.Verdict], study: settings.Study) -> str:
    """Return the answer of the study in one paragraph: claims, questions, what needs no image."""
    claimed = [one for one in verdicts if one.claim.id[0] == "C"]
    asked = [one for one in verdicts if one.claim.id[0] not in "CW"]
    parts = [] if study.real_data else [ON_PHANTOMS]
    parts.append(f"Of the paper's {len(claimed)} claims {_told(claimed)}.")
    if asked:
        parts.append(f"Of {len(asked)} questions about it {_told(asked)}.")
    decided = {"reproduced", "not reproduced", "holds", "does not hold"}
    if study.real_data and not any(one.verdict in decided for one in [*claimed, *asked]):
        parts.append("Nothing of these is decided by these data: the table says for each why.")
    certain = [one for one in verdicts if one.claim.id[0] == "W" and one.verdict == "holds"]
    if certain:
        parts.append("Without any image it is certain: " + " ".join(map(_statement, certain)))
    return " ".join(parts)


def compute(records: Mapping[str, Record]) -> pd.DataFrame:
    """Return what each notebook took: name, device, minutes, memory in GB."""
    rows = [
        {
            "notebook": name,
            "device": record.device,
            "minutes": round(record.wall_s / 60, 2),
            "peak memory, GB": round(record.peak_memory_bytes / 1e9, 2),
        }
        for name, record in records.items()
    ]
    return pd.DataFrame(rows)


def ranges(ids: Sequence[str]) -> str:
    """Return ids that are in order as people write them: ``C1–C6, C11``."""
    runs: list[list[str]] = []
    for one in ids:
        if runs and one == _next(runs[-1][-1]):
            runs[-1].append(one)
        else:
            runs.append([one])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def _next(one: str) -> str | None:
    """Return the id after ``one``, ``C2`` after ``C1``; none after what is no id."""
    return f"{one[0]}{int(one[1:]) + 1}" if one[1:].isdecimal() else None


def _told(verdicts: Sequence[claims.Verdict]) -> str:
    """Return which statements got which verdict, the undecided ones by number only."""
    parts = []
    for kind, count in _counted(verdicts).most_common():
        names = ranges([one.claim.id for one in verdicts if one.verdict == kind])
        what = {"holds": "hold", "does not hold": "do not hold"}.get(kind, f"are {kind}")
        parts.append(f"{count} {what} ({names})")
    return "; ".join(parts)


def _statement(one: claims.Verdict) -> str:
    return f"({one.claim.id}) {one.claim.statement}"


def _faithful(
    claim: claims.Claim, records: Mapping[str, Record], context: claims.Context
) -> Value | None:
    source = claim.faithful
    record = records.get(_record_name(source)) if source else None
    if source is None or record is None:
        return None
    # the recipe is a variant, which a study need not have
    known = {value.name for value in record.values}
    return claims.number(source, record, context) if source.value in known else None


def _counted(verdicts: Sequence[claims.Verdict]) -> Counter[str]:
    return Counter(str(one.verdict) for one in verdicts)


def _record_name(claim: claims.Claim | claims.Source) -> str:
    return run_name(claim.notebook, claim.variant)
