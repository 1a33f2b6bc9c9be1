"""What readers share: one walk, which folder is a case's, and a case put together."""

import re
from pathlib import Path

import pytest

from gliomalib.data.readers import layout
from gliomalib.data.readers.layout import Naming
from gliomalib.schema import SEQUENCES, Case, Fault

NAMING = Naming(re.compile(r"X\d"), {name: f"-{name}" for name in SEQUENCES}, "-seg", "_mri")


def touch(root: Path, *names: str) -> list[Path]:
    """Make empty files; these functions look at names only."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return [root / name for name in names]


def test_of_folders_of_one_name_those_with_a_sequence_count(tmp_path: Path) -> None:
    touch(tmp_path, "images/X1_mri/X1-t2.nii", "diffusion/X1_mri/X1-FA.nii", "empty/X2_mri/notes")
    touch(tmp_path, "copy/X1_mri/X1-t1.nii.gz", "other/X1/X1-t1.nii")
    tree = layout.scan(tmp_path)
    assert sorted(layout.case_folders(tree, NAMING)) == [
        (tmp_path / "copy/X1_mri", "X1"),
        (tmp_path / "empty/X2_mri", "X2"),
        (tmp_path / "images/X1_mri", "X1"),
    ]


def test_a_fault_in_place_of_the_mask_is_one_more_fault(tmp_path: Path) -> None:
    case = Case("X1", "X", "some", {}, None)
    files = touch(tmp_path, *(f"X1-{name}.nii" for name in SEQUENCES), "X1-seg.nii")
    found = layout.assemble(case, tmp_path, files, NAMING.stems("X1"), files[-1])
    assert [type(entry) for entry in found] == [Case]
    wrong = case.fault(tmp_path, "duplicate mask", "x")
    assert layout.assemble(case, tmp_path, files, NAMING.stems("X1"), wrong) == [wrong]
    both = layout.assemble(case, tmp_path, files[1:], NAMING.stems("X1"), wrong)
    assert [fault.kind for fault in both if isinstance(fault, Fault)] == [
        "duplicate mask",
        "missing sequence",
    ]


def test_one_mask_none_or_two(tmp_path: Path) -> None:
    case = Case("X1", "X", "some", {}, None)
    files = touch(tmp_path, "a/X1.nii", "b/X1.nii.gz", "b/X12.nii")
    assert layout.one_mask(case, tmp_path, files[1:], "X1") == files[1]
    assert layout.one_mask(case, tmp_path, files, "X3") is None
    fault = layout.one_mask(case, tmp_path, files, "X1")
    assert isinstance(fault, Fault)
    assert str(files[0]) in fault.message
    assert str(files[1]) in fault.message


# --- one walk through a folder


def seen(root: Path) -> dict[str, list[str]]:
    """Return what a walk finds: folder → names of its files."""
    tree = layout.scan(root)
    assert tree.root == root
    return {
        str(folder.relative_to(root)): [path.name for path in files]
        for folder, files in tree.files.items()
    }


def test_a_walk_is_sorted_and_passes_over_litter(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.nii", "b/1.nii", "a/x.csv", ".git/y", "__MACOSX/z", "b/._1.nii")
    touch(tmp_path, "lost+found/w", "a/__MACOSX_b")
    assert seen(tmp_path) == {".": [], "a": ["x.csv"], "b": ["1.nii", "2.nii"]}
    assert list(seen(tmp_path)) == [".", "a", "b"]


def test_links_are_followed_once_and_cycles_end(tmp_path: Path) -> None:
    touch(tmp_path / "disk", "case/1.nii")
    root = tmp_path / "root"
    root.mkdir()
    for name in ("x", "y"):
        (root / name).symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "case" / "up").symlink_to(root)
    assert seen(root) == {".": [], "x": [], "x/case": ["1.nii"]}


def test_a_link_that_leads_nowhere_is_a_fault_where_it_may_be_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "case/1.nii")
    for name in ("release", "case/T1.nii.gz", "readme.txt"):
        (tmp_path / name).symlink_to("gone")
    (tmp_path / "there").symlink_to("case")
    (fault,) = layout.closed_faults(layout.scan(tmp_path))
    assert (fault.kind, fault.path) == ("dangling link", tmp_path / "release")
    assert str(tmp_path / "release") in fault.message
    assert "mount the disk" in fault.message


def test_a_folder_that_may_not_be_read_is_a_fault(tmp_path: Path) -> None:
    tree = layout.Tree(tmp_path, {}, (tmp_path / "closed",))
    (fault,) = layout.closed_faults(tree)
    assert (fault.kind, fault.path) == ("no permission", tmp_path / "closed")
    assert "chmod u+rx" in fault.message


# --- names


def test_names_of_files(tmp_path: Path) -> None:
    files = touch(tmp_path, "a.nii", "a.nii.gz", "a.nii.bz2", "b.NII", "ab.nii", "a.gz")
    assert layout.images_in(files) == [files[0], files[1], files[3], files[4]]
    assert layout.named(files, "a") == files[:2]
    assert [layout.stem(path) for path in files[:2]] == ["a", "a"]
    assert layout.stem(Path("W39_1998.09.19_Segm.nii")) == "W39_1998.09.19_Segm"
    assert layout.listed(files[:2]) == "a.nii, a.nii.gz"


def test_a_name_that_differs_in_case_only_will_do_where_there_is_no_other(tmp_path: Path) -> None:
    files = touch(tmp_path, "X1-seg.nii", "X1-Seg.nii.gz", "x2-SEG.NII.GZ", "X3-segm.nii")
    assert layout.named(files, "X1-seg") == files[:1]
    assert layout.named(files, "X2-seg") == files[2:3]
    assert layout.named(files, "X3-seg") == []


@pytest.mark.parametrize(
    "name", ["._X", ".DS_Store", "$RECYCLE.BIN", "System Volume Information", "@eaDir", "#recycle"]
)
def test_a_case_that_lies_in_litter_is_not_seen(name: str, tmp_path: Path) -> None:
    touch(tmp_path, f"{name}/X1_mri/X1-t1.nii")
    tree = layout.scan(tmp_path)
    assert (list(tree.files), tree.hidden) == ([tmp_path], ())


def test_what_is_hidden_and_no_litter_is_told(tmp_path: Path) -> None:
    hidden = touch(tmp_path, ".X1_mri/X1-t1.nii", ".X1-seg.nii.gz.Ab12")
    tree = layout.scan(tmp_path)
    assert sorted(tree.hidden) == sorted([hidden[0].parent, hidden[1]])


def test_of_nested_folders_of_one_case_the_inner_one_counts(tmp_path: Path) -> None:
    touch(tmp_path, "X1_mri/X1_mri/X1-T1.nii", "X2_mri/x", "X3_mri/X3-seg.nii", "X1_mri/X1-seg.nii")
    touch(tmp_path, "masks/X3_mri/X3-seg.nii.gz", "more/X3_mri/X3-FA.nii")
    assert sorted(layout.case_folders(layout.scan(tmp_path), NAMING)) == [
        (tmp_path / "X1_mri/X1_mri", "X1"),
        (tmp_path / "X2_mri", "X2"),
        (tmp_path / "X3_mri", "X3"),
        (tmp_path / "masks/X3_mri", "X3"),
    ]
