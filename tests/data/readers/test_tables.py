"""Tables that come with a release: found by columns, with any delimiter, in any encoding."""

import zipfile
from pathlib import Path

import openpyxl
import pytest

from gliomalib.data.readers import layout, tables
from gliomalib.schema import DataError, Fault
from tests.data.readers.test_layout import touch


def test_rows_of_a_table_and_a_table_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_bytes(b'\xef\xbb\xbfID,Other\nX1,"a, b"\n')
    assert tables.rows_of(path) == {2: {"ID": "X1", "Other": "a, b"}}
    path.write_bytes(b"ID\n\x00\xfe\n")
    with pytest.raises(DataError, match=r"names.csv: cannot be read.*fetch the table again"):
        tables.rows_of(path)


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
        tree = layout.scan(tmp_path)
        return tables.read_all(tree, lambda path: [*tables.rows_of(path).values()], join, "some")

    names, (fault,) = joined()
    assert names == {"X1", "X2"}
    assert (fault.kind, fault.path, fault.release) == (tables.KIND, damaged, "some")
    second.write_text("ID\nX1\n")
    names, faults = joined()
    assert names == set()
    assert [fault.path for fault in faults] == [damaged, tmp_path]
    assert faults[1].message == "X1 is duplicated; correct the table"


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
        tables.rows_of(path)


def test_a_row_may_be_short_or_end_with_commas(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text("A,B\n1\n2,3,,\n")
    assert tables.rows_of(path) == {2: {"A": "1", "B": None}, 3: {"A": "2", "B": "3"}}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("ending", ["csv", "CSV", "tsv"])
def test_any_delimiter_and_encoding(
    delimiter: str, encoding: str, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"names (1).{ending}"
    rows = [["ID ", "Où, or; where"], ["X1", "Zürich"], ["", ""], ["X2", "a b"]]
    text = "\r\n".join(delimiter.join(f'"{c}"' if "," in c else c for c in row) for row in rows)
    path.write_bytes(text.encode(encoding))
    assert tables.below(layout.scan(tmp_path)) == [path]
    assert tables.columns_of(path, ours=True) == ["ID", "Où, or; where"]
    assert {n: row["ID"] for n, row in tables.rows_of(path).items()} == {2: "X1", 4: "X2"}


def test_a_sheet_is_a_table_too(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["ID", "n"], ["X1", 3.0], [None, None], ["X2", 2.5]):
        book.active.append(row)
    book.save(tmp_path / "any.XLSX")
    rows = tables.rows_of(tmp_path / "any.XLSX")
    assert rows == {2: {"ID": "X1", "n": "3"}, 4: {"ID": "X2", "n": "2.5"}}


def sheet(folder: Path, part: str, written: bytes, instead: bytes) -> Path:
    """Write a sheet of two columns, in one part of which some bytes are others."""
    book = openpyxl.Workbook()
    for row in (["ID", "n"], ["X1", "a"]):
        book.active.append(row)
    book.save(folder / "whole.xlsx")
    path = folder / "x.xlsx"
    with zipfile.ZipFile(folder / "whole.xlsx") as whole, zipfile.ZipFile(path, "w") as other:
        for name in whole.namelist():
            content = whole.read(name)
            assert name != part or written in content
            other.writestr(name, content.replace(written, instead) if name == part else content)
    return path


def test_the_size_that_a_sheet_claims_is_not_believed(tmp_path: Path) -> None:
    path = sheet(tmp_path, "xl/worksheets/sheet1.xml", b'ref="A1:B2"', b'ref="A1"')
    assert tables.rows_of(path) == {2: {"ID": "X1", "n": "a"}}


@pytest.mark.parametrize(
    ("part", "written", "instead"),
    [
        ("xl/styles.xml", b"<fill><patternFill /></fill>", b"<fill />"),
        ("[Content_Types].xml", b"ContentType=", b"ContentTyqe="),
        ("xl/_rels/workbook.xml.rels", b"/worksheet", b"/chartsheet"),
    ],
    ids=["a fill that is none", "an unknown word", "no sheet of cells"],
)
def test_a_sheet_that_openpyxl_stumbles_over_is_one_sentence(
    part: str, written: bytes, instead: bytes, tmp_path: Path
) -> None:
    path = sheet(tmp_path, part, written, instead)
    with pytest.raises(DataError, match=r"x\.xlsx: cannot be read \(.+\); fetch the table again"):
        tables.rows_of(path)
    assert tables.columns_of(path, ours=False) == []


def test_a_file_that_is_no_table_matters_only_where_it_must_be_one(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    path.write_bytes(b"no sheet")
    assert tables.columns_of(path, ours=False) == []
    with pytest.raises(DataError, match=r"x.xlsx: cannot be read.*fetch the table again"):
        tables.columns_of(path, ours=True)
    path.write_bytes(b"")
    assert tables.columns_of(path.rename(tmp_path / "x.csv"), ours=True) == []


def test_what_was_read_is_known_afterwards(tmp_path: Path) -> None:
    ours, other = touch(tmp_path, "a.csv", "b.csv")
    tree = layout.scan(tmp_path)
    tables.read_all(tree, lambda path: [1] if path == ours else [], list, "some")
    assert tree.read == [ours] and other.exists()
