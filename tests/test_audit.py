"""``make audit`` fails on a finding, and never takes silence for a clean answer."""

import importlib.util
import json
from types import ModuleType
from typing import Any

import pytest

from gliomalib.provenance import PROJECT_DIR

SAFE = {"name": "numpy", "version": "2.4.0", "vulns": []}
HOLE = {
    "name": "torch",
    "version": "2.12.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.12.1"]}],
}
UNSEEN = {"name": "monai", "skip_reason": "Dependency not found on PyPI"}


@pytest.fixture
def audit() -> ModuleType:
    place = importlib.util.spec_from_file_location("audit", PROJECT_DIR / ".ci" / "audit.py")
    assert place and place.loader
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


def told(audit: ModuleType, *packages: dict[str, Any]) -> int:
    return int(audit.told(json.dumps({"dependencies": packages}), ""))


def test_a_finding_fails_unless_there_is_a_reason(
    audit: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(audit, SAFE) == 0
    assert told(audit, SAFE, HOLE) == 1
    assert "torch 2.12.0: PYSEC-1, mended in 2.12.1" in capsys.readouterr().out
    for name in ("PYSEC-1", "CVE-1"):
        audit.IGNORED = {name: "only where others send tensors"}
        assert told(audit, SAFE, HOLE) == 0
        assert f"ignored {name}: only where" in capsys.readouterr().out


def test_every_ignored_one_has_a_reason(audit: ModuleType) -> None:
    assert all(len(reason.split()) > 3 for reason in audit.IGNORED.values())


def test_one_package_that_was_not_looked_at_fails(audit: ModuleType) -> None:
    assert told(audit, SAFE, UNSEEN) == 1


@pytest.mark.parametrize(
    ("out", "err"),
    [
        (json.dumps({"dependencies": [UNSEEN, UNSEEN]}), "No known vulnerabilities found"),
        ("", "requests.exceptions.ConnectionError: no such host"),
        ("", ""),
        ("[]", "x"),
    ],
)
def test_what_could_not_be_asked_is_said(
    audit: ModuleType, capsys: pytest.CaptureFixture[str], out: str, err: str
) -> None:
    assert audit.told(out, err) == 0
    assert capsys.readouterr().out.startswith("audit: did not run: ")
