"""The door: one look at each file gives all faults, the digests, the counts and who it is."""

import gzip
import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from gliomalib.data import fingerprint, nifti
from gliomalib.data.inspection import Inspection, inspect, inspect_all
from gliomalib.data.readers import survey
from gliomalib.schema import SEQUENCES, Case
from tests import faults, layouts
from tests.faults import FAULTS


def case_in(root: Path, number: int = 1) -> Case:
    """Return the only case of this number below a folder."""
    (case,) = (case for case in survey.discover(root) if case.case_id == faults.name_of(number))
    return case


def kinds(found: Inspection) -> list[str]:
    return [fault.kind for fault in found.faults]


def test_what_one_look_tells_of_a_sound_case(tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)
    case = case_in(tmp_path)
    found = inspect(case)
    assert found.faults == ()
    assert found.voxels == (int(np.prod(faults.SHAPE)) - 60, *faults.VOXELS)
    assert (found.shape, found.spacing_mm, found.axes) == (faults.SHAPE, (1.0, 1.0, 1.0), "LPS")
    wanted = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files.values()]
    assert list(found.case.digests) == wanted
    assert found.case.files == case.files
    assert found.content == fingerprint.content_digest(faults.brain(1, 0))
    assert found.signature is None


def test_a_signature_is_made_when_asked_for(tmp_path: Path) -> None:
    faults.write(tmp_path, 1)
    found = inspect(case_in(tmp_path), signatures=True)
    assert found.signature is not None
    assert np.allclose(found.signature, fingerprint.signature(faults.brain(1, 0)))


def test_a_case_without_mask_has_no_counts(tmp_path: Path) -> None:
    faults.write(tmp_path, 1)["seg"].unlink()
    found = inspect(case_in(tmp_path))
    assert (found.faults, found.voxels) == ((), None)
    assert len(found.case.digests) == 4


@pytest.mark.parametrize("release", ["msd_task01", "brats2024"])
def test_labels_are_counted_as_classes(release: str, tmp_path: Path) -> None:
    layouts.write(tmp_path, release, 1)
    found = inspect(survey.discover(tmp_path)[0])
    assert found.voxels == layouts.VOXELS


def test_a_file_of_four_sequences_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, seen, read = layouts.write(tmp_path, "msd_task01", 1), [], nifti.read_bytes
    monkeypatch.setattr(nifti, "read_bytes", lambda path: [read(path), seen.append(path)][0])
    found = inspect(survey.discover(tmp_path)[0])
    assert seen == [files["t1"], files["seg"]]
    assert found.case.digests[:4] == (found.case.digests[0],) * 4
    assert found.case.digests[4] != found.case.digests[0]


def test_a_damaged_file_of_four_sequences_is_one_fault(tmp_path: Path) -> None:
    path = layouts.write(tmp_path, "msd_task01", 1)["t1"]
    path.write_bytes(path.read_bytes()[:-30])
    assert kinds(inspect(survey.discover(tmp_path)[0])) == ["damaged gzip"]


def test_which_of_four_sequences_is_empty_is_said(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "msd_task01", 1)
    stacked = np.asarray(nib.load(files["t1"]).dataobj).copy()
    # FLAIR, T1, T1CE, T2 in this release
    stacked[..., [0, 2]] = 0
    layouts.save(files["t1"], stacked)
    found = inspect(survey.discover(tmp_path)[0])
    assert kinds(found) == ["empty volume"] * 2
    assert [fault.message.split(": ")[1].split()[0] for fault in found.faults] == ["t1ce", "flair"]


def test_all_faults_of_a_case_are_told_each_once(tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)
    case = case_in(tmp_path)
    for name in ("wrong CRC", "0 bytes", "NaN", "different shape", "half labels"):
        FAULTS[name].plant(files)
    # two of them strike the same file, and one that cannot be unpacked holds no NaN
    files["t1ce"].write_bytes(b"")
    found = inspect(case)
    assert sorted(kinds(found)) == ["0 bytes", "0 bytes", "different shape", "unknown label"]
    assert len({fault.message for fault in found.faults}) == len(found.faults)
    assert found.content is None
    assert [bool(digest) for digest in found.case.digests] == [False, False, True, True, True]


