"""Names that are no case's: what is passed over, and what is listed with a reason.

The patterns are in ``data/names.yml``.
"""

import re
from functools import lru_cache

from gliomalib.provenance import PROJECT_DIR
from gliomalib.yaml_files import Model, read

FILE = PROJECT_DIR / "data" / "names.yml"


class _Rule(Model):
    kind: str
    path: str
    because: str


class _Names(Model):
    noise: tuple[str, ...]
    documents: tuple[str, ...]
    rules: tuple[_Rule, ...]


@lru_cache(maxsize=1)
def _load() -> _Names:
    return read(FILE, _Names)


def is_noise(name: str) -> bool:
    """Tell whether systems, servers, version control or editors leave such a file or folder."""
    return _whole("noise").fullmatch(name) is not None


def is_document(name: str) -> bool:
    """Tell whether a file is for people, or a sum by which a download is checked."""
    return _whole("documents").fullmatch(name) is not None


def rule_of(path: str) -> tuple[int, str, str] | None:
    """Return why a file is not used that lies at ``path`` below the folder, None if unknown.

    The number of parts of the path by which it is known, the kind, and the reason.
    """
    for rule in _load().rules:
        if match := re.search(rule.path, path, re.IGNORECASE):
            return path[: match.end()].count("/") + 1, rule.kind, rule.because
    return None


@lru_cache(maxsize=2)
def _whole(key: str) -> re.Pattern[str]:
    return re.compile("|".join(getattr(_load(), key)), re.IGNORECASE)
