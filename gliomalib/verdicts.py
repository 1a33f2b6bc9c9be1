"""All claims of the paper against all records of a study: the argument of notebook 15."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

import pandas as pd

from gliomalib import claims, settings
from gliomalib.schema import Record, Value

KINDS: tuple[str, ...] = get_args(claims.Outcome)
"""The five possible verdicts."""

ON_PHANTOMS = (
    "These results were made on synthetic patients: they show that the pipeline works and say "
    "nothing of whether a claim of the paper holds."
)


def judge_all(
    published: Sequence[claims.Claim], records: Mapping[str, Record], study: settings.Study
) -> list[claims.Verdict]:
    """Return a verdict on every claim, in their order, also where its notebook was not run."""
    context = claims.Context(
        study=study.study,
        real_data=study.real_data,
        full_size=study.full_size,
        weights=study.classifier.weights,
    )
    return [claims.judge(claim, records.get(_record_name(claim)), context) for claim in published]


def numbers(verdicts: Sequence[claims.Verdict]) -> pd.DataFrame:
    """Return claims with a published number: claim, metric, published, value, low, high."""
    rows = []
    for one in verdicts:
        if one.published is not None and one.obtained is not None:
            low, high = one.obtained.ci95 or (one.obtained.value, one.obtained.value)
            rows.append(
                {"claim": one.claim.id, "metric": f"{one.claim.id} {one.claim.metric}",
                 "published": one.published, "value": one.obtained.value, "low": low, "high": high}
            )  # fmt: skip
    return pd.DataFrame(rows)


def values(verdicts: Sequence[claims.Verdict]) -> list[Value]:
    """Return how many claims got each of the five verdicts."""
    counts = _counted(verdicts)
    rule = f"claims of {len(verdicts)} in data/published.yml with this verdict"
    return [
        Value(f"claims_{kind.replace(' ', '_')}", float(counts[kind]), unit="claims", rule=rule)
        for kind in KINDS
    ]


def answer(verdicts: Sequence[claims.Verdict], study: settings.Study) -> str:
    """Return the answer of the study in one paragraph."""
    counts = _counted(verdicts)
    told = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])
    text = f"Of {len(verdicts)} claims: {told}."
    if not study.real_data:
        return f"{ON_PHANTOMS} {text}"
    decided = counts["reproduced"] + counts["not reproduced"]
    if not decided:
        return f"{text} Nothing is decided by these data: the table says for each claim why."
    return text


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


def _counted(verdicts: Sequence[claims.Verdict]) -> Counter[str]:
    return Counter(str(one.verdict) for one in verdicts)


def _record_name(claim: claims.Claim) -> str:
    return f"{claim.notebook}.{claim.variant}" if claim.variant else claim.notebook
