"""Pseudonyms say nothing without the key, and nothing that a header hides gets out."""

import gzip
import hashlib
import hmac
import json
import os
import re
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib import __main__, settings
from gliomalib.cohort import gather, pseudonyms
from gliomalib.cohort.gather import Cohort
from gliomalib.cohort.pseudonyms import Pseudonyms, open_pseudonyms
from gliomalib.cohort.table import exclusions, read_cases, write_cases
from gliomalib.data.verification import verify
from gliomalib.schema import SEQUENCES, DataError
from tests import faults
from tests.faults import FAULTS

KEY = bytes(range(32))


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        first = open_pseudonyms(tmp_path / "data")
    finally:
        os.umask(before)
    path = tmp_path / "data" / pseudonyms.KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content, inode = path.read_bytes(), path.stat().st_ino
    assert first.key == content
    assert len(content) == pseudonyms.KEY_BYTES
    assert open_pseudonyms(tmp_path / "data") == first
    assert (path.read_bytes(), path.stat().st_ino) == (content, inode)
    assert [found.name for found in path.parent.iterdir()] == [pseudonyms.KEY_FILE]


def test_many_at_once_agree_on_one_key(tmp_path: Path) -> None:
    # processes, as each names its own draft
    keys = []
    for _ in range(8):
        reader, writer = os.pipe()
        if os.fork() == 0:
            status = 1
            try:
                os.write(writer, open_pseudonyms(tmp_path).key)
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        keys.append(reader)
    found = {os.read(reader, 99) for reader in keys}
    assert found == {(tmp_path / pseudonyms.KEY_FILE).read_bytes()}
    for _ in range(8):
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
    for reader in keys:
        os.close(reader)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", KEY[:-1], KEY + b"\n", KEY.hex().encode()])
def test_a_damaged_key_is_refused_and_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / pseudonyms.KEY_FILE
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"holds {len(content)} bytes, expected a key of 32") as no:
        open_pseudonyms(tmp_path)
    assert str(path) in str(no.value)
    assert "restore it, or delete" in str(no.value)
    assert path.read_bytes() == content


def test_a_pseudonym_is_a_keyed_digest() -> None:
    names = Pseudonyms(KEY)
    digest = hmac.new(KEY, b"patient/BraTS20_Training_001", hashlib.sha256).hexdigest()
    assert names.patient("BraTS20_Training_001") == f"patient-{digest[:10]}"
    assert names.case("BraTS20_Training_001") != names.patient("BraTS20_Training_001")


@given(st.text(max_size=30), st.binary(min_size=32, max_size=32))
def test_pseudonyms_are_stable_and_look_alike(name: str, key: bytes) -> None:
    names = Pseudonyms(key)
    assert names.case(name) == Pseudonyms(key).case(name)
    assert re.fullmatch(r"exam-[0-9a-f]{10}", names.case(name))
    assert re.fullmatch(r"patient-[0-9a-f]{10}", names.patient(name))
    assert names.case(name).removeprefix("exam-") != names.patient(name).removeprefix("patient-")


