"""pyproject.toml, requirements.lock and environment.yml say the same."""

import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from gliomalib.provenance import PROJECT_DIR
from gliomalib.runner.locks import held

PAIRS = {"2.11": "0.26", "2.12": "0.27"}
"""torch → the torchvision that is built for it."""


@dataclass(frozen=True)
class Locked:
    """One package of the lock."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def read_lock(text: str) -> list[Locked]:
    """Return the packages of a requirements file with hashes."""
    lines = [
        line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")
    ]
    entries = re.split(r"(?<!\\)\n", "\n".join(lines))
    found = []
    for entry in entries:
        head = re.split(r"\s*\\\n", entry)[0]
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+?)(?: ; (.+))?", head.strip())
        assert match, f"not a pinned package: {head!r}"
        hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", entry))
        name, version, marker = match.groups()
        found.append(Locked(canonicalize_name(name), version, marker or "", hashes))
    return found


def faults_of(text: str) -> list[str]:
    """Return what is wrong with a lock by itself."""
    faults = [f"{p.name} has no hash" for p in read_lock(text) if not p.hashes]
    words = re.findall(r"\S*(?:://|--(?:index|extra-index|find-links|trusted)|\s@\s)\S*", text)
    return faults + [f"an address: {word}" for word in words]


@pytest.fixture(scope="module")
def lock_text() -> str:
    return (PROJECT_DIR / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def locked(lock_text: str) -> dict[str, Version]:
    return {package.name: Version(package.version) for package in read_lock(lock_text)}


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    content = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text(encoding="utf-8"))
    wanted: dict[str, object] = content["project"]
    return wanted


def test_lock_has_a_hash_for_every_package_and_no_address(lock_text: str) -> None:
    assert len(read_lock(lock_text)) > 100
    assert faults_of(lock_text) == []


def test_a_lock_without_hash_or_with_an_address_is_found() -> None:
    digest = "0" * 64
    good = f"a==1 \\\n    --hash=sha256:{digest}\n    # via b\n"
    assert faults_of(good) == []
    assert faults_of(good + "b==2 ; python_version < '3.12'\n") == ["b has no hash"]
    pinned_elsewhere = good.replace("a==1", "a==1 --find-links=/here")
    with pytest.raises(AssertionError, match="not a pinned package"):
        faults_of(pinned_elsewhere)
    with pytest.raises(AssertionError, match="not a pinned package"):
        read_lock("a>=1\n")
    address = "see https" + "://example.org"
    assert faults_of(f"{good}# {address}\n") == ["an address: https://example.org"]


def test_lock_holds_what_the_project_asks_for(
    project: dict[str, object], locked: dict[str, Version]
) -> None:
    extra = project["optional-dependencies"]
    direct = project["dependencies"]
    assert isinstance(direct, list)
    assert isinstance(extra, dict)
    for line in [*direct, *extra["dev"], *extra["cluster"]]:
        wanted = Requirement(line)
        found = locked.get(canonicalize_name(wanted.name))
        assert found is not None, f"{wanted.name} is not in the lock: run make lock"
        assert found in wanted.specifier, f"{wanted} but {found} is locked: run make lock"


def test_the_project_builds_with_what_the_lock_brings(locked: dict[str, Version]) -> None:
    content = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text(encoding="utf-8"))
    for line in content["build-system"]["requires"]:
        wanted = Requirement(line)
        assert locked[wanted.name] in wanted.specifier


def test_torch_and_torchvision_are_a_pair(locked: dict[str, Version]) -> None:
    series = {name: "{0.major}.{0.minor}".format(locked[name]) for name in ("torch", "torchvision")}
    assert PAIRS[series["torch"]] == series["torchvision"]


def test_one_version_of_each_package(lock_text: str) -> None:
    seen: dict[str, list[Locked]] = {}
    for package in read_lock(lock_text):
        seen.setdefault(package.name, []).append(package)
    twice = {name for name, found in seen.items() if len(found) > 1}
    assert all(package.marker for name in twice for package in seen[name])


def test_conda_installs_the_lock_and_nothing_else(project: dict[str, object]) -> None:
    content = yaml.safe_load((PROJECT_DIR / "environment.yml").read_text(encoding="utf-8"))
    assert content["name"] == project["name"]
    plain = [entry for entry in content["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.lock"]
    names = {re.split(r"[=<>]", entry)[0]: entry for entry in plain}
    assert set(names) == {"python", "pip"}
    oldest = Version(str(project["requires-python"]).removeprefix(">="))
    assert Version(names["python"].split("=")[-1]) >= oldest


def test_the_tools_of_the_hooks_are_in_the_lock(locked: dict[str, Version]) -> None:
    content = yaml.safe_load((PROJECT_DIR / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in content["repos"] for hook in repo["hooks"]]
    programs = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks}
    package = {"lint-imports": "import-linter"}
    assert {package.get(name, name) for name in programs} <= set(locked)
    assert {"ruff", "nbstripout", "lint-imports"} <= programs


@pytest.mark.skipif(
    Path(sys.prefix) != PROJECT_DIR / ".venv", reason="another environment than that of make env"
)
def test_what_runs_here_is_what_is_locked(locked: dict[str, Version]) -> None:
    for name in ("papermill", "snakemake", "monai", "nilearn"):
        assert Version(version(name)) == locked[name]


def test_every_target_of_the_makefile_is_explained() -> None:
    text = (PROJECT_DIR / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)[1].split())  # type: ignore[index]
    explained = set(re.findall(r"^([a-z]+):.* ## \S", text, re.MULTILINE))
    assert explained == targets
    assert {"help", "env", "report", "test", "lint", "lock", "lab", "clean"} <= targets


def test_the_files_of_a_study_that_runs_are_not_removed(tmp_path: Path) -> None:
    shutil.copy(PROJECT_DIR / "Makefile", tmp_path)

    def clean() -> subprocess.CompletedProcess[str]:
        words = ["make", "clean", "STUDY=toy"]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)

    with held(tmp_path / "data" / "toy" / "locks" / "study.lock", "the study toy"):
        done = clean()
        assert done.returncode != 0 and "the study toy is being run: wait for it" in done.stderr
        assert (tmp_path / "data" / "toy").exists()
    assert clean().returncode == 0
    assert not (tmp_path / "data" / "toy").exists()
    assert clean().returncode == 0, "there is nothing to remove"
