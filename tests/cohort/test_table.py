"""The table of cases: everybody in it, in one order, and the same after the disk."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.cohort import table as casetable
from gliomalib.cohort.table import (
    COLUMNS,
    PARTS,
    Entry,
    case_of,
    cases_of,
    exclusions,
    read_cases,
    table_of,
    twins,
)
from gliomalib.data.inspection import Inspection
from gliomalib.schema import SEQUENCES, Case, DataError, Exclusion, SettingsError, StoredError

DIGESTS = tuple(letter * 64 for letter in "abcde")


def case(name: str = "c1", folder: str = "/data", **more: object) -> Case:
    images = {part: Path(folder) / f"{name}_{part}.nii.gz" for part in SEQUENCES}
    known = {"patient_id": "p", "release": "brats2020", "segmentation": Path(folder) / "seg.nii"}
    return Case(case_id=name, images=images, **{**known, **more})  # type: ignore[arg-type]


def entry(name: str, part: str, patient: str = "p", note: str | None = None) -> Entry:
    return Entry(case(name, patient_id=patient), part, note or "")


def again(entries: Sequence[Entry], tmp_path: Path) -> pd.DataFrame:
    """Return the table of entries after it was on disk."""
    return read_cases(casetable.write_cases(table_of(entries), tmp_path / "cases.csv"))


def test_rows_stand_by_part_then_patient_then_case() -> None:
    entries = [
        entry("c3", "unused", "a"),
        entry("c2", "external", "a"),
        entry("c9", "internal", "b"),
        entry("c8", "internal", "b"),
        entry("c7", "internal", "a"),
        entry("c1", "duplicate", "z"),
        entry("c0", "excluded", "z"),
    ]
    table = table_of(entries)
    assert tuple(table.columns) == COLUMNS
    assert table["case_id"].tolist() == ["c7", "c8", "c9", "c2", "c1", "c0", "c3"]
    assert table["part"].drop_duplicates().tolist() == list(PARTS)
    pd.testing.assert_frame_equal(table_of(entries[::-1]), table)
    assert table.index.tolist() == list(range(7))


def test_nobody_is_dropped_who_stands_there_twice(tmp_path: Path) -> None:
    entries = [entry("c1", "internal"), entry("c1", "excluded"), entry("c1", "excluded")]
    assert again(entries, tmp_path)["part"].tolist() == ["internal", "excluded", "excluded"]


def test_what_inspection_found_is_in_the_row() -> None:
    seen = Inspection(
        case(),
        (),
        content="c0de",
        shape=(240, 240, 155),
        spacing_mm=(1.0, 0.9375, 1.25),
        axes="LPS",
    )
    row = table_of([Entry(case(grade="HGG", digests=DIGESTS), "internal", seen=seen)]).iloc[0]
    assert (row["shape"], row["spacing_mm"], row["axes"]) == ("240×240×155", "1×0.9375×1.25", "LPS")
    assert (row["grade"], row["digests"]) == ("HGG", " ".join(DIGESTS))
    assert (row["seg"], row["content"]) == ("/data/seg.nii", "c0de")
    bare = table_of([Entry(case(segmentation=None), "unused", "no mask")]).iloc[0]
    assert bare[["seg", "grade", "channels", "digests", "shape", "spacing_mm", "axes"]].isna().all()
    assert (bare["site"], bare["note"]) == ("", "no mask")


@pytest.mark.parametrize(
    "wanted",
    [
        case(),
        case(segmentation=None, grade="LGG", site="TCIA05"),
        case(channels=("flair", "t1", "t1ce", "t2"), digests=DIGESTS),
        case(folder="/a folder, with \"quotes\" and 'more'; ünïcode"),
        case(folder="/line\nbreak"),
        case(folder="/carriage\rreturn"),
        case(name="NA", folder="/null", patient_id="None", grade="NA"),
        case(name="007", patient_id="1e5"),
    ],
    ids=[
        "all",
        "no mask",
        "4-D",
        "odd path",
        "line break",
        "return",
        "looks missing",
        "looks like a number",
    ],
)
def test_a_case_comes_back_from_disk_as_it_was(wanted: Case, tmp_path: Path) -> None:
    entries = [Entry(wanted, "internal")]
    pd.testing.assert_frame_equal(again(entries, tmp_path), table_of(entries))
    assert cases_of(again(entries, tmp_path), "internal") == [wanted]


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


@given(
    st.lists(st.tuples(NAMES, NAMES, st.sampled_from(PARTS), st.none() | NAMES), max_size=5),
)
def test_any_text_survives_the_disk(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str, str | None]],
) -> None:
    entries = [entry(name, part, patient, note) for name, patient, part, note in rows]
    folder = tmp_path_factory.mktemp("cases", numbered=True)
    pd.testing.assert_frame_equal(again(entries, folder), table_of(entries))


def test_digests_are_kept_only_where_every_file_has_one() -> None:
    """A file that could not be read has none, and the others would be taken for it."""
    for digests in (("", *DIGESTS[1:]), (*DIGESTS[:4], ""), ()):
        row = table_of([Entry(case(digests=digests), "excluded", "0 bytes")]).iloc[0]
        assert pd.isna(row["digests"])
        assert case_of(row).digests == ()


def test_an_excluded_case_without_its_files_is_not_read() -> None:
    missing = Case("c5", "p", "brats2020", {}, None)
    table = table_of([Entry(missing, "excluded", "missing sequence (c5)"), entry("c1", "internal")])
    assert [found.case_id for found in cases_of(table, "internal")] == ["c1"]
    with pytest.raises(DataError, match=r"c5 is excluded and cannot be read: missing sequence"):
        cases_of(table, "excluded")


def test_a_part_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingsError, match="no part 'train': take one of internal, external"):
        cases_of(table_of([]), "train")
    assert cases_of(table_of([]), "internal") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the table of cases is missing; run 01_data_exploration"),
        (b"", r"cannot be read .*; run 01_data_exploration again"),
        (b"a,b\n1,2,3\n4,5,6,7\n", r"cannot be read .*; run 01_data_exploration again"),
        (b"\xff\xfe\x00\x80", r"cannot be read .*; run 01_data_exploration again"),
        (b"a,b\n1,2\n", "columns are a, b, expected case_id.*; run 01_data_exploration again"),
        (b"case_id,patient_id\n", "columns are case_id, patient_id, expected"),
    ],
    ids=["missing", "empty", "ragged", "no text", "another", "half"],
)
def test_what_is_no_table_of_cases_is_refused(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "cases.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoredError, match=message) as refused:
        read_cases(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_twins_are_external_patients_whose_anatomy_an_internal_one_has() -> None:
    entries = [
        Entry(case("A1"), "internal"),
        Entry(case("A2"), "excluded", "damaged gzip"),
        Entry(case("B1"), "external", "same anatomy at another site", same_as="A1"),
        Entry(case("B2"), "external", "same anatomy at another site", same_as="A2"),
        Entry(case("C1"), "external"),
        Entry(case("A1-copy"), "duplicate", "same voxels", same_as="A1"),
    ]
    entries = [
        replace(each, case=case(each.case.case_id, patient_id=f"p-{each.case.case_id}"))
        for each in entries
    ]
    assert twins(table_of(entries)) == {"p-B1": "p-A1"}
    assert twins(table_of([*entries[:2], *entries[4:]])) == {}


def test_a_note_is_made_from_its_fields() -> None:
    damaged = "damaged gzip (c3_t1.nii.gz)"
    entries = [
        Entry(case("c1"), "internal"),
        Entry(case("c2"), "duplicate", "same voxels", same_as="c1"),
        Entry(case("c3"), "excluded", "damaged gzip", detail=damaged),
        Entry(case("c4"), "excluded", "damaged gzip"),
    ]
    table = table_of(entries)
    fields = table[["kind", "same_as", "note"]].astype(object).where(table.notna(), None)
    assert fields.to_numpy().tolist() == [
        [None, None, None],
        ["same voxels", "c1", "same voxels as c1"],
        ["damaged gzip", None, damaged],
        ["damaged gzip", None, "damaged gzip"],
    ]
    assert exclusions(table) == (
        Exclusion("c3", "brats2020", "damaged gzip", damaged),
        Exclusion("c4", "brats2020", "damaged gzip", "damaged gzip"),
    )
    assert exclusions(table_of(entries[:2])) == ()
