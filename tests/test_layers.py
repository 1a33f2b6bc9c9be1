"""The rules of the design on who may import what, and proof that each of them can be broken."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from gliomalib.provenance import PACKAGE_DIR, PROJECT_DIR

ONLY_IN = {
    "nibabel": ("data", "phantoms"),
    "torch": ("networks", "fusion.slices", "experiments.engines"),
    # MONAI brings torch along, and knows where an open data set lies
    "monai": ("networks", "data.download"),
    "matplotlib": ("figures",),
    "seaborn": ("figures",),
    "papermill": ("runner",),
    "nbconvert": ("report",),
    "PIL": ("figures.encode", "figures.gallery"),
    **dict.fromkeys(
        ("pooch", "urllib.request", "http.client", "requests", "socket", "httpx", "aiohttp"),
        ("data.download",),
    ),
}
"""A package → the rooms or modules that may import it."""

FAMILY = dict.fromkeys(("lightning_fabric", "pytorch_lightning", "torchvision"), "torch")
"""Packages that bring another one along, so its rule is theirs."""

SEE_THE_PAPER = ("verdicts", "figures", "report", "runner", "commands", "__main__")
"""Rooms from the verdicts upwards. Every other one makes numbers and never sees those printed."""

ARRAYS_ONLY = ("scoring",)
"""Rooms that take arrays and tables and give numbers."""

TOUCHES_FILES = {"pathlib", "os", "io", "shutil", "tempfile", "json", "yaml", "pickle", "csv"}


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
        module = ".".join(path.relative_to(package).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        faults += [f"{module}: {what}" for what in _faults_in(module, tree)]
        if "utils" in module.split("."):
            faults.append(f"{module}: a utils module")
    return faults


def within(module: str, places: Iterable[str]) -> bool:
    """Whether a module is one of these places or lies in one of them."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


def _faults_in(module: str, tree: ast.Module) -> Iterator[str]:
    imported = sorted(set(imports_of(tree)))
    for name in imported:
        top = name.split(".")[0]
        rule = name if name in ONLY_IN else FAMILY.get(top, top)
        allowed = within(module, ONLY_IN.get(rule, (module,)))
        if not allowed and (name == top or top not in imported):
            yield f"imports {name}"
    if "print" in calls_of(tree):
        yield "prints"
    if not within(module, SEE_THE_PAPER):
        yield from (f"names {text}" for text in _texts(tree) if "published.y" in text)
    if within(module, ARRAYS_ONLY):
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
        ("scoring/tables", "import gliomalib.verdicts.claims", "scoring is not allowed to import"),
        ("figures/picture", "from gliomalib.report import pages", "figures is not allowed to"),
        ("figures/picture", "from gliomalib.verdicts import claims", "figures is not allowed to"),
        ("networks/loop", "from gliomalib.data import nifti\nimport gliomalib.cohort", "networks"),
        ("fusion/average", "def f():\n    from gliomalib.cohort import splits", "fusion is not"),
        (
            "experiments/intensities",
            "from gliomalib.verdicts import decisions",
            "experiments is not",
        ),
        ("scoring/metrics", "from gliomalib.scoring import tables", "No cycles are allowed"),
    ],
)
def test_an_import_against_the_layers_is_found(
    fake: Path, module: str, line: str, said: str
) -> None:
    (fake / f"{module}.py").write_text(f"{line}\n")
    (fake / "scoring" / "tables.py").open("a").write("from gliomalib.scoring import metrics\n")
    done = layers_hold(fake.parent)
    assert done.returncode == 1
    assert said in done.stdout.replace("\n", " ").replace("gliomalib.", "")


def test_a_module_outside_of_the_rooms_is_found(fake: Path) -> None:
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
        ("cohort/gather", "import nibabel as nib", "cohort.gather: imports nibabel"),
        ("scoring/tables", "import torch.nn", "scoring.tables: imports torch.nn"),
        ("scoring/metrics", "def f():\n    from torch import nn", "scoring.metrics: imports torch"),
        ("fusion/rules", "import torch", "fusion.rules: imports torch"),
        ("data/nifti", "from monai.apps import x", "data.nifti: imports monai.apps"),
        ("report/pages", "import seaborn", "report.pages: imports seaborn"),
        ("records", "import papermill", "records: imports papermill"),
        ("figures/picture", "from nbconvert import x", "figures.picture: imports nbconvert"),
        ("a_new_room/predict", 'P = "data/published.yml"', "a_new_room.predict: names data/pub"),
        (
            "experiments/intensities",
            'P = "published.yml"',
            "experiments.intensities: names published.y",
        ),
        ("scoring/new", "from pathlib import Path", "scoring.new: touches files through pathlib"),
        ("scoring/metrics", 'x = open("y")', "scoring.metrics: opens a file"),
        ("data/nifti", "import urllib.request", "data.nifti: imports urllib.request"),
        ("pipeline/store", "import pooch", "pipeline.store: imports pooch"),
        ("pipeline/store", 'print("x")', "pipeline.store: prints"),
        ("utils", "", "utils: a utils module"),
    ],
)
def test_each_breach_is_found(fake: Path, module: str, code: str, fault: str) -> None:
    (fake / f"{module}.py").parent.mkdir(exist_ok=True)
    (fake / f"{module}.py").write_text(code)
    assert any(found.startswith(fault) for found in faults_of(fake))


def test_what_is_allowed_is_not_a_breach(fake: Path) -> None:
    (fake / "networks" / "models.py").write_text(
        "import torch\nfrom monai.networks.nets import UNet\n"
    )
    (fake / "figures" / "picture.py").write_text("import seaborn\nfrom matplotlib import pyplot\n")
    (fake / "scoring" / "tables.py").write_text('"""Nothing of published.yml is read here."""\n')
    (fake / "verdicts" / "claims.py").write_text('P = "data/published.yml"\n')
    (fake / "data" / "download.py").write_text("import pooch\nimport urllib.request\n")
    assert faults_of(fake) == []


def test_the_root_holds_only_what_everyone_may_use() -> None:
    ground = {"schema", "settings", "parameters", "labels", "digits"}
    ground |= {"inputs", "machines", "provenance", "progress", "records", "__init__", "__main__"}
    assert {path.stem for path in PACKAGE_DIR.glob("*.py")} == ground


def test_tests_stand_where_the_modules_stand() -> None:
    tests = PROJECT_DIR / "tests"
    rooms = {path.relative_to(PACKAGE_DIR).parent for path in PACKAGE_DIR.rglob("*.py")}
    homeless = [
        str(path.relative_to(tests))
        for path in tests.rglob("test_*.py")
        if path.relative_to(tests).parent not in rooms
    ]
    assert homeless == []


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
