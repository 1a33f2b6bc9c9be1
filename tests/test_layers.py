"""The rules of the design on who may import what, and proof that each of them can be broken."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gliomalib.provenance import PACKAGE_DIR, PROJECT_DIR

_TORCH = {"models", "training", "predict", "slices", "fusion", "loop", "samples", "profiling"}
ONLY_IN = {
    "nibabel": {"datasets", "store"},
    "torch": _TORCH,
    # MONAI brings torch along, and knows where an open data set lies
    "monai": {*_TORCH, "datasets"},
    "matplotlib": {"figures", "charts", "panels"},
    "seaborn": {"figures", "charts", "panels"},
    "papermill": {"runner", "report"},
    "nbconvert": {"runner", "report"},
    "PIL": {"gallery"},
    "onnx": {"profiling"},
    "onnxruntime": {"profiling"},
}
"""A package → the modules that may import it. ``loop`` and ``samples`` are parts of training."""

FAMILY = {"pytorch_lightning": "torch", "torchvision": "torch"}
"""Packages that bring another one along, so its rule is theirs."""

NETWORK = {"urllib.request", "http.client", "requests", "socket", "httpx", "aiohttp", "ftplib"}

MAKES_NUMBERS = {
    "training", "predict", "evaluate", "metrics", "cohort", "loop", "folds", "fusion", "apply",
    "pooled", "baselines", "ablations", "leakage", "assignments", "external", "sites", "remedies",
    "unpaired", "efficiency", "profiling", "failures", "gallery", "variants",
}  # fmt: skip
"""What makes a number never sees the published values."""

ARRAYS_ONLY = {
    *("metrics", "stats", "comparisons", "calibration"),
    *("forensics", "contradictions", "keras_metrics"),
}
"""Modules that take arrays and give numbers."""

TOUCHES_FILES = {"pathlib", "os", "io", "shutil", "tempfile", "json", "yaml", "pickle", "csv"}

VERDICTS = {"gliomalib.claims", "gliomalib.verdicts.judge"}


def imports_of(tree: ast.Module) -> Iterator[str]:
    """Yield the full name of everything that a module imports, inside of functions as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls_of(tree: ast.Module) -> Iterator[str]:
    """Yield the names of the functions called by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def faults_of(package: Path) -> list[str]:
    """Return every breach of the rules in a package, as ``module: what``."""
    faults = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        tree = ast.parse(path.read_text(encoding="utf-8"))
        faults += [f"{'.'.join(parts)}: {what}" for what in _faults_in(parts[0], tree)]
        if "utils" in parts:
            faults.append(f"{'.'.join(parts)}: a utils module")
    return faults


def _faults_in(module: str, tree: ast.Module) -> Iterator[str]:
    imported = sorted(set(imports_of(tree)))
    for name in imported:
        top = name.split(".")[0]
        allowed = ONLY_IN.get(FAMILY.get(top, top), {module})
        if module not in allowed and (name == top or top not in imported):
            yield f"imports {name}"
        if name in NETWORK and module != "datasets":
            yield f"uses the network through {name}"
    if "print" in calls_of(tree):
        yield "prints"
    if module in MAKES_NUMBERS:
        yield from (f"imports {name}" for name in imported if name in VERDICTS)
        yield from (f"names {text}" for text in _texts(tree) if "published" in text)
    if module in ARRAYS_ONLY:
        files = [name for name in imported if name.split(".")[0] in TOUCHES_FILES]
        yield from (f"touches files through {name}" for name in files)
        yield from ("opens a file" for name in calls_of(tree) if name == "open")


def _texts(tree: ast.Module) -> Iterator[str]:
    """Yield the strings of a module that are not docstrings."""
    spoken = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in spoken
        ):
            yield node.value


def layers_hold(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package ``gliomalib`` in ``folder`` with the project's contract."""
    program = Path(sys.executable).with_name("lint-imports")
    config = str(PROJECT_DIR / "pyproject.toml")
    return subprocess.run(
        [str(program), "--config", config, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """Write a package with a module for each one of the library, all of them empty."""
    package = tmp_path / "gliomalib"
    for path in PACKAGE_DIR.rglob("*.py"):
        copy = package / path.relative_to(PACKAGE_DIR)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text("")
    return package


def test_the_layers_of_the_library_hold() -> None:
    done = layers_hold(PROJECT_DIR)
    assert done.returncode == 0, done.stdout


def test_an_empty_package_keeps_the_layers(fake: Path) -> None:
    done = layers_hold(fake.parent)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        ("schema", "from gliomalib import settings", "schema is not allowed to import"),
        ("evaluate", "import gliomalib.verdicts.claims", "evaluate is not allowed to import"),
        ("figures", "from gliomalib.report import pages", "figures is not allowed to import"),
        ("store", "from gliomalib import records", "store is not allowed to import"),
        ("training", "def f():\n    from gliomalib import predict", "training is not allowed to"),
    ],
)
def test_an_import_against_the_layers_is_found(
    fake: Path, module: str, line: str, said: str
) -> None:
    (fake / f"{module}.py").write_text(f"{line}\n")
    done = layers_hold(fake.parent)
    assert done.returncode == 1
    assert said in done.stdout.replace("\n", " ").replace("gliomalib.", "")


