"""What a verdict asks of the settings of a study, freely chosen."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from gliomalib.schema import Record
from gliomalib.verdicts import claims, outcome


def judge_all(records: Mapping[str, Record], study: Any) -> list[outcome.Verdict]:
    """Return the verdicts on all statements."""
    return [outcome.judge(claim, records, study) for claim in claims.load()]


@dataclass(frozen=True)
class AStudy:
    """Stands in for ``settings.Study``: its data, the size of its networks, initial weights."""

    study: str
    real_data: bool
    full_size: bool
    weights: str
    extent: str = "head"

    @property
    def classifier(self) -> Any:
        return SimpleNamespace(weights=self.weights)

    @property
    def data(self) -> Any:
        return SimpleNamespace(extent=self.extent)
