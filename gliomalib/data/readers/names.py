"""Names that are no case's, of ``data/names.yml``: passed over, or listed with a reason."""

import re
from functools import lru_cache

from gliomalib.inputs import Model, read
from gliomalib.provenance import PROJECT_DIR

FILE = PROJECT_DIR / "data" / "names.yml"


class _Rule(Model):
    kind: str
    path: str
    because: str


class _Names(Model):
    patterns: dict[str, tuple[str, ...]]
    rules: tuple[_Rule, ...]


@lru_cache
def pattern(key: str) -> re.Pattern[str]:
    """Return one pattern for the names of a key of the file."""
    return re.compile("|".join(_load().patterns[key]), re.IGNORECASE)


def rule_of(path: str) -> tuple[int, str, str] | None:
    """Return why a file is not used that lies at ``path`` below the folder, None if unknown.

    The number of parts of the path by which it is known, the kind, and the reason.
    """
    for rule in _load().rules:
        if match := re.search(rule.path, path, re.IGNORECASE):
            return path[: match.end()].count("/") + 1, rule.kind, rule.because
    return None


@lru_cache(maxsize=1)
def _load() -> _Names:
    return read(FILE, _Names)