def test_a_grid_is_that_of_the_first_file_that_can_be_read(tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)
    case = case_in(tmp_path)
    FAULTS["wrong CRC"].plant(files)
    FAULTS["0 bytes"].plant(files)
    FAULTS["moved"].plant(files)
    found = inspect(case)
    # nobody can tell which of T2 and FLAIR moved; the message names both
    wrong = [fault for fault in found.faults if fault.kind == "different affine"]
    assert [fault.path for fault in wrong] == [files["flair"], files["seg"]]
    assert all(str(files["t2"]) in fault.message for fault in wrong)


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize(
    ("values", "kind"), [([0], "empty volume"), ([7], "constant volume"), ([-2, 7], "no brain")]
)
def test_a_scan_of_one_or_two_values_shows_no_brain(
    values: list[int], kind: str, sequence: str, tmp_path: Path
) -> None:
    files = faults.write(tmp_path, 1)
    filled = np.full(faults.SHAPE, values[0], np.int16)
    filled[3:9, 4:9, 5:9] = values[-1]
    faults.save(files[sequence], filled)
    for signatures in (False, True):
        found = inspect(case_in(tmp_path), signatures=signatures)
        assert kinds(found) == [kind]
        assert str(files[sequence]) in found.faults[0].message
        assert " or ".join(map(str, values)) in found.faults[0].message
        assert (found.content is None) == (sequence == "t1")


@pytest.mark.parametrize("place", [(0, 0, 1), (23, 21, 19), (11, 12, 13)])
def test_one_voxel_of_a_ninth_value_is_enough_to_be_looked_at(
    place: tuple[int, int, int], tmp_path: Path
) -> None:
    files = faults.write(tmp_path, 1)
    values = np.zeros(faults.SHAPE, np.int16)
    values[3:10, 4:9, 5:9] = np.arange(1, 8)[:, None, None]
    faults.save(files["t2"], values)
    assert kinds(inspect(case_in(tmp_path))) == ["no brain"]
    values[place] = 50
    faults.save(files["t2"], values)
    assert inspect(case_in(tmp_path)).faults == ()


# --- the same scan, stored otherwise


STORED = {
    "plain": lambda files: _unpacked(files["t1"]),
    "packed harder": lambda files: files["t1"].write_bytes(
        gzip.compress(faults.content_of(files["t1"]), 9)
    ),
    "32 bit": lambda files: faults.save(files["t1"], faults.brain(1, 0).astype(np.float32)),
    "turned": lambda files: _as(files, ("R", "A", "S")),
    "axes exchanged": lambda files: _as(files, ("S", "L", "P")),
    "cut out": lambda files: faults.save(files["t1"], faults.brain(1, 0)[1:-1, 1:-1, 1:-1]),
    "another header": lambda files: faults.put(files["t1"], 148, "8s", b"anybody"),
}


def _unpacked(path: Path) -> None:
    path.with_suffix("").write_bytes(faults.content_of(path))
    path.unlink()


def _as(files: faults.Files, axes: tuple[str, str, str]) -> None:
    for path in files.values():
        image = nib.load(path)
        own = nib.orientations.io_orientation(image.affine)
        turn = nib.orientations.ornt_transform(own, nib.orientations.axcodes2ornt(axes))
        turned = image.as_reoriented(turn)
        faults.save(path, np.asarray(turned.dataobj).copy(), turned.affine)


@pytest.mark.parametrize("name", STORED)
def test_the_same_scan_is_recognised_however_it_is_stored(name: str, tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)
    first = inspect(case_in(tmp_path), signatures=True)
    STORED[name](files)
    again = inspect(case_in(tmp_path), signatures=True)
    assert again.content == first.content
    assert again.case.digests[0] != first.case.digests[0]
    assert first.signature is not None
    assert again.signature is not None
    assert first.signature @ again.signature > 0.99


def test_turned_scans_say_how_they_lie(tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)
    _as(files, ("S", "L", "P"))
    found = inspect(case_in(tmp_path))
    assert (found.axes, found.shape) == ("SLP", (20, 24, 22))
    assert found.faults == ()


# --- many cases


def test_many_cases_come_back_in_their_order(tmp_path: Path) -> None:
    for number in range(1, 8):
        faults.write(tmp_path, number)
    cases = survey.discover(tmp_path)[::-1]
    one = inspect_all(cases, signatures=True, workers=1)
    many = inspect_all(cases, signatures=True, workers=5)
    assert [found.case.case_id for found in many] == [case.case_id for case in cases]
    for alone, together in zip(one, many, strict=True):
        assert (alone.case, alone.content, alone.voxels) == (
            together.case,
            together.content,
            together.voxels,
        )
        assert (alone.signature == together.signature).all()
    assert inspect_all([], signatures=True) == []
