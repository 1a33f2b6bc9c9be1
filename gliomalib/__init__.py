"""Tools of a reproducibility study of the paper that ``data/published.yml`` describes.

CONTRIBUTING.md shows the rooms. The names below are what a notebook of one's own wants first;
``notebooks/README.md`` shows them at work. Each is loaded when it is used, as torch takes seconds.
"""

import importlib
from typing import Any

_PLACES = {
    "discover": "data.readers.survey.discover",
    "read": "data.orientation.read",
    "load_study": "settings.load",
    "prepare": "pipeline.preprocess.prepare",
    "open_finished": "pipeline.finished.open_finished",
    "segment": "networks.predict.segment",
    "weighted_average": "fusion.average.weighted_average",
    "fused_slices": "fusion.slices.fused_slices",
    "classify": "networks.predict.classify",
    "confusion_matrix": "scoring.metrics.confusion_matrix",
    "dice": "scoring.metrics.dice",
    "mean_interval": "scoring.bootstrap.mean_interval",
    "read_records": "records.read_all",
}
"""Name → where it is defined, seen from the package."""

__all__ = list(_PLACES)  # one table, so that no name is forgotten


def __getattr__(name: str) -> Any:
    """Load one of the names above from its room."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].rpartition(".")
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
