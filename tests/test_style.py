"""The house style, checked by the tools where they can and by hand where they cannot."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gliomalib import parameters
from gliomalib.provenance import PACKAGE_DIR, PROJECT_DIR

MODULE_LINES, FUNCTION_LINES, ARGUMENTS = 350, 60, 6
NOTEBOOK_LINES, CELL_LINES = 80, 10
CLONED_MB = 12
NOTEBOOKS = sorted((PROJECT_DIR / "notebooks").glob("*.ipynb"))
Cell = dict[str, Any]


def tool(*words: str) -> str:
    """Return what a tool of the environment complains about; empty when it is content."""
    program, *rest = words
    path = str(Path(sys.executable).with_name(program))
    done = subprocess.run(
        [path, *rest], cwd=PROJECT_DIR, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    assert tool("ruff", "check", "--no-cache", "gliomalib", "tests", "notebooks") == ""


def test_everything_is_formatted() -> None:
    assert tool("ruff", "format", "--check", "--no-cache", "gliomalib", "tests", "notebooks") == ""


def test_types_hold() -> None:
    assert tool("mypy") == ""


def test_a_planted_fault_of_style_and_of_type_is_found(tmp_path: Path) -> None:
    module = tmp_path / "fault.py"
    module.write_text('"""Faults."""\n\n\ndef f(x: int) -> str:\n    """Return."""\n    return x\n')
    config = str(PROJECT_DIR / "pyproject.toml")
    assert "Incompatible return value" in tool("mypy", "--config-file", config, str(module))
    module.write_text('"""Faults."""\n\n\ndef f(x):\n    print(x)\n')
    said = tool("ruff", "check", "--config", config, "--no-cache", str(module))
    assert {"ANN001", "ANN201", "D103", "T201"} <= set(re.findall(r"[A-Z]+\d+", said))


# --- sizes and docstrings of the library


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(tree: ast.Module) -> Iterator[Definition]:
    """Yield every function and class of a module."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    yield from (node for node in ast.walk(tree) if isinstance(node, kinds))


