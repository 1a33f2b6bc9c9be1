"""What users name and write, folders and texts: taken as it is, or refused in a sentence."""

import json
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidatorFunctionWrapHandler, field_validator

from gliomalib import yaml_files
from gliomalib.schema import SettingsError


class Model(yaml_files.Model):
    """What a user sets: ``true``, which Python takes for 1, is no number."""

    @field_validator("*", mode="wrap")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, read: ValidatorFunctionWrapHandler) -> Any:
        made = read(value)
        several = isinstance(value, list) and isinstance(made, tuple)
        pairs = zip(value, made, strict=True) if several else [(value, made)]
        if any(isinstance(x, bool) and type(y) in (int, float) for x, y in pairs):
            raise ValueError("a number was expected")
        return made


class _Once(yaml.SafeLoader):
    """Refuses a key that stands twice in one place, of which YAML's own loader takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys: list[Any] = []
        for key, _ in node.value:
            where = f"{key.start_mark.name}: line {key.start_mark.line + 1}"
            if key.value in keys:
                raise SettingsError(f"{where} gives {key.value} a second time; keep one of them")
            keys.append(key.value)
        return super().construct_mapping(node, deep)


def absolute(text: str) -> Path:
    """Return the absolute path that a user typed; a first part ``~`` is their home.

    Raises ``SettingsError`` where it cannot be followed, or where JSON and notebooks, which are
    UTF-8, cannot hold it.
    """
    # the shell knows the homes of others; here "~x" is a folder of that name
    home = text.partition("/")[0] == "~"
    try:
        place = (Path(text).expanduser() if home else Path(text)).resolve()
        str(place).encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{text!r}: this name is not UTF-8; rename the folder") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise SettingsError(f"{text!r}: leads nowhere ({error}); name another place") from None
    return place


def content_of(path: str | Path) -> dict[str, Any]:
    """Return a file of settings as it stands; ``SettingsError`` where JSON could not say it."""
    with _one_sentence(path):
        content = yaml_files.content_of(path)
        json.dumps(content, allow_nan=False)
        with Path(path).open(encoding="utf-8") as stream:
            yaml.load(stream, _Once)
    return content


def read(path: str | Path, kind: type[yaml_files.Content]) -> yaml_files.Content:
    """Return a file as the model that it must be, or raise ``SettingsError``."""
    with _one_sentence(path):
        return yaml_files.read(path, kind)


@contextmanager
def _one_sentence(path: str | Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}: not UTF-8 (line {line}); save it as UTF-8") from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        # PyYAML lets through what its own constructors raise, and takes 2025-01-31 for a date
        what = "holds what is no text, finite number or list"
        raise SettingsError(f"{path}: {what} ({error}); put dates in quotes") from None
