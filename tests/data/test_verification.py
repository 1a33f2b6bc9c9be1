"""A folder before any study: every planted fault found, named and answered, sound cases sound."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from gliomalib import __main__, settings
from gliomalib.cohort import gather
from gliomalib.cohort import table as casetable
from gliomalib.data import verification
from gliomalib.data.verification import Verification, verify
from gliomalib.schema import CLASS_NAMES, SEQUENCES, DataError
from tests import faults, layouts
from tests.faults import FAULTS, Planted

SOUND = 9
"""Number of the sound case that stands beside the faulty ones."""

NOBODY = 65534
"""A user without any rights."""


def wrong(found: Verification) -> list[tuple[str, str, str]]:
    """Return case, kind and path of every fault."""
    return [(row.case_id, row.kind, row.path) for row in found.faults.itertuples()]


def check_sound(found: Verification, case_id: str, voxels: tuple[int, ...]) -> None:
    """Check that a case is listed whole, without a fault, with the voxels of its mask."""
    row = found.cases.set_index("case_id").loc[case_id]
    assert row["faults"] == 0
    assert tuple(row[list(CLASS_NAMES[1:])]) == voxels
    assert row[["shape", "axes"]].notna().all()


def check_named(found: Verification, case_id: str, planted: Planted, place: Path) -> None:
    """Check that a fault has its kind, names its file and says what to do, in one line."""
    own = found.faults[found.faults["case_id"] == case_id]
    match = own[(own["kind"] == planted.kind) & (own["path"] == str(place))]
    assert len(match) >= 1, own.to_dict("records")
    message = match["message"].iloc[0]
    assert place.name in message
    assert re.search(planted.advice, message), message
    assert "\n" not in message


# --- one fault, and all of them


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_named_and_answered_and_stops_a_study(name: str, tmp_path: Path) -> None:
    planted = FAULTS[name]
    files, _ = faults.write(tmp_path, 1), faults.write(tmp_path, SOUND)
    assert verify(tmp_path).sound
    planted.plant(files)
    found = verify(tmp_path)
    assert not found.sound
    check_named(found, faults.name_of(1), planted, planted.place(files))
    check_sound(found, faults.name_of(SOUND), faults.VOXELS)
    rows = found.cases.set_index("case_id")["faults"]
    assert rows.loc[faults.name_of(1)] == len(found.faults)
    with pytest.raises(DataError, match=planted.advice) as stopped:
        gather.gather(study("stop"), tmp_path, tmp_path / "work")
    assert planted.place(files).name in str(stopped.value)


@pytest.fixture
def ruin(tmp_path: Path) -> Path:
    """Write every fault of the table into a case of its own, and two sound cases."""
    for number, planted in enumerate(FAULTS.values(), 101):
        planted.plant(faults.write(tmp_path / "ruin", number))
    for number in (SOUND, SOUND + 1):
        faults.write(tmp_path / "ruin", number)
    return tmp_path / "ruin"


def test_all_faults_are_found_in_one_pass(ruin: Path) -> None:
    found = verify(ruin)
    for number, planted in enumerate(FAULTS.values(), 101):
        own = set(found.faults.query("case_id == @faults.name_of(@number)")["kind"])
        assert own == {planted.kind}, faults.name_of(number)
    for number in (SOUND, SOUND + 1):
        check_sound(found, faults.name_of(number), faults.VOXELS)
    assert len(found.cases) == len(FAULTS) + 2
    assert (found.cases["faults"] > 0).sum() == len(FAULTS)
    assert found.cases["faults"].sum() == len(found.faults)
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["sound"] is False


def test_the_order_of_work_changes_nothing(ruin: Path) -> None:
    one, many = verify(ruin, workers=1), verify(ruin, workers=7)
    pd.testing.assert_frame_equal(one.cases, many.cases)
    pd.testing.assert_frame_equal(one.faults, many.faults)


# --- the folder as a whole


HEADER = "Grade,BraTS_2018_subject_ID,BraTS_2019_subject_ID,BraTS_2020_subject_ID\n"
TABLES = {
    "no subject column": ({"": "Grade,Name\nHGG,x\n"}, "give the organisers' table"),
    "a row without ID": ({"": HEADER + "HGG,NA,NA,NA\n"}, "line 2: no subject ID.*correct the"),
    "the same after an empty line": (
        {"": HEADER + "HGG,NA,NA,a\n\nHGG,NA,NA,NA\n"},
        "line 4: no subject ID",
    ),
    "two columns of a year": (
        {"": "BraTS2020,BraTS_2020_subject_ID\na,NA\n"},
        "BraTS2020, BraTS_2020_subject_ID give a year more than once; keep one column a year",
    ),
    "no text": ({"": "\0\x80"}, "fetch the table again"),
    "a contradiction": (
        {"": HEADER + "HGG,a,b,NA\n", "_2": HEADER + "HGG,a,c,NA\n"},
        "one patient is (b and c|c and b) in 2019; keep only the organisers' newest",
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_names_at_fault(name: str, tmp_path: Path) -> None:
    tables, advice = TABLES[name]
    faults.write(tmp_path, SOUND)
    for ending, text in tables.items():
        (tmp_path / f"name_mapping{ending}.csv").write_bytes(text.encode("latin-1"))
    found = verify(tmp_path)
    ((_, kind, path),) = wrong(found)
    assert kind == "table of names"
    assert path == str(tmp_path if len(tables) > 1 else tmp_path / "name_mapping.csv")
    message = found.faults["message"].iloc[0]
    assert path in message
    assert re.search(advice, message), message
    assert len(found.cases) == 1, "a table is no case"
    check_sound(found, faults.name_of(SOUND), faults.VOXELS)
    for policy in ("stop", "exclude"):
        with pytest.raises(DataError, match=advice):
            gather.gather(study(policy), tmp_path, tmp_path / "work")


def test_a_table_of_another_family_at_fault_stops_its_own_studies_only(tmp_path: Path) -> None:
    faults.write(tmp_path, SOUND)
    layouts.write(tmp_path, "ucsf_pdgm", 1)
    table = layouts.ucsf_table(tmp_path / "UCSF-PDGM-metadata_v5.csv", [("nobody", "", "4")])
    assert [(kind, path) for _, kind, path in wrong(verify(tmp_path))] == [
        ("table of names", str(table))
    ]
    assert len(gather.gather(study("stop"), tmp_path, tmp_path / "work").faults) == 0
    for policy in ("stop", "exclude"):
        with pytest.raises(DataError, match="expected one like UCSF-PDGM-004"):
            gather.gather(study(policy, "ucsf_pdgm"), tmp_path, tmp_path / "work")


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda root: None, "no such folder", "there is no such folder; give the folder"),
        (lambda root: root.write_text("x"), "no such folder", "is a file; give the folder"),
        (lambda root: root.mkdir(), "unknown layout", "found an empty folder"),
        (lambda root: root.symlink_to("gone"), "no such folder", "give the folder"),
    ],
    ids=["none", "a file", "empty", "a dangling link"],
)
def test_a_root_of_no_use(
    make: faults.Callable[[Path], object],
    kind: str,
    says: str,
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    make(root)
    found = verify(root)
    assert [(row.kind, row.path) for row in found.faults.itertuples()] == [(kind, str(root))]
    assert str(root) in found.faults["message"].iloc[0]
    assert says in found.faults["message"].iloc[0]
    assert found.cases.empty


def test_masks_alone_lack_nothing_and_are_called_so(tmp_path: Path) -> None:
    for number in (1, 2):
        files = faults.write(tmp_path, number)
        for name in SEQUENCES:
            files[name].unlink()
    found = verify(tmp_path)
    assert found.sound and len(found.cases) == 2
    assert found.unused["kind"].tolist() == ["masks alone"]
    faults.write(tmp_path, 3)
    assert len(verify(tmp_path).faults) == 2 * len(SEQUENCES)


def test_images_that_are_lost_are_missed_where_masks_lie_apart(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "upenn_gbm", 1)
    shutil.rmtree(files["t1"].parent)
    assert set(verify(tmp_path).faults["kind"]) == {"missing sequence"}


def test_what_is_not_used_is_no_fault(tmp_path: Path) -> None:
    faults.write(tmp_path, SOUND)
    (tmp_path / "BraTS-PED-00001-000").mkdir()
    (tmp_path / "more.zip").touch()
    found = verify(tmp_path)
    assert found.sound
    assert found.unused[["kind", "files"]].to_numpy().tolist() == [
        ["sister challenge", 0],
        ["archive", 1],
    ]


# --- what may not be read


@contextmanager
def nobody_reads() -> Iterator[Path]:
    """Give a folder that everybody may read, and take our rights until the end."""
    if os.geteuid() != 0:
        pytest.skip("only root can give up its rights for a while")
    place = Path(tempfile.mkdtemp(prefix="gliomalib-"))
    place.chmod(0o755)
    try:
        yield place
    finally:
        os.seteuid(0)
        for folder, _, _ in os.walk(place):
            Path(folder).chmod(0o755)
        shutil.rmtree(place)


def _as_nobody(root: Path) -> Verification:
    os.seteuid(NOBODY)
    try:
        return verify(root)
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("name", "mode", "n_faults"),
    [("t1", 0o000, 1), ("", 0o000, 1), ("", 0o111, 1), ("", 0o444, 5)],
)
def test_a_file_or_folder_that_may_not_be_read(name: str, mode: int, n_faults: int) -> None:
    with nobody_reads() as root:
        files, _ = faults.write(root, 1), faults.write(root, SOUND)
        place = files[name] if name else files["t1"].parent
        place.chmod(mode)
        found = _as_nobody(root)
        assert [kind for _, kind, _ in wrong(found)] == ["no permission"] * n_faults
        assert all(str(place) in path for _, _, path in wrong(found))
        assert found.faults["message"].str.contains("change its permissions").all()
        check_sound(found, faults.name_of(SOUND), faults.VOXELS)


def test_a_root_that_may_not_be_read_or_lies_in_a_folder_that_may_not() -> None:
    with nobody_reads() as root:
        faults.write(root / "data", SOUND)
        (root / "data").chmod(0o000)
        for place in (root / "data", root / "data" / faults.name_of(SOUND)):
            found = _as_nobody(place)
            assert [path for _, _, path in wrong(found)] == [str(place)]
            assert "permissions" in found.faults["message"].iloc[0]


# --- after a study


def study(on_bad_case: str, *releases: str) -> settings.Study:
    return settings.load(
        "smoke",
        {
            "data.source": "folder",
            "data.internal_releases": releases or ["brats2020"],
            "data.on_bad_case": on_bad_case,
        },
    )


def gathered(root: Path, work: Path) -> pd.DataFrame:
    table = gather.gather(study("exclude"), root, work).cases
    return casetable.read_cases(casetable.write_cases(table, work / "cases.csv"))


def test_a_file_replaced_after_a_study_has_read_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, work = tmp_path / "source", tmp_path / "data" / "smoke"
    files = faults.write(root, 1)
    faults.write(root, SOUND)
    used = verification.used_files(gathered(root, work))
    assert len(used) == 2 * len(files)
    assert verify(root, used).sound
    options = ["--study", "smoke", "--data-dir", str(tmp_path / "data")]
    command = ["data", "verify", str(root), *options]
    assert __main__.main(command) == 0
    faults.save(files["t2"], faults.brain(77))
    assert verify(root).sound
    found = verify(root, used)
    assert wrong(found) == [(faults.name_of(1), "file replaced", str(files["t2"]))]
    assert "run 01_data_exploration again or put the old file back" in found.faults["message"][0]
    check_sound(found, faults.name_of(SOUND), faults.VOXELS)
    assert found.cases.set_index("case_id")["faults"][faults.name_of(1)] == 1
    capsys.readouterr()
    assert __main__.main(command) == 1
    assert f"file replaced: {files['t2']}" in capsys.readouterr().out


def test_a_case_that_is_gone_since_a_study_has_read_it(tmp_path: Path) -> None:
    root = tmp_path / "source"
    files = faults.write(root, 1)
    faults.write(root, SOUND)
    used = verification.used_files(gathered(root, tmp_path / "work"))
    shutil.rmtree(files["t1"].parent)
    found = verify(root, used)
    assert {(kind, path) for _, kind, path in wrong(found)} == {
        ("file gone", str(path)) for path in files.values()
    }
    check_sound(found, faults.name_of(SOUND), faults.VOXELS)


@pytest.mark.parametrize(("then", "now"), [("source", "link"), ("link", "source")])
def test_the_way_to_a_folder_does_not_hide_what_changed(
    then: str, now: str, tmp_path: Path
) -> None:
    files = faults.write(tmp_path / "source", 1)
    (tmp_path / "link").symlink_to("source")
    used = verification.used_files(gathered(tmp_path / then, tmp_path / "work"))
    faults.save(files["t1"], faults.brain(77))
    assert [kind for _, kind, _ in wrong(verify(tmp_path / now, used))] == ["file replaced"]


def test_files_that_a_folder_links_to_are_compared(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for number in (1, SOUND):
        files = faults.write(tmp_path / "disk" / str(number), number)
        (tmp_path / "source" / str(number)).symlink_to(tmp_path / "disk" / str(number))
    used = verification.used_files(gathered(tmp_path / "source", tmp_path / "work"))
    assert verify(tmp_path / "source", used).sound
    assert verify(tmp_path / "disk", used).sound
    faults.save(files["t1"], faults.brain(77))
    for root in ("source", "disk"):
        assert [kind for _, kind, _ in wrong(verify(tmp_path / root, used))] == ["file replaced"]
    (tmp_path / "source" / str(SOUND)).unlink()
    gone = wrong(verify(tmp_path / "source", used))
    assert [kind for _, kind, _ in gone] == ["file gone"] * len(files)


def test_a_study_that_has_read_nothing_there_compares_nothing_and_says_so(tmp_path: Path) -> None:
    for place in ("one", "other"):
        faults.write(tmp_path / place, 1)
    used = verification.used_files(gathered(tmp_path / "one", tmp_path / "work"))
    found = verify(tmp_path / "other", used)
    assert [kind for _, kind, _ in wrong(found)] == ["nothing to compare"]
    assert "give the folder that it has read" in found.faults["message"].iloc[0]


def test_cases_that_could_not_be_read_are_not_compared(tmp_path: Path) -> None:
    root = tmp_path / "source"
    files = faults.write(root, 1)
    faults.write(root, SOUND)
    before = verification.used_files(gathered(root, tmp_path / "work"))
    FAULTS["0 bytes"].plant(files)
    assert [kind for _, kind, _ in wrong(verify(root, before))] == ["0 bytes"]
    used = verification.used_files(gathered(root, tmp_path / "work"))
    assert {path.parent.name for path in used} == {faults.name_of(SOUND)}
    assert [kind for _, kind, _ in wrong(verify(root, used))] == ["0 bytes"]


# --- the same faults in a study


def test_a_study_of_ruins_drops_nobody(ruin: Path, tmp_path: Path) -> None:
    found = gather.gather(study("exclude"), ruin, tmp_path / "work")
    assert found.cases["part"].value_counts().to_dict() == {"excluded": len(FAULTS), "internal": 2}
    everybody = {folder.name for folder in ruin.iterdir()}
    assert set(found.cases["case_id"]) == everybody
    assert len(found.cases) == len(everybody)
    excluded = found.cases.query("part == 'excluded'")
    notes = excluded.set_index("case_id")["note"]
    for number, planted in enumerate(FAULTS.values(), 101):
        assert planted.kind in notes[faults.name_of(number)]
    assert set(found.faults["case_id"]) == set(excluded["case_id"])
    with pytest.raises(DataError, match=r"and \d+ more: python -m gliomalib data verify"):
        gather.gather(study("stop"), ruin, tmp_path / "work")


def test_a_case_that_is_duplicated_is_used_once(tmp_path: Path) -> None:
    for place in ("a", "b"):
        faults.write(tmp_path / place, 1)
    with pytest.raises(DataError, match=r"is duplicated.*remove one"):
        gather.gather(study("stop"), tmp_path, tmp_path / "work")
    rows = gather.gather(study("exclude"), tmp_path, tmp_path / "work").cases
    assert rows[["case_id", "part"]].to_numpy().tolist() == [
        [faults.name_of(1), "internal"],
        [faults.name_of(1), "excluded"],
    ]


# --- a sound folder


def test_what_is_told_of_a_sound_folder(tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)
    copy = faults.write(tmp_path, 2, ".nii")
    for part in SEQUENCES:
        faults.save(copy[part], faults.brain(1, SEQUENCES.index(part)))
    unmasked = faults.write(tmp_path, 3)
    unmasked["seg"].unlink()
    found = verify(tmp_path)
    assert found.sound
    rows = found.as_json()["cases"]
    assert rows[0] == {
        "case_id": faults.name_of(1),
        "patient_id": faults.name_of(1),
        "release": "brats2020",
        "files": len(files),
        "shape": "24×22×20",
        "spacing_mm": "1×1×1",
        "axes": "LPS",
        "necrotic core": 10,
        "edema": 20,
        "enhancing tumour": 30,
        "same_scan_as": None,
        "faults": 0,
    }
    assert [row["same_scan_as"] for row in rows] == [None, faults.name_of(1), None]
    assert (rows[2]["files"], rows[2]["edema"]) == (4, None)


REAL_VOXELS = {
    "Brats18_2013_2_1": (4514, 34894, 21677),
    "Brats18_TCIA05_396_1": (9487, 135912, 16998),
    "BraTS19_CBICA_ASK_1": (1588, 75783, 6047),
    "BraTS19_CBICA_BHQ_1": (2063, 10911, 3611),
    "BraTS20_Training_001": (15443, 168794, 27742),
    "BraTS2021_00000": (11738, 12836, 32731),
    "BraTS2021_00002": (11248, 155695, 23651),
    "BraTS2021_00003": (17214, 57773, 24252),
    "BraTS2021_00014": (2, 35799, 2557),
    "BraTS2021_00024": (245, 95526, 5680),
}
"""Voxels of labels 1, 2 and 4 of the ten real patients, counted by somebody else."""


def test_ten_real_patients_are_sound(real_data: Path) -> None:
    found = verify(real_data)
    assert found.faults.to_dict("records") == []
    assert set(found.cases["case_id"]) == set(REAL_VOXELS)
    for case_id, voxels in REAL_VOXELS.items():
        check_sound(found, case_id, voxels)
    assert set(found.cases["shape"]) == {"240×240×155"}
    assert set(found.cases["axes"]) == {"LPS"}
    assert found.cases["same_scan_as"].isna().all()
