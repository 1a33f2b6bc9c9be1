"""Folders of cases and of whatever lies among them: every file is used, noise, or listed.

Cases of all releases lie as they are distributed, or with names that are nearly right, twice,
nested, cut, linked, without a part. What is read of a case is what was written under its name.
"""

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from gliomalib.data import nifti
from gliomalib.data.readers import names, survey
from gliomalib.data.readers.survey import Survey
from gliomalib.runner.listing import listing
from gliomalib.schema import SEQUENCES, Case, DataError, Fault
from tests import layouts
from tests.fuzz import shell
from tests.fuzz.doors import Door, Known, Outcome, sentence
from tests.fuzz.tree_files import ENDINGS, PARTS, RENAMED, STATES, Loose, Placed, Tree, image, write


@dataclass(frozen=True)
class Seen:
    """All files of a folder, and what has a hidden name."""

    files: frozenset[Path]
    hidden: frozenset[Path]


def seen(root: Path) -> Seen:
    """Walk through a folder, links included, each real folder once, in order of names."""
    files: set[Path] = set()
    hidden: set[Path] = set()
    been: set[Path] = set()

    def visit(folder: Path) -> None:
        if folder.resolve() in been:
            return
        been.add(folder.resolve())
        for path in sorted(folder.iterdir()):
            if names.pattern("noise").fullmatch(path.name):
                continue
            if path.name.startswith("."):
                hidden.add(path)
            elif path.is_dir():
                visit(path)
            else:
                files.add(path)

    visit(root)
    return Seen(frozenset(files), frozenset(hidden))


def check_nothing_is_left_out(root: Path, surveyed: Survey) -> None:
    """Raise where a file is neither used, nor named in a fault, a document, or listed."""
    disk = seen(root)
    used = {path for case in surveyed.cases for path in case.files.values()}
    assert used <= disk.files, f"not on disk: {used - disk.files}"
    faulty = {fault.path for fault in surveyed.faults}
    whose = tuple(fault.case_id for fault in surveyed.faults)
    twice = {fault.path: fault.case_id for fault in surveyed.faults if fault.kind == "duplicate ID"}
    document = names.pattern("documents").fullmatch
    rest = {path for path in disk.files - used - faulty if not document(path.name)}
    # a fault is all that is said of a case that is there twice, and of the mask of a faulty one
    in_fault = {
        path
        for path in rest
        if path.parent in twice
        or path.name.startswith(tuple(twice.values()))
        or ("seg" in path.name.lower() and (path.parent in faulty or path.name.startswith(whose)))
    }
    in_fault |= {path for path in rest if path.name in ("dataset.json", "phantom.json")}
    listed = [entry for entry in surveyed.unused if entry.kind not in ("no mask", "masks alone")]
    places = {place for entry in listed for place in (entry.names or (entry.path,))}
    for path in (*(rest - in_fault), *disk.hidden):
        assert places & {path, *path.parents}, f"not listed: {path.relative_to(root)}"
    count = sum(entry.files for entry in listed) - len(disk.hidden)
    low, high = len(rest - in_fault), len(rest)
    assert low <= count <= high, f"{count} files are listed, {low} to {high} are there"


def explained(path: Path) -> Fault:
    """Return a fault that stands for a file of which is known that it is used."""
    return Fault("–", "–", "–", path, "used", str(path))


def check_cases(tree: Tree, root: Path, surveyed: Survey) -> None:
    """Raise where a case lacks a file, shows what is not its own, or one as distributed is lost."""
    placed = {entry.case_id: entry for entry in tree if isinstance(entry, Placed)}
    for case in surveyed.cases:
        assert set(case.images) == set(SEQUENCES), f"{case.case_id} has {set(case.images)}"
        _check_voxels(placed[case.case_id], case)
    told = {entry.case_id for entry in (*surveyed.cases, *surveyed.faults)}
    # the disk may not have taken it, where a file has the name of a folder
    there = [path.relative_to(root) for path in seen(root).files]
    for case_id, entry in placed.items():
        lost = names.pattern("noise").fullmatch
        shown = not any(lost(name) or name.startswith(".") for name in entry.above)
        above = Path(*entry.above)
        written = any(p.name.startswith(case_id) and p.is_relative_to(above) for p in there)
        if shown and written and not entry.changes:
            assert case_id in told, f"{case_id} is lost"


