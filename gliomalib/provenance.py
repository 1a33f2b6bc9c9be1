"""Where a number came from: digests of code, files and settings, and versions."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PACKAGE_DIR = Path(__file__).resolve().parent
PROJECT_DIR = PACKAGE_DIR.parent
FRAMES = ("schema", "settings", "provenance", "progress", "records")
"""Modules that make no number: their values enter a digest, their code does not.

Otherwise a new notebook parameter would make every stored array and every network stale.
"""
PACKAGES = (
    *("torch", "torchvision", "monai", "pytorch-lightning", "scikit-learn"),
    *("nibabel", "numpy", "scipy", "pandas"),
)


def digest_of(value: Any) -> str:
    """Return 16 hex digits that change when the JSON form of ``value`` changes."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def module_path(name: str) -> Path | None:
    """Return the source file of ``gliomalib.<name>``, or None where there is no such module."""
    base = PACKAGE_DIR.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def imported_modules(source: str) -> set[str]:
    """Return the modules of this package that ``source`` imports, without the package's name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            found.update(_own_modules(name))
    return found


def _own_modules(name: str) -> list[str]:
    """Return a module of this package and the packages around it, which an import runs as well."""
    package, *parts = name.split(".")
    if package != PACKAGE_DIR.name:
        return []
    inner = [".".join(parts[: end + 1]) for end in range(len(parts))]
    return [module for module in inner if module_path(module)]


def with_dependencies(modules: Iterable[str]) -> list[str]:
    """Return ``modules`` and every module of this package that they reach by imports, sorted."""
    seen: set[str] = set()
    queue = list(modules)
    while queue:
        name = queue.pop()
        path = module_path(name)
        if name in seen or path is None:
            continue
        seen.add(name)
        queue.extend(imported_modules(path.read_text(encoding="utf-8")))
    return sorted(seen)


def code_digest(*modules: str) -> str:
    """Return a digest of these modules' statements and of all that they import.

    Comments, docstrings and layout do not count: a reworded sentence makes nothing stale.
    """
    parts = {}
    for name in with_dependencies(modules):
        path = module_path(name)
        if path is not None and name not in FRAMES:
            parts[name] = _statements(path.read_text(encoding="utf-8"))
    return digest_of(parts)


def _statements(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def write_atomic(path: Path, text: str) -> Path:
    """Write ``text`` whole or not at all, also when the process is killed half way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)
    return path


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that make numbers."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def commit() -> str:
    """Return the git commit of the project, with ``+changes`` where files differ, or unknown."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        where = ("--", "gliomalib", "notebooks")
        changed = _git("status", "--porcelain", "--untracked-files=no", *where)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{head}+changes" if changed else head


def _git(*words: str) -> str:
    command = ["git", "-C", str(PROJECT_DIR), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()
