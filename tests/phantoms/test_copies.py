"""Disguised copies: each is what it is said to be, and each is found by what it is."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from gliomalib.cohort import identity
from gliomalib.data import inspection
from gliomalib.data.inspection import Inspection
from gliomalib.data.readers import survey
from gliomalib.phantoms import copies
from gliomalib.schema import SEQUENCES, Case
from tests import faults


@pytest.fixture
def originals(tmp_path: Path) -> list[Case]:
    """Write six sound cases that stand for phantoms."""
    for number in range(1, 7):
        faults.write_as(tmp_path / "internal" / f"Phantom-A-{number:03d}", number)
    cases = survey.discover(tmp_path / "internal")
    return [replace(case, grade=("HGG", "LGG")[k % 2]) for k, case in enumerate(cases)]


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_names_of_copies() -> None:
    assert copies.id_of(Case("Phantom-A-007", "x", "phantom", {}, None)) == "Phantom-A-007-copy"


def test_every_disguise_in_turn(originals: list[Case], tmp_path: Path) -> None:
    root = copies.write(tmp_path / "copies", originals, 3)
    found = survey.survey(root)
    assert found.faults == ()
    assert {case.case_id for case in found.cases} == {
        f"Phantom-A-00{number}-copy" for number in range(1, 7)
    }
    assert {case.release for case in found.cases} == {"phantom_copy"}
    by_id = {case.case_id: case for case in found.cases}
    assert by_id["Phantom-A-001-copy"].patient_id == originals[0].case_id
    assert by_id["Phantom-A-005-copy"].patient_id == originals[4].case_id
    assert by_id["Phantom-A-005-copy"].grade == "HGG"


def test_a_named_copy_is_the_same_files(originals: list[Case], tmp_path: Path) -> None:
    root = copies.write(tmp_path / "copies", originals[:1], 3)
    (copy,) = survey.discover(root)
    for part, path in originals[0].files.items():
        assert copy.files[part].read_bytes() == path.read_bytes()


def test_a_stored_copy_has_the_same_voxels_in_other_bytes(
    originals: list[Case], tmp_path: Path
) -> None:
    root = copies.write(tmp_path / "copies", originals[:2], 3)
    copy = next(case for case in survey.discover(root) if case.case_id == "Phantom-A-002-copy")
    for part, path in originals[1].files.items():
        assert copy.files[part].suffix == ".nii"
        assert voxels(copy.files[part]).dtype == np.float32
        assert (voxels(copy.files[part]) == voxels(path)).all()
        assert copy.files[part].read_bytes() != faults.content_of(path)


def test_a_processed_copy_has_other_voxels_and_the_same_mask(
    originals: list[Case], tmp_path: Path
) -> None:
    root = copies.write(tmp_path / "copies", originals[:3], 3)
    copy = next(case for case in survey.discover(root) if case.case_id == "Phantom-A-003-copy")
    for part in SEQUENCES:
        old, new = voxels(originals[2].files[part]), voxels(copy.files[part])
        assert not (old == new).all()
        assert ((new == 0) == (old == 0)).all()
        inside = old > 0
        assert np.corrcoef(old[inside], new[inside])[0, 1] > 0.98
    assert (voxels(copy.files["seg"]) == voxels(originals[2].files["seg"])).all()


def test_a_study_finds_out_every_copy_by_what_it_is(originals: list[Case], tmp_path: Path) -> None:
    root = copies.write(tmp_path / "copies", originals, 3)
    cases = [*originals, *survey.discover(root)]
    found = inspection.inspect_all(cases, signatures=True)
    damaged = [one for one in found if one.faults]
    assert [(one.case.case_id, one.faults[0].kind) for one in damaged] == [
        ("Phantom-A-004-copy", "damaged gzip")
    ]
    how = {frozenset((link.case_id, link.other_id)): link.how for link in _sound_links(found)}
    assert how == {
        frozenset(("Phantom-A-001-copy", "Phantom-A-001")): "table",
        frozenset(("Phantom-A-002-copy", "Phantom-A-002")): "content",
        frozenset(("Phantom-A-003-copy", "Phantom-A-003")): "suspect",
        frozenset(("Phantom-A-005-copy", "Phantom-A-005")): "table",
        frozenset(("Phantom-A-006-copy", "Phantom-A-006")): "content",
    }


def _sound_links(found: list[Inspection]) -> list[identity.Link]:
    # the same voxels under a name that a table gives are known twice over
    links = identity.links([one for one in found if not one.faults])
    named = {link.case_id for link in links if link.how == "table"}
    return [link for link in links if link.how != "content" or link.case_id not in named]


def test_the_same_seed_gives_the_same_copies(originals: list[Case], tmp_path: Path) -> None:
    first = copies.write(tmp_path / "first", originals[:3], 3)
    again = copies.write(tmp_path / "again", originals[:3], 3)
    other = copies.write(tmp_path / "other", originals[:3], 4)
    for part in SEQUENCES:
        name = f"Phantom-A-003-copy/Phantom-A-003-copy_{part}.nii.gz"
        assert (voxels(first / name) == voxels(again / name)).all()
        assert not (voxels(first / name) == voxels(other / name)).all()
    assert faults.digests(first).keys() == faults.digests(again).keys()


def test_copies_of_an_earlier_run_go(originals: list[Case], tmp_path: Path) -> None:
    root = copies.write(tmp_path / "copies", originals, 3)
    copies.write(root, originals[:1], 3)
    assert [case.case_id for case in survey.discover(root)] == ["Phantom-A-001-copy"]
    copies.write(root, [], 3)
    assert not root.exists()


def test_a_run_that_breaks_off_leaves_nothing_half_written(
    originals: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = faults.digests(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(copies.nib, "save", full)
        with pytest.raises(OSError, match="No space left"):
            copies.write(tmp_path / "copies", originals, 3)
    assert not (tmp_path / "copies").exists()
    whole = copies.write(tmp_path / "copies", originals, 3)
    assert len(survey.discover(whole)) == 6
    shown = {path for path in faults.digests(tmp_path) if not path.startswith("copies/")}
    assert shown == set(before)


def test_originals_are_left_as_they_are(originals: list[Case], tmp_path: Path) -> None:
    before = faults.digests(tmp_path / "internal")
    copies.write(tmp_path / "copies", originals, 3)
    assert faults.digests(tmp_path / "internal") == before
