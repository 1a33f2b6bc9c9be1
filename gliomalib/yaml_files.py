"""YAML files that people write: read as typed models, and every fault of them in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gliomalib.schema import SettingsError

Content = TypeVar("Content")


class Model(BaseModel):
    """Settings that cannot be changed once read and that know no other keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


def content_of(path: str | Path) -> dict[str, Any]:
    """Return a file of settings as it stands; ``SettingsError`` where it is anything else."""
    content = _yaml(path) or {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: settings are lines of `key: value`, found {content!r:.60}")
    return content


def read(path: str | Path, kind: type[Content]) -> Content:
    """Return a YAML file as the model, or the collection of models, that it must be.

    Raises ``SettingsError``, which names the file and what is wrong with it.
    """
    try:
        return TypeAdapter(kind).validate_python(_yaml(path))
    except ValidationError as error:
        raise SettingsError(f"{path}: {explain(error)}; correct the file") from None


def explain(error: ValidationError) -> str:
    """Return what is wrong with a file and where: each place, its fault, and what stands there."""
    parts = []
    for fault in error.errors():
        place = ".".join(map(str, fault["loc"])) or "the file"
        parts.append(f"{place}: {fault['msg']} (found {fault['input']!r:.60})")
    return "; ".join(parts)


def _yaml(path: str | Path) -> Any:
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: this file is missing; restore it or name another") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{path}: not YAML ({reason}); correct the file") from None