def public(tree: ast.Module) -> Iterator[Definition]:
    """Yield what other modules may use: top-level names and methods without underscore."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not _is_overload(node):
                yield node
            inner = node.body if isinstance(node, ast.ClassDef) else []
            found = (part for part in inner if isinstance(part, ast.FunctionDef))
            yield from (part for part in found if not part.name.startswith("_"))


def _is_overload(node: Definition) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list)


def faults_of(source: str) -> list[str]:
    """Return what is too long or undocumented in a module."""
    tree = ast.parse(source)
    faults = []
    if len(source.splitlines()) > MODULE_LINES:
        faults.append(f"{len(source.splitlines())} lines")
    if tree.body and not ast.get_docstring(tree):
        faults.append("no docstring")
    faults += [f"{node.name}: no docstring" for node in public(tree) if not ast.get_docstring(node)]
    for node in definitions(tree):
        if isinstance(node, ast.ClassDef):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES:
            faults.append(f"{node.name}: {length} lines")
        if _arguments(node) > ARGUMENTS:
            faults.append(f"{node.name}: {_arguments(node)} arguments")
    return faults


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    spec = node.args
    names = [part.arg for part in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]
    return len([name for name in names if name not in {"self", "cls"}])


def modules() -> list[Path]:
    return sorted(PACKAGE_DIR.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE_DIR)))
def test_modules_are_small_and_documented(path: Path) -> None:
    assert faults_of(path.read_text(encoding="utf-8")) == []


def test_large_and_undocumented_code_is_found() -> None:
    long = 'def f(a, b, c, d, e, g, h):\n    """F."""\n' + "    a = 1\n" * 60
    assert faults_of('"""M."""\n' + long) == ["f: 62 lines", "f: 7 arguments"]
    assert faults_of("class A:\n    def b(self): ...\n    def _c(self): ...\n") == [
        "no docstring",
        "A: no docstring",
        "b: no docstring",
    ]
    assert faults_of('"""M."""\n' + "x = 1\n" * 400) == ["401 lines"]


# --- words, and where tests stand


VAGUE = {"found", "told", "one", "known", "own", "shown", "given"}
"""Names that say nothing of the thing that they hold."""

SQUEEZED, VAGUE_NAMES = 10, 3


def vague_names(source: str) -> int:
    """Count how often a module assigns to a name that says nothing."""
    names = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name))
    targets = (node.id for node in names if isinstance(node.ctx, ast.Store))
    return sum(name in VAGUE for name in targets)


def private_uses(source: str) -> list[str]:
    """Return the private names of the library that a test reaches for, as ``module._name``."""
    tree = ast.parse(source)
    modules = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gliomalib")
        for alias in node.names
    }
    return sorted(
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in modules
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
    )


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE_DIR)))
def test_variables_are_called_what_they_hold(path: Path) -> None:
    assert vague_names(path.read_text(encoding="utf-8")) <= VAGUE_NAMES


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE_DIR)))
def test_each_module_has_a_test_file_of_its_name(path: Path) -> None:
    module = path.relative_to(PACKAGE_DIR)
    if module.stem not in {"__init__", "__main__"}:
        assert (PROJECT_DIR / "tests" / module.parent / f"test_{module.name}").is_file()


@pytest.mark.parametrize(
    "path", sorted((PROJECT_DIR / "tests").rglob("*.py")), ids=lambda p: p.stem
)
def test_tests_use_what_is_public(path: Path) -> None:
    assert private_uses(path.read_text(encoding="utf-8")) == []


def test_lines_are_hardly_ever_squeezed() -> None:
    sources = [path.read_text(encoding="utf-8") for path in modules()]
    assert sum(source.count("fmt: skip") for source in sources) <= SQUEEZED


def test_planted_words_and_private_names_are_found() -> None:
    assert vague_names("found = 1\nfor one in found:\n    told, x = one, [own for own in one]") == 4
    assert vague_names("scores = 1\nfor patient in scores: pass") == 0
    source = "from gliomalib.scoring import metrics\nmetrics._whole(1)\nself._x\nmetrics.dice"
    assert private_uses(source) == ["metrics._whole"]


# --- notebooks


def cells_of(path: Path) -> list[Cell]:
    """Return the cells of a notebook."""
    cells: list[Cell] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return cells


def code_of(cell: Cell) -> str:
    """Return the source of a cell."""
    return "".join(cell["source"])


def faults_of_notebook(cells: list[Cell]) -> list[str]:
    """Return what a notebook has that it should not have."""
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    sizes = [len([line for line in code_of(cell).splitlines() if line.strip()]) for cell in code]
    faults = []
    if any(cell["outputs"] or cell["execution_count"] is not None for cell in code):
        faults.append("has outputs")
    if sum(sizes) > NOTEBOOK_LINES:
        faults.append(f"{sum(sizes)} lines of code")
    # the parameters cell is a table of one line a parameter, as long as the notebook has any
    for cell, size in zip(code, sizes, strict=True):
        if size > CELL_LINES and "parameters" not in cell["metadata"].get("tags", []):
            faults.append(f"a cell of {size} lines")
        faults += [f"has a {kind}" for kind in _statements(code_of(cell))]
    return faults


FORBIDDEN = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.For, ast.AsyncFor, ast.While),
)
"""Definitions and loops; a comprehension is an expression and may stand in a cell."""


def _statements(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, FORBIDDEN):
            yield type(node).__name__


LINE = re.compile(r"(?P<name>\w+): (?P<type>[^=#]+?) = (?P<value>[^#]+?)  # \S.*")


def faults_of_parameters(notebook: str, cells: list[Cell]) -> list[str]:
    """Return what is wrong with the parameters cell of a notebook."""
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    if len(tagged) != 1:
        return [f"{len(tagged)} cells tagged parameters"]
    faults, names = [], []
    for line in code_of(tagged[0]).splitlines():
        match = LINE.fullmatch(line)
        if match is None:
            faults.append(f"not `name: type = value  # help`: {line}")
            continue
        names.append(match["name"])
        try:
            ast.literal_eval(match["value"])
        except ValueError:
            faults.append(f"not a literal: {line}")
    if sorted(names) != sorted(parameters.parameters_of(notebook)):
        faults.append(f"parameters are {names}, not {list(parameters.parameters_of(notebook))}")
    return faults


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_short_and_clean(path: Path) -> None:
    assert faults_of_notebook(cells_of(path)) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_parameters_are_those_of_the_settings(path: Path) -> None:
    assert faults_of_parameters(path.stem, cells_of(path)) == []


def test_every_notebook_of_the_settings_is_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == list(parameters.NOTEBOOKS)


def test_stripping_outputs_would_change_nothing() -> None:
    paths = [str(path) for path in NOTEBOOKS]
    assert tool("nbstripout", "--keep-id", "--verify", *paths) == ""


def code_cell(source: str, **more: Any) -> Cell:
    """Return a clean code cell."""
    empty = {"cell_type": "code", "outputs": [], "execution_count": None, "metadata": {}}
    return {**empty, "source": source, **more}


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("def f(): ...", "has a FunctionDef"),
        ("class A: ...", "has a ClassDef"),
        ("f = lambda x: x", "has a Lambda"),
        ("for x in y: z(x)", "has a For"),
        ("while True: pass", "has a While"),
        ("x = 1\n" * 11, "a cell of 11 lines"),
    ],
)
def test_planted_faults_in_cells_are_found(source: str, fault: str) -> None:
    assert faults_of_notebook([code_cell(source)]) == [fault]


def test_planted_faults_in_notebooks_are_found() -> None:
    assert faults_of_notebook([code_cell("x = 1", outputs=[{}])]) == ["has outputs"]
    assert faults_of_notebook([code_cell("x = 1", execution_count=3)]) == ["has outputs"]
    assert faults_of_notebook([code_cell("x = 1\n" * 9)] * 9) == ["81 lines of code"]
    assert faults_of_notebook([code_cell("x = [y for y in z]\n\n" * 10)]) == []


def test_planted_faults_in_parameters_are_found() -> None:
    notebook = "16_reproducibility_report"
    good = "\n".join(f"{name}: str = None  # help" for name in parameters.parameters_of(notebook))

    def faults(text: str) -> list[str]:
        return faults_of_parameters(notebook, [code_cell(text, metadata={"tags": ["parameters"]})])

    assert faults(good) == []
    assert "not `name: type = value  # help`" in faults(f"{good}\nimport os")[0]
    assert "not `name: type = value  # help`" in faults(good.replace("  # help", "", 1))[0]
    assert "not a literal" in faults(good.replace("None", "f()", 1))[0]
    assert "parameters are ['sed'" in faults(good.replace("seed", "sed").split("\n")[1])[0]
    assert faults_of_parameters(notebook, []) == ["0 cells tagged parameters"]


def transferred(folder: Path, part: str) -> int:
    """Return the bytes that a clone transfers for git's files under ``part``, packed."""
    listed = subprocess.run(
        ["git", "ls-files", "-s", "--", part], cwd=folder, capture_output=True, check=True
    )
    # mode, digest, stage and path of each file
    digests = b"".join(line.split()[1] + b"\n" for line in listed.stdout.splitlines())
    pack = ["git", "pack-objects", "--stdout", "-q"]
    done = subprocess.run(pack, cwd=folder, input=digests, capture_output=True, check=True)
    return len(done.stdout)


def test_reports_are_light_to_clone() -> None:
    # nothing packs to 32 bytes, head and check sum
    assert 32 < transferred(PROJECT_DIR, "reports") <= CLONED_MB * 1e6


def test_a_heavy_file_is_weighed_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    # random bytes cannot be packed; equal ones nearly vanish
    (tmp_path / "reports" / "heavy.png").write_bytes(np.random.default_rng(0).bytes(100_000))
    (tmp_path / "light.csv").write_bytes(bytes(100_000))
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    assert 100_000 < transferred(tmp_path, "reports") < 101_000
    assert 32 < transferred(tmp_path, "light.csv") < 1_000
