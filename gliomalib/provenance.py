"""Where a number came from: digests of code, files and settings, and versions."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import resource
import secrets
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from gliomalib.schema import SettingsError

PACKAGE_DIR = Path(__file__).resolve().parent
PROJECT_DIR = PACKAGE_DIR.parent
FRAMES = ("schema", "settings", "parameters", "provenance", "progress", "records", "inputs")
"""Modules that make no number: their values enter a digest, their code does not.

Otherwise a new notebook parameter would make every stored array and every network stale.
"""
CORES = "GLIOMA_CORES"
"""Variable with which whoever runs a study tells its notebooks how many processes may work."""
TOLERANCE = (
    "none with the same seed, threads and processor, whatever the number of workers and also where "
    "a training was resumed; another number of threads or processor adds up in another order: the "
    "losses of a training stay within 1e-5 of themselves in its first epochs, and it is then "
    "another training of the same network"
)
"""How far a repetition may be from a record, and why."""
PACKAGES = (
    *("torch", "torchvision", "monai", "pytorch-lightning", "scikit-learn"),
    *("nibabel", "numpy", "scipy", "pandas"),
)


def digest_of(value: Any) -> str:
    """Return 16 hex digits that change when the JSON form of ``value`` changes."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def modules() -> dict[str, Path]:
    """Return the modules of this package with their files; the package itself has no name."""
    files: dict[str, Path] = {}
    for folder, _, names in os.walk(PACKAGE_DIR):
        room = Path(folder).relative_to(PACKAGE_DIR).parts
        for name in names:
            stem, ending = os.path.splitext(name)  # noqa: PTH122 - asked hundreds of times
            if ending == ".py":
                inner = room if stem == "__init__" else (*room, stem)
                files[".".join(inner)] = Path(folder, name)
    return files


# parsed once, like the statements: a study asks for the same files hundreds of times
@lru_cache(maxsize=1024)
def _imported(source: str, package: str) -> frozenset[str]:
    """Return what is imported of ``package``, and the rooms around it, which run as well."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    inner = (name.split(".")[1:] for name in names if name.split(".")[0] == package)
    return frozenset(".".join(parts[: end + 1]) for parts in inner for end in range(len(parts)))


def reached(names: Iterable[str]) -> dict[str, str]:
    """Return the source of each of these modules of this package and of all that they import.

    Raises ``ValueError`` for a name that is no module of this package: a digest that leaves a
    misspelt or moved module out would stay the same whatever happens to it.
    """
    paths, sources, queue = modules(), dict[str, str](), list(names)
    while queue:
        name = queue.pop()
        if name not in sources:
            if name not in paths:
                raise ValueError(f"{PACKAGE_DIR}: has no module {name!r}; name one that is there")
            sources[name] = paths[name].read_text(encoding="utf-8")
            queue.extend(_imported(sources[name], PACKAGE_DIR.name) & paths.keys())
    return sources


def code_digest(*modules: ModuleType) -> str:
    """Return a digest of these modules' statements and of all that they import.

    Comments, docstrings and layout do not count: a reworded sentence makes nothing stale. Raises
    ``ValueError`` for a module of another package.
    """
    return _digest_of_code(
        module.__name__.removeprefix(f"{PACKAGE_DIR.name}.") for module in modules
    )


def imports_digest(sources: Iterable[str]) -> str:
    """Return the ``code_digest`` of all modules that pieces of code import, such as cells."""
    imported = (_imported(source, PACKAGE_DIR.name) for source in sources)
    return _digest_of_code(modules().keys() & frozenset[str]().union(*imported))


def package_digest(without: Iterable[str]) -> str:
    """Return a digest of all statements of the package, the rooms ``without`` aside.

    Raises ``ValueError`` for a room that is not there.
    """
    apart, paths = set(without), modules()
    if lacking := sorted(apart - paths.keys()):
        raise ValueError(f"{PACKAGE_DIR}: has no {lacking[0]!r}; name a room that is there")
    kept = (name for name in paths if name.split(".")[0] not in apart)
    return digest_of({name: _statements(paths[name].read_text(encoding="utf-8")) for name in kept})


def _digest_of_code(names: Iterable[str]) -> str:
    sources = reached(names).items()
    return digest_of({name: _statements(text) for name, text in sources if name not in FRAMES})


@lru_cache(maxsize=1024)
def _statements(source: str) -> str:
    """Return a digest of the code of a module, without its text and its layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
    return digest_of(ast.dump(tree))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Let errors of the system that name no file, such as that of a full disk, name ``path``."""
    try:
        yield
    except OSError as error:
        # one without a number has its own words, in place of which the name would stand
        if error.errno and not error.filename:
            error.filename = str(path)
        raise


@contextmanager
def open_atomic(path: str | Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Give a stream of bytes that becomes ``path`` whole, or not at all where writing fails.

    The temporary file is the writer's own, so that two processes may write one path; it is gone
    unless the process is killed, and then its name, with a dot in front, counts for nothing. The
    umask says who may read the file, and nobody else may read one that is ``private``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.touch(0o600 if private else 0o666, exist_ok=False)
        with naming(path), temporary.open("wb") as stream:
            yield stream
        temporary.replace(path)
    except OSError as error:
        if error.errno is None:
            # numpy counts the bytes that it could write and says nothing of the reason
            raise OSError(f"{path}: not written whole ({error}); is the disk full?") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: str | Path, content: str | bytes, *, private: bool = False) -> Path:
    """Write text (as UTF-8) or bytes whole or not at all, see ``open_atomic``; return ``path``."""
    with open_atomic(path, private=private) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)
    return Path(path)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that make numbers."""
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **packages}


