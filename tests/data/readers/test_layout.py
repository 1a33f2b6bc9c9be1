"""What readers share: which folder is a case's, tables, and a case put together."""

import re
from pathlib import Path

import pytest

from gliomalib.data.readers import layout
from gliomalib.data.readers.layout import CaseInfo, Naming
from gliomalib.schema import SEQUENCES, Case, DataError, Fault

NAMING = Naming(re.compile(r"(?P<case>X\d)_mri"), {name: f"-{name}" for name in SEQUENCES})


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
    info = CaseInfo("X1", "X", "some", tmp_path)
    files = touch(tmp_path, *(f"X1-{name}.nii" for name in SEQUENCES), "X1-seg.nii")
    found = layout.assemble(info, files, NAMING.stems("X1"), files[-1])
    assert [type(entry) for entry in found] == [Case]
    wrong = info.fault("duplicate mask", "x")
    assert layout.assemble(info, files, NAMING.stems("X1"), wrong) == [wrong]
    both = layout.assemble(info, files[1:], NAMING.stems("X1"), wrong)
    assert [fault.kind for fault in both if isinstance(fault, Fault)] == [
        "duplicate mask",
        "missing sequence",
    ]


def test_one_mask_none_or_two(tmp_path: Path) -> None:
    info = CaseInfo("X1", "X", "some", tmp_path)
    files = touch(tmp_path, "a/X1.nii", "b/X1.nii.gz", "b/X12.nii")
    assert layout.one_mask(info, files[1:], "X1") == files[1]
    assert layout.one_mask(info, files, "X3") is None
    fault = layout.one_mask(info, files, "X1")
    assert isinstance(fault, Fault)
    assert str(files[0]) in fault.message
    assert str(files[1]) in fault.message


def test_rows_of_a_table_and_a_table_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_bytes(b'\xef\xbb\xbfID,Other\nX1,"a, b"\n')
    assert layout.rows_of(path) == [{"ID": "X1", "Other": "a, b"}]
    path.write_bytes(b"ID\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"names.csv: cannot be read.*fetch the table again"):
        layout.rows_of(path)


def test_tables_are_joined_unless_they_contradict_one_another(tmp_path: Path) -> None:
    first, second, damaged = touch(tmp_path, "a/t1.csv", "b/t2.csv", "b/t3.csv")
    first.write_text("ID\nX1\n")
    second.write_text("ID\nX2\n")
    damaged.write_text("ID\nX3,X4\n")

    def join(rows: list[dict[str, str | None]]) -> set[str | None]:
        names = {row["ID"] for row in rows}
        if len(names) < len(rows):
            raise DataError("X1 is duplicated; correct the table")
        return names

    def joined() -> tuple[set[str | None], list[Fault]]:
        pattern = re.compile(r"t\d\.csv")
        return layout.read_tables(layout.scan(tmp_path), pattern, layout.rows_of, join, "some")

    names, (fault,) = joined()
    assert names == {"X1", "X2"}
    assert (fault.kind, fault.path, fault.release) == (layout.TABLE, damaged, "some")
    second.write_text("ID\nX1\n")
    names, faults = joined()
    assert names == set()
    assert [fault.path for fault in faults] == [damaged, tmp_path]
    assert faults[1].message == f"{tmp_path}: X1 is duplicated; correct the table"


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


def test_tables_are_found_by_their_whole_name(tmp_path: Path) -> None:
    wanted = touch(tmp_path, "a/names_1.csv", "b/names_2.csv")
    touch(tmp_path, "a/names_1.csv.bak", "my_names_1.csv")
    assert layout.scan(tmp_path).named(re.compile(r"names_\d\.csv")) == wanted


# --- names


def test_names_of_files(tmp_path: Path) -> None:
    files = touch(tmp_path, "a.nii", "a.nii.gz", "a.nii.bz2", "b.NII", "ab.nii", "a.gz")
    assert layout.images_in(files) == [files[0], files[1], files[4]]
    assert layout.named(files, "a") == files[:2]
    assert [layout.stem(path) for path in files[:2]] == ["a", "a"]
    assert layout.stem(Path("W39_1998.09.19_Segm.nii")) == "W39_1998.09.19_Segm"
    assert layout.listed(files[:2]) == "a.nii, a.nii.gz"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A,B\n1,2,3\n", "line 2 has more cells than the first line"),
        ('A,B\n1,"2\n', "unexpected end of data"),
        ("A,B\n" + "x" * 200_000 + ",1\n", "field larger than field limit"),
    ],
    ids=["too many cells", "open quotation", "endless cell"],
)
def test_a_table_that_is_damaged_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"names.csv: cannot be read.*{message}"):
        layout.rows_of(path)


def test_a_row_may_be_short_or_end_with_commas(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text("A,B\n1\n2,3,,\n")
    assert layout.rows_of(path) == [{"A": "1", "B": None}, {"A": "2", "B": "3"}]
