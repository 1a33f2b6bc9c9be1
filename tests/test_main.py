"""The command line as a program: what it loads; how it ends is tested with its verbs."""

import argparse
import importlib
import subprocess
import sys

import pytest

from gliomalib.__main__ import VERBS, main
from gliomalib.provenance import PROJECT_DIR

HEAVY = (
    "torch",
    "matplotlib",
    "papermill",
    "monai",
    "pandas",
    "nibabel",
    "nbformat",
    "jinja2",
    "bs4",
)


def test_starting_loads_nothing_heavy() -> None:
    code = (
        "import sys, gliomalib.__main__, gliomalib.runner.jobs, gliomalib.runner.stamps\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_DIR, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_help_loads_nothing_that_takes_long() -> None:
    code = (
        "import sys, gliomalib.__main__ as program\n"
        "try:\n    program.main(['--help'])\nfinally:\n"
        f"    print([n for n in {(*HEAVY, 'numpy', 'pydantic', 'yaml')} if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_DIR, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    for name, (_, text) in VERBS.items():
        assert f"    {name:9} {text}\n" in done.stdout


@pytest.mark.parametrize("group", sorted({group for group, _ in VERBS.values()}))
def test_a_module_adds_the_verbs_for_which_it_is_loaded(group: str) -> None:
    verbs = argparse.ArgumentParser().add_subparsers()
    importlib.import_module(f"gliomalib.commands.{group}").add(verbs)
    assert set(verbs.choices) == {name for name, (other, _) in VERBS.items() if other == group}


def test_an_unknown_verb_is_answered_with_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["studdy"])
    said = capsys.readouterr().err
    assert all(f"'{name}'" in said for name in VERBS)