YEARS = "BraTS_2018_subject_ID,BraTS_2019_subject_ID,BraTS_2020_subject_ID"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write sound cases, one of three releases, one suspect, and faulty ones of odd names."""
    root = tmp_path / "source"
    for number in range(1, 6):
        faults.write(root, number)
    faults.write_as(root / "BraTS19_CBICA_ONE_1", 21)
    faults.write_as(root / "BraTS2021_00002", 2)
    faults.write_as(root / "BraTS2021_00044", 44)
    suspect = faults.write_as(root / "BraTS2021_00033", 3)["t1"]
    faults.save(suspect, (faults.brain(3, 0) ** 0.8).astype(np.float32))
    (root / "name_mapping.csv").write_text(
        f"Grade,{YEARS}\nHGG,Brats18_CBICA_ONE_1,BraTS19_CBICA_ONE_1,BraTS20_Training_001\n"
    )
    for number, name in ((6, "missing sequence"), (7, "wrong CRC"), (8, "ambiguous mask")):
        FAULTS[name].plant(faults.write(root, number))
    odd = faults.write(root, 9)["seg"]
    odd.write_bytes(b"")
    odd.rename(odd.with_name("W39) 1998.09.19 (Doe; John)_Segm.nii.gz"))
    return root


RELEASES = {
    "data.source": "folder",
    "data.internal_releases": ["brats2019", "brats2020"],
    "data.external_releases": ["brats2021"],
    "data.on_bad_case": "exclude",
}


def gathered(root: Path, work: Path, **more: object) -> Cohort:
    return gather.gather(settings.load("smoke", {**RELEASES, **more}), root, work)


def hidden(root: Path, work: Path, **more: object) -> Cohort:
    return gathered(root, work, pseudonyms=True, **more)


def who_is_who(work: Path) -> dict[str, str]:
    """Return the private list: pseudonym of an examination → real ID."""
    table = pd.read_csv(work / "pseudonyms.csv", dtype="str")
    return dict(zip(table["exam"], table["case_id"], strict=True))


def texts(found: Cohort) -> list[str]:
    """Return all that a report may show of a cohort; the paths of files it does not."""
    paths = [*SEQUENCES, "seg"]
    tables = (found.cases.drop(columns=paths), found.links, found.faults, found.unused)
    return [*(table.to_csv(index=False) for table in tables), f"\n\n\n{exclusions(found.cases)}"]


REAL = re.compile(r"brats(18|19|20|21|2021)?_|training|cbica|name_mapping|w39|1998|doe", re.I)


def test_no_real_name_is_in_any_table(source: Path, tmp_path: Path) -> None:
    found = hidden(source, tmp_path / "data" / "study")
    ids = {path.name for path in source.iterdir() if path.is_dir()}
    for text in texts(found):
        assert text.count("\n") > 2
        assert not [name for name in ids if name in text]
        assert not REAL.search(text), text
        assert str(source) not in text


def test_everybody_is_in_the_table_and_the_private_list_says_who(
    source: Path, tmp_path: Path
) -> None:
    work = tmp_path / "data" / "study"
    open_one, closed = gathered(source, tmp_path / "other"), hidden(source, work)
    names = who_is_who(work)
    assert sorted(names.values()) == sorted(open_one.cases["case_id"])
    mine = closed.cases.assign(case_id=closed.cases["case_id"].map(names))
    columns = ["case_id", "release", "part", "grade", "t1", "digests", "shape"]
    pd.testing.assert_frame_equal(
        mine[columns].sort_values("case_id", ignore_index=True),
        open_one.cases[columns].sort_values("case_id", ignore_index=True),
    )
    sites = mine.set_index("case_id")["site"]
    same = ["BraTS19_CBICA_ONE_1", "BraTS20_Training_001"]
    assert set(sites[same]) == {pseudonyms.open_pseudonyms(work.parent).site("CBICA")}
    assert set(sites.drop(same)) == {""}
    assert stat.S_IMODE((work / "pseudonyms.csv").stat().st_mode) == 0o600
    assert stat.S_IMODE((work.parent / pseudonyms.KEY_FILE).stat().st_mode) == 0o600


def test_the_private_list_is_never_open_to_others(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes, replace = [], Path.replace

    def noted(self: Path, target: Path) -> Path:
        modes.append((Path(target).name, stat.S_IMODE(self.stat().st_mode)))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    hidden(source, tmp_path / "data" / "study")
    assert modes == [("pseudonyms.csv", 0o600)]


def test_the_same_patients_are_recognised_as_the_same(source: Path, tmp_path: Path) -> None:
    work = tmp_path / "data" / "study"
    open_one, closed = gathered(source, tmp_path / "other"), hidden(source, work)
    names = who_is_who(work)

    def groups(table: pd.DataFrame, ids: pd.Series) -> set[frozenset[str]]:
        return {frozenset(ids[rows.index]) for _, rows in table.groupby("patient_id")}

    wanted = groups(open_one.cases, open_one.cases["case_id"])
    assert frozenset(("BraTS19_CBICA_ONE_1", "BraTS20_Training_001")) in wanted
    assert frozenset(("BraTS2021_00033", "BraTS20_Training_003")) in wanted
    assert groups(closed.cases, closed.cases["case_id"].map(names)) == wanted
    links = {
        (names[row.case_id], names[row.same_as], row.how, row.similarity)
        for row in closed.links.itertuples()
    }
    assert links == set(open_one.links.itertuples(index=False, name=None))
    assert {how for _, _, how, _ in links} == {"table", "content", "suspect"}


def test_notes_name_pseudonyms_and_kinds_only(source: Path, tmp_path: Path) -> None:
    work = tmp_path / "data" / "study"
    cases = hidden(source, work).cases
    by_name = cases.assign(case_id=cases["case_id"].map(who_is_who(work))).set_index("case_id")
    notes = by_name["note"].dropna().to_dict()
    exam = {name: pseudonym for pseudonym, name in who_is_who(work).items()}
    assert notes == {
        "BraTS19_CBICA_ONE_1": f"same patient as {exam['BraTS20_Training_001']}",
        "BraTS2021_00002": f"same voxels as {exam['BraTS20_Training_002']}",
        "BraTS2021_00033": f"probably the same scan as {exam['BraTS20_Training_003']}",
        "BraTS20_Training_006": "missing sequence",
        "BraTS20_Training_007": "damaged gzip",
        "BraTS20_Training_008": "ambiguous mask",
        "BraTS20_Training_009": "0 bytes",
    }


def test_the_order_of_rows_does_not_follow_the_real_names(source: Path, tmp_path: Path) -> None:
    orders = set()
    for number in range(6):
        work = tmp_path / f"data{number}" / "study"
        found = hidden(source, work)
        assert found.faults["case_id"].is_monotonic_increasing
        assert found.links["case_id"].is_monotonic_increasing
        for _, rows in found.cases.groupby("part"):
            assert rows["patient_id"].is_monotonic_increasing
        inside = found.cases.query("part == 'internal'")["case_id"].map(who_is_who(work))
        orders.add(tuple(inside))
    assert len(orders) > 1


def test_pseudonyms_are_stable_across_runs_and_studies(source: Path, tmp_path: Path) -> None:
    first = hidden(source, tmp_path / "data" / "one")
    again = hidden(source, tmp_path / "data" / "one")
    for before, after in zip(texts(first), texts(again), strict=True):
        assert before == after
    fewer = {"data.external_releases": [], "data.internal_releases": ["brats2020"]}
    other = hidden(source, tmp_path / "data" / "two", **fewer)
    assert other.cases["case_id"].isin(first.cases["case_id"]).all()
    used = other.cases.query("part == 'internal'")
    both = first.cases.merge(used, on="case_id")
    assert len(both) == 5
    assert (both["patient_id_x"] == both["patient_id_y"]).all()


def test_what_is_not_used_is_counted_without_a_name(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source / "BraTS2021_00002", source / "BraTS2021_00002 (1)")
    open_found, found = (
        cohort(source, tmp_path / f"{cohort.__name__}/study") for cohort in (gathered, hidden)
    )
    assert open_found.unused["why"].str.contains("BraTS2021_00002").any()
    assert not found.unused["why"].str.contains("00002").any()
    assert found.unused[["kind", "files"]].to_numpy().tolist().count(["copy of a case", 5]) == 1


def test_a_doubt_is_told_without_a_name(source: Path, tmp_path: Path) -> None:
    path = source / "BraTS2021_00002" / "BraTS2021_00002_t2.nii.gz"
    image = nib.load(path)
    image.header.set_xyzt_units("unknown")
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header), path)
    (open_note,) = gathered(source, tmp_path / "open/study").notes.to_dict("records")
    assert (open_note["case_id"], open_note["kind"]) == ("BraTS2021_00002", "no unit")
    (note,) = hidden(source, tmp_path / "hidden/study").notes.to_dict("records")
    assert note["case_id"].startswith("exam-") and note["kind"] == "no unit"
    assert "00002" not in str(note)


def test_another_key_gives_other_pseudonyms(source: Path, tmp_path: Path) -> None:
    one = hidden(source, tmp_path / "data" / "study")
    other = hidden(source, tmp_path / "elsewhere" / "study")
    for column in ("case_id", "patient_id"):
        assert not set(one.cases[column]) & set(other.cases[column])


def check_kept(texts: Sequence[str]) -> None:
    for text in texts:
        for secret in faults.SECRETS:
            assert secret not in text


@pytest.fixture
def secretive(tmp_path: Path) -> Path:
    """Write a case for every fault, with secrets in all of its files, and two sound ones."""
    for number, planted in enumerate(FAULTS.values(), 101):
        files = faults.write(tmp_path / "source", number)
        for path in files.values():
            faults.plant_secrets(path)
        planted.plant(files)
    for number in (1, 2):
        for path in faults.write(tmp_path / "source", number).values():
            faults.plant_secrets(path)
    return tmp_path / "source"


def test_nothing_that_a_header_hides_gets_out(
    secretive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = (secretive / faults.name_of(1) / f"{faults.name_of(1)}_t1.nii.gz").read_bytes()
    for secret in faults.SECRETS:
        assert secret.encode() in packed + gzip.decompress(packed)
    found = verify(secretive)
    assert found.cases["faults"].gt(0).sum() == len(FAULTS)
    check_kept([json.dumps(found.as_json()), found.cases.to_csv(), found.faults.to_csv()])
    for words in ([], ["--json"]):
        assert __main__.main(["data", "verify", str(secretive), *words]) == 1
        check_kept(capsys.readouterr())
    only = {"data.internal_releases": ["brats2020"], "data.external_releases": []}
    for hide in (False, True):
        work = tmp_path / f"data{hide}" / "study"
        study = gathered(secretive, work, pseudonyms=hide, **only)
        write_cases(study.cases, work / "cases.csv")
        check_kept([*texts(study), (work / "cases.csv").read_text()])
        assert len(read_cases(work / "cases.csv")) == len(FAULTS) + 2
