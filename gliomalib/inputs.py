"""What users name and write, folders and YAML files: taken as it is, or refused in a sentence."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from gliomalib.schema import SettingsError

Content = TypeVar("Content")

LARGEST = 10_000_000
"""Letters of a file of settings with all of its aliases written out."""


class Frozen(BaseModel):
    """Settings that cannot be changed once read and that know no other keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Model(Frozen):
    """What a user sets: ``true``, which Python takes for 1, is no number, nor is infinity."""

    model_config = ConfigDict(allow_inf_nan=False)

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

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return a mapping as it is written; a key that comes twice is an error."""
        # before ``<<`` is resolved: what a mapping takes over from another it may say anew
        node = super().compose_mapping_node(anchor)
        keys: list[Any] = []
        for key, _ in node.value:
            if key.value in keys:
                what = f"line {key.start_mark.line + 1} gives {key.value} a second time"
                raise SettingsError(f"{self.name}: {what}; keep one of them")
            keys.append(key.value)
        return node


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
        content = _yaml(path)
        json.dumps(content, allow_nan=False)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: settings are lines of `key: value`, found {content!r:.60}")
    return content


def read(path: str | Path, kind: type[Content]) -> Content:
    """Return a YAML file as the model, or the collection of models, that it must be.

    Raises ``SettingsError``, which names the file and what is wrong with it.
    """
    with _one_sentence(path):
        return TypeAdapter(kind).validate_python(_yaml(path))


def explain(error: ValidationError) -> str:
    """Return what is wrong with a file and where: each place, its fault, and what stands there."""
    parts = []
    for fault in error.errors():
        place = ".".join(map(str, fault["loc"])) or "the file"
        parts.append(f"{place}: {fault['msg']} (found {fault['input']!r:.60})")
    # a key, and what a message repeats of the value, may have several lines
    return " ".join("; ".join(parts).split())


def keys_near(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return the keys that ``model`` knows at the place of the first fault."""
    for part in error.errors()[0]["loc"][:-1]:
        kind = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            break
        model = kind
    return list(model.model_fields)


def _yaml(path: str | Path) -> Any:
    loader = _Once(Path(path).read_text(encoding="utf-8"))
    loader.name = str(path)
    node = loader.get_single_node()
    if node is None:
        return None
    if _written_out(node, {}) > LARGEST:
        what = f"its aliases stand for more than {LARGEST} letters"
        raise SettingsError(f"{path}: {what}; write out what is meant")
    return loader.construct_document(node)


def _written_out(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return how long a part would be with all aliases written out: ten lines can mean gigabytes.

    ``sizes`` holds what was counted before, so that each part is looked at once.
    """
    if id(node) not in sizes:
        # so that one which holds itself comes to an end
        sizes[id(node)] = 1
        parts = () if isinstance(node, yaml.ScalarNode) else node.value
        inner = chain.from_iterable(parts) if isinstance(node, yaml.MappingNode) else parts
        # a list counts by its parts: its own length adds next to nothing
        sizes[id(node)] += len(node.value) + sum(_written_out(part, sizes) for part in inner)
    return sizes[id(node)]


@contextmanager
def _one_sentence(path: str | Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise SettingsError(f"{path}: this file is missing; restore it or name another") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{path}: not YAML ({reason}); correct the file") from None
    except ValidationError as error:
        raise SettingsError(f"{path}: {explain(error)}; correct the file") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}: not UTF-8 (line {line}); save it as UTF-8") from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        # PyYAML lets through what its own constructors raise, and takes 2025-01-31 for a date
        what, reason = "holds what is no text, finite number or list", " ".join(str(error).split())
        raise SettingsError(f"{path}: {what} ({reason}); put dates in quotes") from None
