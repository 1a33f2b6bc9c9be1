"""Phrases over which native readers stumbled, and which may not come back."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gliomalib.provenance import PACKAGE_DIR, PROJECT_DIR

OF = "(?:bar|array|class|mask|network|one|point|question|row|seed|training|weight)"
FOR = "(?:case|cell|fold|notebook|patient|slice|split|study)"
RATHER = {
    r"\bCPU[- ]size\b|\bof CPU\b": "small networks that fit a CPU",
    r"not told (apart )?from": "no clear difference from",
    r"cannot be told(?! from)": "is not known, cannot be decided",
    r"lie on (one another|each other)": "are aligned",
    r"\bdealing out\b": "a split by slice",
    r"\bless (each|that|the|what)\b": "minus",
    r"\bcounted is\b": "the table counts",
    r"\bseed\(s\)": "1 seed, 2 seeds",
    r"\b1 (test |held-out )?(patients|seeds|slices)\b": "1 patient",
    r"no interval: ": "5 patients, no interval",
    r"taken at their word": "calibrated",
    r"\babroad\b|\bat home\b": "on the other site, on your own machine",
    r"\b(who|that) stands? in (?!train)|\bstands? on\b": "is in, rests on",
    rf"\b(?:one|an?) {OF} an? {FOR}\b": "one per patient",
    r"\bsome cell\b": "at least one loss",
    r"\d%": "5 %, with a space that does not break",
}
"""What may not be written → what to write."""

TEXTS = (
    "README.md",
    "CONTRIBUTING.md",
    "data/README.md",
    "notebooks/README.md",
    "data/*.yml",
    "gliomalib/**/*.j2",
)


def prose() -> Iterator[tuple[str, str]]:
    """Yield the place and the words of all that a reader may see."""
    for pattern in TEXTS:
        for path in sorted(PROJECT_DIR.glob(pattern)):
            yield path.name, path.read_text(encoding="utf-8")
    for path in sorted((PROJECT_DIR / "notebooks" / "params").glob("*.yml")):
        yield path.name, "".join(re.findall("^title:.*", path.read_text(encoding="utf-8"), re.M))
    for path in sorted((PROJECT_DIR / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown" or "parameters" in cell["metadata"].get("tags", ()):
                yield f"{path.name}, cell {cell['id']}", "".join(cell["source"])
    for path in sorted(PACKAGE_DIR.rglob("*.py")):
        for line, words in strings(path.read_text(encoding="utf-8")):
            yield f"{path.name}:{line}", words


def strings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the strings of a module that are no docstrings; ``…`` is what is filled in."""
    tree = ast.parse(source)
    documents = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
              for part in node.values}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and node not in documents | inside:
            yield from [(node.lineno, node.value)] if isinstance(node.value, str) else []


def faults(words: str) -> list[str]:
    """Return each phrase of ``words`` that may not be written, with what to write instead."""
    line = " ".join(words.split())
    return [
        f"{match.group()!r}: rather {instead!r}"
        for phrase, instead in RATHER.items()
        for match in re.finditer(phrase, line, flags=re.IGNORECASE)
    ]


def test_no_phrase_has_come_back() -> None:
    found = [f"{where}: {fault}" for where, words in prose() for fault in faults(words)]
    assert not found, "\n".join(found)


def test_shares_are_written_by_one_function() -> None:
    for path in sorted(PACKAGE_DIR.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FormattedValue) and node.format_spec:
                assert "%" not in ast.unparse(node.format_spec), f"{path.name}:{node.lineno}"


@pytest.mark.parametrize(
    "words",
    [
        "Networks of CPU size", "It is not\ntold apart from 2D only", "1 test patients",
        "one bar a patient", "fused less the method", "who stand in several of them",
        "99.3% of them", "At least 1 seed(s) a cell", "It cannot be told who was excluded",
    ],
)  # fmt: skip
def test_a_planted_phrase_is_found(words: str) -> None:
    assert len(faults(words)) == 1


def test_plain_sentences_pass() -> None:
    assert not faults(
        "Less than 5 % of the 31 patients, one per fold, minus the others; understand in."
    )


def test_strings_are_read_and_docstrings_are_not(tmp_path: Path) -> None:
    module = 'def f(n):\n    """A day at home."""\n    return f"{n} days " "at home", "x"\n'
    assert list(strings(module)) == [(3, "… days at home"), (3, "x")]
