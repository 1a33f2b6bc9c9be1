"""What a verdict asks of the settings of a study, freely chosen."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any


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