def _check_voxels(placed: Placed, case: Case) -> None:
    try:
        scan = nifti.read_case(case)
    except DataError as error:
        sentence(error, *case.files.values())
        return
    which = placed.release, placed.number, placed.visit
    for k, part in enumerate(SEQUENCES):
        np.testing.assert_array_equal(scan.images[k], image(*which, part))
    if scan.labels is not None:
        np.testing.assert_array_equal(scan.labels, layouts.canonical_mask())


def check_a_change_is_seen(root: Path, case: Case, known: Mapping[str, str]) -> None:
    """Raise where a file that is corrected in place, of the same size and time, looks the same."""
    path = [path for path in case.files.values() if path.is_file()][-1]
    before = path.stat()
    made = path.read_bytes()
    if made:
        path.write_bytes(made[:-1] + bytes([made[-1] ^ 1]))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        now = listing(root, root.with_name("kept.json"))
        differs = {place for place in known if known[place] != now[place]}
        assert str(path.relative_to(root)) in differs, "a change in place is not seen"


def check_verify(root: Path) -> str:
    """Return what ``data verify`` says; raise where its text and its JSON differ."""
    code, text, err = shell.run("data", "verify", str(root), "--workers", "1")
    code_json, out, err_json = shell.run("data", "verify", str(root), "--workers", "1", "--json")
    assert (code, "") == (code_json, err_json.strip()) == (code, err.strip()), (err, err_json)
    facts: dict[str, Any] = json.loads(out, parse_constant=_no_number)
    assert facts["sound"] == (code == 0) == (not facts["faults"])
    for row in itertools.chain(facts["faults"], facts["notes"], facts["unused"]):
        assert _shown(f"{row['kind']}: {row['message']}") in text, row
    n = len(facts["faults"])
    assert text.rstrip().endswith(f"{n or 'no'} fault{'s' * (n != 1)}")
    assert f"\n{len(facts['cases'])} cases, " in f"\n{text}"
    assert all(row["case_id"] in text for row in facts["cases"] if row["case_id"].isprintable())
    return text


def _shown(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _no_number(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def attempt(tree: Tree, folder: Path) -> Outcome:
    """Write a tree, look at it in each way, and compare."""
    root, elsewhere = folder / "data", folder / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    write(tree, root, elsewhere)
    surveyed = survey.look(root)
    check_nothing_is_left_out(root, surveyed)
    check_cases(tree, root, surveyed)
    known = listing(root, folder / "kept.json")
    for case in surveyed.cases:
        assert {str(path.relative_to(root)) for path in case.files.values()} <= known.keys()
    said = check_verify(root)
    if surveyed.cases:
        check_a_change_is_seen(root, surveyed.cases[0], known)
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o600)
    return Outcome(bool(surveyed.faults), said)


# --- what comes in

ABOVE = st.lists(
    st.sampled_from(
        ["data", "Training", "valid", "a b", "HGG", "old (1)", "x\ny", "ü", "_", "2023"]
    ),
    max_size=2,
).map(tuple)
CHANGES = st.dictionaries(
    st.sampled_from(["folder", *PARTS]),
    st.sampled_from([*RENAMED, "nested", *STATES, *ENDINGS]),
    max_size=2,
).map(
    lambda made: tuple(
        (part, how)
        for part, how in sorted(made.items())
        if (how in RENAMED or how == "nested" if part == "folder" else how != "nested")
    )
)
PLACED = st.builds(
    Placed,
    release=st.sampled_from(sorted(layouts.LAYOUTS)),
    number=st.integers(1, 3),
    above=ABOVE,
    suffix=st.sampled_from([".nii.gz", ".nii.gz", ".nii.gz", ".nii"]),
    mask=st.sampled_from([True, True, False]),
    changes=st.one_of(st.just(()), CHANGES),
)
NAMES = st.one_of(
    st.sampled_from(
        [
            *(example for family in survey.FAMILIES for example in family.EXAMPLES),
            *(
                "BraTS-PED-00001-000",
                "BraTS-MEN-00001-000",
                "BraTS-MET-00001-000",
                "FeTS2022_00001",
            ),
            *("Task02_Heart", "imagesTr", "labelsTr", "nnUNet_raw", "brats_tcia_pat101_1"),
            *("README.md", "LICENSE", "Thumbs.db", ".DS_Store", "__MACOSX", ".git", "@eaDir"),
            *(
                "name_mapping.csv",
                "x.csv~",
                "part.zip",
                "a.part",
                "t1.nii.gz",
                "dataset.json",
                ".x",
            ),
            *("seg.nii.gz", "BRATS_001.nii.gz", "BRATS_001_0000.nii.gz", "phantom.json", "x.mha"),
        ]
    ),
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
    ),
    st.binary(min_size=1, max_size=6).map(
        lambda name: os.fsdecode(name.replace(b"/", b"_").replace(b"\0", b"_"))
    ),
)
LOOSE = st.builds(
    Loose,
    parts=st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=3).map(
        tuple
    ),
    kind=st.sampled_from(["file", "file", "image", "folder", "root", "itself", "nowhere"]),
)
TREES = st.lists(st.one_of(PLACED, PLACED, LOOSE), min_size=1, max_size=5).map(tuple)


