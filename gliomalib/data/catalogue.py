"""Which data sets this study can read, where they come from, and what may be done with them.

The rows are ``data/catalogue.yml``. Nothing is passed on here: each user takes the data from the
provider and agrees to the provider's terms.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from gliomalib.inputs import Model, read
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import SettingsError

CATALOGUE = PROJECT_DIR / "data" / "catalogue.yml"

UNKNOWN = "see the provider"
"""What is shown for a figure that no source gives."""

Text = Annotated[str, Field(min_length=1)]


class DataSet(Model):
    """One data set as its provider gives it out; the head of the file explains the keys."""

    key: Text
    title: Text
    patients: int | None = Field(gt=0)
    size_gb: float | None = Field(gt=0)
    licence: Text
    access: Literal["open", "by hand", "registration"]
    provider: Text
    page: str = Field(pattern=r"^https?://\S+$")
    how: Text
    cite: Text
    source: Text


class _File(Model):
    sets: tuple[DataSet, ...]


@lru_cache(maxsize=1)
def load(path: str | Path = CATALOGUE) -> Mapping[str, DataSet]:
    """Return key → data set, the paper's own first.

    Raises ``SettingsError`` for a missing file, an unknown or missing key, a value of the wrong
    type and a duplicate set.
    """
    sets = read(path, _File).sets
    by_key = {dataset.key: dataset for dataset in sets}
    if len(by_key) < len(sets):
        raise SettingsError(f"{path}: a key is duplicated; correct the file")
    return by_key


def find(key: str) -> DataSet:
    """Return the data set of a key; raises ``SettingsError``, which lists the keys."""
    if key not in load():
        raise SettingsError(f"there is no data set {key!r}: take one of {', '.join(load())}")
    return load()[key]


def table() -> pd.DataFrame:
    """Return the catalogue for display, one row per set."""
    facts = ["key", "title", "patients", "size_gb", "licence", "access", "provider", "page", "cite"]
    rows = pd.DataFrame([dataset.model_dump() for dataset in load().values()])[facts]
    for name, unit in (("patients", ""), ("size_gb", " GB")):
        rows[name] = [UNKNOWN if pd.isna(value) else f"{value:,g}{unit}" for value in rows[name]]
    return rows.rename(columns={"size_gb": "download"})
