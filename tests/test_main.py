"""The command line as a program: what it loads; how it ends is tested with its verbs."""

import subprocess
import sys

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