GLI = Placed("brats2023")
B20 = Placed("brats2020", 5)


def _with(placed: Placed, *changes: tuple[str, str]) -> Placed:
    return Placed(**{**vars(placed), "changes": changes})


def _corpus() -> Iterator[Known]:
    copied = (B20, _with(Placed("brats2020", 6), ("folder", "copy")))
    yield Known("a copy among good ones", copied, ("its name is that of a copy",))
    both = (B20, _with(B20, ("folder", "copy")))
    yield Known("a copy beside its case", both, ("is here too, so delete the copy",))
    sister = (GLI, Loose(("BraTS-PED-00004-000", "BraTS-PED-00004-000-t1n.nii.gz"), "image"))
    yield Known("a sister challenge beside GLI", sister, ("tumours of children",))
    yield Known("a sister challenge alone", sister[1:], ("tumours of children", "no case"))
    yield Known("a mask in capitals", (_with(GLI, ("seg", "title")),))
    predicted = _with(B20, ("seg", "prediction"))
    yield Known("a prediction as mask", (predicted,))
    downloaded = Loose(("name_mapping (1).csv",))
    yield Known(
        "a second download of the table", (B20, downloaded), ("give the organisers' table",)
    )
    yield Known("a case in itself", (_with(B20, ("folder", "nested")),))
    yield Known("nnU-Net", (Loose(("imagesTr", "BRATS_001_0000.nii.gz"), "image"),), ("nnU-Net",))
    yield Known("a mask that is corrected in place", (B20,))
    yield Known("a dangling link", (B20, _with(GLI, ("t1", "nowhere"))), ("no such file",))
    nowhere = (_with(GLI, ("seg", "nowhere")), Placed("brats2023", mask=False))
    yield Known("a mask that is a dangling link", nowhere, ("no such file",))
    in_the_way = (
        Loose(("_",)),
        Loose(("x", B20.case_id), "image"),
        Placed("brats2020", 5, above=("_",)),
    )
    yield Known("a file where a folder should be", in_the_way)
    for state in STATES:
        yield Known(f"a file that is {state}", (_with(B20, ("t2", state)),))
    for ending in ENDINGS:
        yield Known(f"a file with {ending}", (_with(GLI, ("flair", ending)),))
    for how in RENAMED:
        yield Known(f"a folder renamed: {how}", (GLI, _with(B20, ("folder", how))))
        yield Known(f"a file renamed: {how}", (_with(Placed("ucsf_pdgm"), ("t1ce", how)),))
    yield Known("the same case twice", (B20, Placed("brats2020", 5, above=("x",))), ("duplicated",))
    yield Known("a circle", (B20, Loose(("x", "up"), "root"), Loose(("y",), "itself")))
    yield Known("nothing", (), ("no case recognised",))


DOOR = Door("trees", 20, TREES, attempt, tuple(_corpus()))