def hardware() -> dict[str, str]:
    """Return what this machine computes with: no name of it, no path."""
    return {"processor": _processor(), "cores": str(os.cpu_count() or "unknown")}


def peak_memory() -> int:
    """Return the highest memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if not status.is_file():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # macOS counts bytes, other systems kilobytes
        return peak if sys.platform == "darwin" else peak * 1024
    # Linux counts into ru_maxrss what the parent held when it started this process
    lines = (line.split() for line in status.read_text(encoding="utf-8").splitlines())
    return next(1024 * int(words[1]) for words in lines if words[0] == "VmHWM:")


def cores() -> int:
    """Return how many processes may work at once: what ``CORES=`` said of this run, else all.

    It is no setting of a study, as no number depends on it. Raises ``SettingsError`` where the
    variable ``GLIOMA_CORES`` is no whole number above 0.
    """
    text = os.environ.get(CORES, str(os.cpu_count() or 1))
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"{CORES} is {text!r}: give a whole number above 0, or unset it")
    return int(text)


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def commit() -> str:
    """Return the git commit of the project, with ``+changes`` where files differ, or unknown.

    A copy that lies in another repository, or that one does not keep, has none.
    """
    try:
        above = _git("rev-parse", "--show-prefix")
        _git("cat-file", "-e", "HEAD:gliomalib")
        head = _git("rev-parse", "--short=12", "HEAD")
        where = ("--", "gliomalib", "notebooks", "data", "requirements.lock")
        changed = _git("status", "--porcelain", "--untracked-files=no", *where)
    except (OSError, ValueError, subprocess.SubprocessError):
        return "unknown"
    return "unknown" if above else f"{head}+changes" if changed else head


def write_source(commit: str, folder: Path) -> Path | None:
    """Write the project as it was at a commit as ``source-<commit>.tar``, without its reports.

    Returns None where no repository is here that has this commit, or more was changed on top of it.
    """
    path = folder / f"source-{commit}.tar"
    if not re.fullmatch("[0-9a-f]{7,40}", commit):
        return None
    tree = (".", ":(exclude)reports")
    try:
        _git(
            "archive", "--format=tar", f"--prefix=source-{commit}/", "-o", str(path), commit, *tree
        )
    except (OSError, subprocess.SubprocessError):
        path.unlink(missing_ok=True)
        return None
    return path


def _git(*words: str) -> str:
    # whoever commits meanwhile must not find the index locked
    command = ["git", "--no-optional-locks", "-C", str(PROJECT_DIR), *words]
    # a hook of git names a repository of its own, which need not be that of the folder
    own = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    own |= {name: text for name, text in os.environ.items() if name.startswith("GIT_CONFIG")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20, env=own)
    return done.stdout.strip()
