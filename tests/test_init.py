"""The names that ``import gliomalib`` offers: there, documented, and loaded only when used."""

import re
import subprocess
import sys

import pytest

import gliomalib
from gliomalib.provenance import PROJECT_DIR

TABLE = (PROJECT_DIR / "notebooks" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", gliomalib.__all__)
def test_each_name_is_there_and_says_what_it_does(name: str) -> None:
    assert callable(getattr(gliomalib, name))
    assert getattr(gliomalib, name).__doc__
    assert name in dir(gliomalib)


def test_the_readme_of_the_notebooks_lists_just_these() -> None:
    assert set(re.findall(r"`gl\.(\w+)\(", TABLE)) == set(gliomalib.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'diced'"):
        gliomalib.diced  # noqa: B018


def test_importing_the_package_loads_no_room() -> None:
    code = "import sys, gliomalib; print([m for m in sys.modules if m.startswith('gliomalib.')])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_DIR, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