def test_a_module_outside_of_the_layers_is_found(fake: Path) -> None:
    (fake / "helpers.py").write_text("")
    done = layers_hold(fake.parent)
    assert done.returncode == 1
    assert "helpers" in done.stdout


def test_the_library_keeps_every_rule() -> None:
    assert faults_of(PACKAGE_DIR) == []


def test_an_empty_package_keeps_every_rule(fake: Path) -> None:
    assert faults_of(fake) == []


@pytest.mark.parametrize(
    ("module", "code", "fault"),
    [
        ("cohort", "import nibabel as nib", "cohort: imports nibabel"),
        ("evaluate", "import torch.nn", "evaluate: imports torch.nn"),
        ("metrics", "def f():\n    from torch import nn", "metrics: imports torch"),
        ("evaluate", "from monai.metrics import DiceMetric", "evaluate: imports monai.metrics"),
        ("views", "import matplotlib.pyplot as plt", "views: imports matplotlib.pyplot"),
        ("report/pages", "import seaborn", "report.pages: imports seaborn"),
        ("records", "import papermill", "records: imports papermill"),
        ("figures", "from nbconvert import HTMLExporter", "figures: imports nbconvert"),
        ("training", "from gliomalib import claims", "training: imports gliomalib.verdicts.claims"),
        (
            "metrics",
            "from gliomalib.verdicts.claims import x",
            "metrics: imports gliomalib.verdicts.claims",
        ),
        ("predict", 'P = "data/published.yml"', "predict: names data/published.yml"),
        ("stats", "from pathlib import Path", "stats: touches files through pathlib"),
        ("metrics", 'x = open("y")', "metrics: opens a file"),
        ("store", "import urllib.request", "store: uses the network through urllib.request"),
        ("store", 'print("x")', "store: prints"),
        ("utils", "", "utils: a utils module"),
    ],
)
def test_each_breach_is_found(fake: Path, module: str, code: str, fault: str) -> None:
    (fake / f"{module}.py").write_text(code)
    assert fault in faults_of(fake)


def test_what_is_allowed_is_not_a_breach(fake: Path) -> None:
    (fake / "store.py").write_text("import nibabel\n")
    (fake / "models.py").write_text("import torch\nfrom monai.networks.nets import UNet\n")
    (fake / "figures.py").write_text("import seaborn\nfrom matplotlib import pyplot\n")
    (fake / "evaluate.py").write_text('"""Nothing of published.yml is read here."""\n')
    (fake / "datasets" / "brats.py").write_text("import nibabel\nimport urllib.request\n")
    assert faults_of(fake) == []


def test_the_package_imports_without_its_heavy_parts() -> None:
    """No work at import: settings and records load neither torch nor matplotlib."""
    code = "import sys, gliomalib.records, gliomalib.scoring.metrics, gliomalib.verdicts.claims\n"
    code += "print([name for name in ('torch', 'matplotlib', 'monai') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_DIR, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_lint_imports_is_installed() -> None:
    assert shutil.which("lint-imports", path=str(Path(sys.executable).parent)) is not None
