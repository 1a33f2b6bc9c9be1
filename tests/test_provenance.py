"""Digests change with what makes a number, and with nothing else."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib import provenance, records
from gliomalib.data import orientation
from gliomalib.networks import predict, training
from gliomalib.phantoms import write
from gliomalib.pipeline import preprocess
from gliomalib.schema import SettingsError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a small package that this process takes for the library."""
    folder = tmp_path / "toylib"
    (folder / "parts").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "low.py").write_text('"""Low."""\nX = 1\n')
    (folder / "high.py").write_text("from toylib import low\n\n\ndef f():\n    return low.X\n")
    (folder / "parts" / "__init__.py").write_text("from toylib.parts import one\n")
    (folder / "parts" / "one.py").write_text("import toylib.low\nimport numpy\n")
    (folder / "ring_a.py").write_text("import toylib.ring_b\n")
    (folder / "ring_b.py").write_text("import toylib.ring_a\n")
    monkeypatch.setattr(provenance, "PACKAGE_DIR", folder)
    return folder


@given(JSON)
def test_digest_is_of_the_content(value: object) -> None:
    digest = provenance.digest_of(value)
    assert len(digest) == 16
    assert digest == provenance.digest_of(value)
    assert digest != provenance.digest_of([value])


def test_digest_knows_no_order_of_keys() -> None:
    assert provenance.digest_of({"a": 1, "b": 2}) == provenance.digest_of({"b": 2, "a": 1})
    assert provenance.digest_of({"a": 1}) != provenance.digest_of({"a": 2})


def test_file_digest_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert provenance.file_digest(path) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from toylib import low, high", {"low", "high"}),
        ("import toylib.low as l", {"low"}),
        ("from toylib.low import X", {"low"}),
        ("from toylib.parts import one", {"parts", "parts.one", "low"}),
        ("import toylib.parts.one", {"parts", "parts.one", "low"}),
        ("def f():\n    import toylib.high", {"high", "low"}),
        ("import numpy, os\nfrom toylibrary import low", set()),
        ("from toylib import nothing", set()),
    ],
)
def test_imports_are_found(package: Path, source: str, expected: set[str]) -> None:
    (package / "probe.py").write_text(source)
    assert provenance.reached(["probe"]).keys() == {"probe", *expected}


def test_dependencies_are_followed_to_the_end_and_round_rings(package: Path) -> None:
    assert sorted(provenance.reached(["high"])) == ["high", "low"]
    assert sorted(provenance.reached(["parts"])) == ["low", "parts", "parts.one"]
    assert sorted(provenance.reached(["ring_a"])) == ["ring_a", "ring_b"]


@pytest.mark.parametrize("name", ["absent", "parts.two", "numpy"])
def test_a_module_that_is_not_there_is_refused(package: Path, name: str) -> None:
    with pytest.raises(ValueError, match="has no module"):
        provenance.reached(["high", name])


@pytest.mark.parametrize("module", [pytest, ModuleType("toylib"), ModuleType("toylib.absent")])
def test_a_module_of_another_package_has_no_code_digest(package: Path, module: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"no module"):
        provenance.code_digest(module)


def test_cells_have_the_digest_of_what_they_import(package: Path) -> None:
    low, parts = ModuleType("toylib.low"), ModuleType("toylib.parts")
    cells = ["import numpy", "from toylib import low", "from toylib.parts import one"]
    assert provenance.imports_digest(cells[:2]) == provenance.code_digest(low)
    assert provenance.imports_digest(cells) == provenance.code_digest(low, parts)


def test_the_digest_of_the_package_holds_every_room_but_those_named(package: Path) -> None:
    before = provenance.package_digest(without=["parts"])
    (package / "parts" / "one.py").write_text("y = 4\n")
    assert provenance.package_digest(without=["parts"]) == before
    (package / "new.py").write_text("y = 4\n")
    assert provenance.package_digest(without=["parts"]) != before
    with pytest.raises(ValueError, match="has no 'rooms'"):
        provenance.package_digest(without=["rooms"])


def test_what_makes_no_number_is_a_room_of_the_library() -> None:
    assert provenance.package_digest(without=records.MAKE_NO_NUMBERS)
    assert provenance.modules().keys() >= set(provenance.FRAMES)


def test_code_digest_sees_statements_far_below_and_no_text(package: Path) -> None:
    high = ModuleType("toylib.high")
    before = provenance.code_digest(high)
    low = package / "low.py"
    low.write_text('"""Another sentence."""\n\n\n# a remark\nX   =   1\n"""Of X."""\n')
    assert provenance.code_digest(high) == before
    low.write_text("X = 2\n")
    assert provenance.code_digest(high) != before


def test_code_digest_leaves_out_what_is_not_imported(package: Path) -> None:
    module = ModuleType("toylib.low")
    before = provenance.code_digest(module)
    (package / "high.py").write_text("y = 3\n")
    assert provenance.code_digest(module) == before


def test_a_string_that_is_used_counts(package: Path) -> None:
    (package / "low.py").write_text('RULE = "mean"\n')
    module = ModuleType("toylib.low")
    before = provenance.code_digest(module)
    (package / "low.py").write_text('RULE = "median"\n')
    assert provenance.code_digest(module) != before


EXPENSIVE = (preprocess, write, training, predict)
"""What stored arrays, synthetic patients, networks and predictions are kept by."""


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the library's sources and let this process take the copy for them."""
    folder = tmp_path / "gliomalib"
    shutil.copytree(provenance.PACKAGE_DIR, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE_DIR", folder)
    return folder


def test_a_new_reader_label_rule_or_parameter_leaves_what_was_expensive(copy: Path) -> None:
    cells = ["from gliomalib import parameters"]
    before = [provenance.code_digest(module) for module in EXPENSIVE]
    runs = provenance.imports_digest(cells)
    readers = copy / "data" / "readers"
    (readers / "site.py").write_text((readers / "upenn.py").read_text())
    survey = (readers / "survey.py").read_text()
    assert "FAMILIES = (" in survey
    survey = survey.replace("FAMILIES = (", "FAMILIES = (site, ")
    (readers / "survey.py").write_text(f"{survey}\nfrom gliomalib.data.readers import site\n")
    for path, line in (("fusion/slices", "LABEL_RULES['any'] = 1"), ("parameters", "UNET = ()")):
        with (copy / f"{path}.py").open("a") as stream:
            stream.write(f"{line}\n")
    assert [provenance.code_digest(module) for module in EXPENSIVE] == before
    assert provenance.imports_digest(cells) == runs


def test_what_an_array_is_read_with_makes_it_stale(copy: Path) -> None:
    before = provenance.code_digest(preprocess)
    path = copy / "data" / "orientation.py"
    path.write_text(path.read_text().replace(f'"{orientation.AXES}"', '"RAS"'))
    assert provenance.code_digest(preprocess) != before


def test_write_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "x.json"
    assert provenance.write_atomic(path, "first é") == path
    assert path.read_text(encoding="utf-8") == "first é"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        provenance.write_atomic(path, "second")
    assert path.read_text(encoding="utf-8") == "first é"
    assert list(path.parent.iterdir()) == [path], "nothing is left behind"


def test_a_written_file_is_as_private_as_its_writer_wants_it(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        path = provenance.write_atomic(tmp_path / "x", "who is who")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    with provenance.open_atomic(path) as first, provenance.open_atomic(path) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = provenance.write_atomic(tmp_path / "x.bin", b"whole")
    with pytest.raises(OSError, match="disk"), provenance.open_atomic(path) as stream:
        stream.write(b"ha")
        raise OSError("disk is full")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_an_array_that_did_not_fit_says_where_and_why(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    said = "x.npy: not written whole (8 requested and 3 written); is the disk full?"
    with pytest.raises(OSError, match=re.escape(said)), provenance.open_atomic(path):
        raise OSError("8 requested and 3 written")  # as numpy does
    full = f"No space left on device: '{path}'"
    with pytest.raises(OSError, match=re.escape(full)), provenance.open_atomic(path):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_versions_name_what_makes_numbers() -> None:
    found = provenance.versions()
    assert set(found) == {"python", *provenance.PACKAGES}
    assert all(text[0].isdigit() for text in found.values())


def git(folder: Path, *words: str) -> None:
    """Run git in a folder as a person without settings."""
    identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": os.devnull}
    identity |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    subprocess.run(
        ["git", *words], cwd=folder, env={**os.environ, **identity}, check=True, capture_output=True
    )


@pytest.mark.parametrize("name", ["gliomalib/x.py", "data/published.yml", "requirements.lock"])
def test_commit_says_when_files_differ(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "PROJECT_DIR", tmp_path)
    assert provenance.commit() == "unknown"
    (tmp_path / "data").mkdir()
    (tmp_path / "gliomalib").mkdir()
    (tmp_path / "gliomalib" / "y.py").write_text("")
    module = tmp_path / name
    module.write_text("x = 1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "x")
    head = provenance.commit()
    assert len(head) == 12
    module.write_text("x = 2\n")
    assert provenance.commit() == f"{head}+changes"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Make a repository of the project with one commit."""
    root = tmp_path / "own"
    for name in ("gliomalib", "notebooks"):
        (root / name).mkdir(parents=True)
        (root / name / "x.py").write_text("x = 1")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "x")
    return root


def commit_of(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(provenance, "PROJECT_DIR", root)
    return provenance.commit()


def test_asking_for_the_commit_writes_nothing_into_the_repository(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the same file at another time: git would note it in its index
    os.utime(own / "gliomalib" / "x.py", (1, 1))
    before = (own / ".git" / "index").read_bytes()
    assert len(commit_of(own, monkeypatch)) == 12
    assert (own / ".git" / "index").read_bytes() == before


def test_the_commit_is_never_that_of_a_repository_around(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = tmp_path / "around"
    shutil.copytree(own, around / "copy", ignore=shutil.ignore_patterns(".git"))
    git(around, "init", "--quiet")
    git(around, "add", ".")
    git(around, "commit", "--quiet", "-m", "theirs")
    assert commit_of(around / "copy", monkeypatch) == "unknown"
    # a copy of the project in a clone of it: what it keeps has the same names
    shutil.copytree(around / "copy", own / "copy")
    assert commit_of(own / "copy", monkeypatch) == "unknown"
    # the same, where the project lies in the very folder of a repository that does not keep it
    shutil.copytree(own / "gliomalib", tmp_path / "bare" / "gliomalib")
    (tmp_path / "bare" / "letter").write_text("")
    git(tmp_path / "bare", "init", "--quiet")
    git(tmp_path / "bare", "add", "letter")
    git(tmp_path / "bare", "commit", "--quiet", "-m", "theirs")
    assert commit_of(tmp_path / "bare", monkeypatch) == "unknown"
    # a hook of the other repository names it to all that it starts
    monkeypatch.setenv("GIT_DIR", str(around / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(around))
    assert commit_of(tmp_path, monkeypatch) == "unknown"


def test_worktrees_submodules_and_hooks_have_the_commit_of_the_project(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = commit_of(own, monkeypatch)
    assert len(head) == 12
    git(own, "worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"))
    around = tmp_path / "around"
    around.mkdir()
    git(around, "init", "--quiet")
    allow = ("-c", "protocol.file.allow=always")
    git(around, *allow, "submodule", "--quiet", "add", str(own), "part")
    (tmp_path / "link").symlink_to(own)
    for root in (tmp_path / "tree", around / "part", tmp_path / "link"):
        assert commit_of(root, monkeypatch) == head
    monkeypatch.setenv("GIT_DIR", str(around / ".git"))
    assert commit_of(own, monkeypatch) == head


def test_the_source_of_a_commit_is_written_without_reports(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own / "reports").mkdir()
    (own / "reports" / "large.html").write_text("x")
    git(own, "add", ".")
    git(own, "commit", "--quiet", "-m", "y")
    head = commit_of(own, monkeypatch)
    (own / "gliomalib" / "later.py").write_text("x = 2\n")
    out = tmp_path / "out"
    out.mkdir()
    path = provenance.write_source(head, out)
    assert path == out / f"source-{head}.tar"
    with tarfile.open(path) as tar:
        files = {member.name for member in tar if member.isfile()}
    kept = subprocess.run(["git", "ls-files"], cwd=own, capture_output=True, text=True, check=True)
    names = set(kept.stdout.split()) - {"reports/large.html"}
    assert names and files == {f"source-{head}/{name}" for name in names}
    before = path.read_bytes()
    assert provenance.write_source(head, out) == path and path.read_bytes() == before
    for other in ("0123456789ab", f"{head}+changes", "unknown", "HEAD", "--list", ""):
        assert provenance.write_source(other, out) is None
    assert list(out.iterdir()) == [path]


def test_cores_are_what_the_run_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(provenance.CORES, "3")
    assert provenance.cores() == 3
    monkeypatch.setenv(provenance.CORES, "0")
    with pytest.raises(SettingsError, match="GLIOMA_CORES is '0': give a whole number above 0"):
        provenance.cores()
    monkeypatch.delenv(provenance.CORES)
    assert provenance.cores() >= 1


@pytest.mark.parametrize(
    ("platform", "expected"), [("freebsd14", 2_048_000_000), ("darwin", 2_000_000)]
)
def test_peak_memory_is_in_bytes(
    monkeypatch: pytest.MonkeyPatch, platform: str, expected: int
) -> None:
    used = SimpleNamespace(ru_maxrss=2_000_000)
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    monkeypatch.setattr(provenance.resource, "getrusage", lambda who: used)
    monkeypatch.setattr(provenance.sys, "platform", platform)
    assert provenance.peak_memory() == expected


def test_peak_memory_is_of_this_process_and_not_of_its_parent() -> None:
    asked = [sys.executable, "-c", "from gliomalib import provenance as p; print(p.peak_memory())"]
    held = b"x" * 500_000_000
    small = int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    assert 5_000_000 < small < len(held) < provenance.peak_memory()
