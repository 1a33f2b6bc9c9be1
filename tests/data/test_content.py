"""What content cannot be is a fault, what it may be a note, and real patients raise neither."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from gliomalib import __main__, settings
from gliomalib.cohort import gather
from gliomalib.data import verification
from gliomalib.data.inspection import Inspection, inspect
from gliomalib.data.readers import survey
from gliomalib.phantoms import write
from gliomalib.phantoms.patient import PhantomPlan
from gliomalib.schema import SEQUENCES, Case, DataError
from tests import faults, layouts

N_PHANTOMS = 200 if os.environ.get("GLIOMA_SOAK") else 20


def looked_at(root: Path, mask_pattern: str = "") -> Inspection:
    (case,) = survey.discover(root)
    return inspect(case, mask_pattern=mask_pattern)


def kinds(found: Inspection) -> tuple[list[str], list[str]]:
    """Return the kinds of all faults and of all notes."""
    return [fault.kind for fault in found.faults], [note.kind for note in found.notes]


def with_values(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    faults.save(path, change(np.asarray(nib.load(path).dataobj).copy()))


# --- the same scan twice


@pytest.mark.parametrize("one", SEQUENCES)
@pytest.mark.parametrize("two", SEQUENCES)
def test_any_two_sequences_that_are_one_are_told(one: str, two: str, tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)
    if one != two:
        shutil.copy(files[one], files[two])
    found = looked_at(tmp_path)
    assert kinds(found) == (["same scan twice"] * (one != two), [])
    for fault in found.faults:
        assert all(files[name].name in fault.message for name in (one, two))


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.astype(np.float64),
        lambda v: (v // 4).astype(np.uint8),
        lambda v: v.max() - v,
        lambda v: np.where(v == v.max(), 30_000, v).astype(np.int16),
        lambda v: np.sqrt(v.astype(np.float32)),
    ],
    ids=["another type", "8 bits", "inverted", "one voxel changed", "brightened"],
)
def test_a_scan_is_the_same_however_it_is_stored(
    change: Callable[[np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    files = faults.write(tmp_path, 1)
    faults.save(files["t2"], change(faults.brain(1, 0)))
    assert "same scan twice" in kinds(looked_at(tmp_path))[0]


def test_one_channel_of_four_that_is_there_twice_is_told(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "msd_task01", 1)
    stacked = np.asarray(nib.load(files["t1"]).dataobj).copy()
    stacked[..., 2] = stacked[..., 1]
    layouts.save(files["t1"], stacked)
    assert kinds(looked_at(tmp_path))[0] == ["same scan twice"]


def test_an_image_in_place_of_the_mask_is_told_for_what_it_is(tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)
    shutil.copy(files["flair"], files["seg"])
    assert kinds(looked_at(tmp_path))[0] == ["unknown label", "same scan twice"]


# --- the mask


@pytest.mark.parametrize("background", [0, -50])
def test_a_voxel_in_the_air_is_no_fault_a_hundredth_is(background: int, tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)
    for name in SEQUENCES:
        with_values(files[name], lambda v: np.where(v == 0, background, v))
    mask = np.zeros(faults.SHAPE, np.uint8)
    mask[6:16, 5:15, 5:15] = 2
    for n_outside, expected in ((10, []), (11, ["mask in air"])):
        mask[0, 0, :] = 0
        mask[0, :n_outside, 0] = 4
        faults.save(files["seg"], mask)
        assert kinds(looked_at(tmp_path))[0] == expected


def test_a_cavity_alone_is_not_called_the_mask_of_somebody_else(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "brats2024", 1)
    cavity = np.where(layouts.raw_mask("brats2024") == 4, 4, 0).astype(np.uint8)
    for mask in (cavity, cavity.astype(np.float32) - 1e-5):
        layouts.save(files["seg"], mask)
        (fault,) = looked_at(tmp_path).faults
        assert fault.kind == "cavity only"
        assert "a resection cavity and no tumour, as after treatment; leave" in fault.message
        assert "patient's" not in fault.message
    for empty in (0 * cavity, 1e-6 * cavity):
        layouts.save(files["seg"], empty)
        assert [fault.kind for fault in looked_at(tmp_path).faults] == ["no tumour"]


def test_a_cavity_may_lie_where_nothing_is_left(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, "brats2024", 1)
    empty = np.zeros(layouts.SHAPE, np.int16)
    for k, name in enumerate(SEQUENCES):
        image = empty.copy()
        image.ravel()[layouts.CAVITY :] = np.random.default_rng(k).integers(1, 90, 173)
        layouts.save(files[name], image)
    assert kinds(looked_at(tmp_path))[0] == []


PREDICTIONS = ("{}_nnunet_pred_seg", "{}_auto_Segm", "output-seg", "{}_seg_nnUNet", "Predicted_SEG")


@pytest.mark.parametrize("name", PREDICTIONS)
def test_a_prediction_is_no_mask_unless_the_user_says_so(name: str, tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)
    path = files["seg"].with_name(name.format(files["t1"].parent.name) + ".nii.gz")
    files["seg"].rename(path)
    (fault,) = looked_at(tmp_path).faults
    assert (fault.kind, fault.path) == ("predicted mask", path)
    assert "not an expert's mask; remove it, or say with --mask-pattern" in fault.message
    assert looked_at(tmp_path, path.name).faults == ()
    assert looked_at(tmp_path, "*[sS][eE][gG]*").faults == ()
    assert looked_at(tmp_path, "*_manual*").faults != ()


def test_a_user_says_so_in_the_command_and_in_the_study(tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)
    files["seg"].rename(files["seg"].with_name("a_pred_seg.nii.gz"))
    command = ["data", "verify", str(tmp_path)]
    assert __main__.main(command) == 1
    assert __main__.main([*command, "--mask-pattern", "*_pred_*"]) == 0
    data = {"data.source": "folder", "data.internal_releases": ["brats2020"]}
    data["data.on_bad_case"] = "stop"
    with pytest.raises(DataError, match="this is a prediction"):
        gather.gather(settings.load("smoke", data), tmp_path, tmp_path / "work")
    trusted = settings.load("smoke", {**data, "data.mask_pattern": "*_pred_*"})
    assert len(gather.gather(trusted, tmp_path, tmp_path / "work").cases) == 1


@pytest.mark.parametrize(
    ("folder", "release", "expected"),
    [
        ("predictions", "upenn_gbm", ["predicted mask"]),
        ("nnUNet_output", "upenn_gbm", ["predicted mask"]),
        ("images_segm", "upenn_gbm", []),
    ],
)
def test_the_folder_of_a_mask_counts_where_the_images_lie_elsewhere(
    folder: str, release: str, expected: list[str], tmp_path: Path
) -> None:
    root = tmp_path / "predictions"
    files = layouts.write(root, release, 1)
    there = files["seg"].parents[1] / folder / files["seg"].name
    there.parent.mkdir(exist_ok=True)
    files["seg"].rename(there)
    assert kinds(looked_at(root))[0] == expected


def test_of_a_mask_alone_the_two_folders_above_count(tmp_path: Path) -> None:
    found = []
    for name in ("predicted", "nnUNet_raw", "labels"):
        files = faults.write(tmp_path / "output" / "BraTS" / name, 1)
        case = Case("A", "A", "brats2020", {}, files["seg"])
        found.append(kinds(inspect(case))[0])
    assert found == [["predicted mask"], [], []]


# --- doubts


def test_a_sound_case_leaves_no_doubt(tmp_path: Path) -> None:
    faults.write(tmp_path, 1)
    assert kinds(looked_at(tmp_path)) == ([], [])


@pytest.mark.parametrize("background", [-5000, 300, 5000])
def test_a_background_far_from_the_brain_is_no_outlier(background: int, tmp_path: Path) -> None:
    for name, path in faults.write(tmp_path, 1).items():
        if name != "seg":
            with_values(path, lambda v: np.where(v == 0, background, v).astype(np.int16))
    assert kinds(looked_at(tmp_path)) == ([], [])


def test_a_qform_that_its_own_code_calls_void_says_nothing(tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)
    faults.put(files["t1"], faults.QFORM, "<2h3f", 0, 1, 2, 2, 2)
    assert kinds(looked_at(tmp_path)) == ([], [])


@pytest.mark.parametrize("value", [30_000, -30_000])
def test_one_voxel_far_from_all_others_is_a_note(value: int, tmp_path: Path) -> None:
    files = faults.write(tmp_path, 1)

    def spoilt(values: np.ndarray) -> np.ndarray:
        values[12, 11, 10] = value
        return values

    with_values(files["t1ce"], spoilt)
    (note,) = looked_at(tmp_path).notes
    assert (note.kind, note.path) == ("far outliers", files["t1ce"])
    assert "t1ce reach" in note.message and "min-max squeezes" in note.message


SPACE = {
    "no unit": (lambda files, part: faults.put(files[part], faults.UNITS, "B", 0), "mm were taken"),
    "no orientation": (
        lambda files, part: faults.put(files[part], faults.QFORM, "<2h", 0, 0),
        "axes LAS were taken; check left and right",
    ),
    "sform against qform": (
        # a quaternion of 0 is that of no turn, where sform turns x and y about
        lambda files, part: faults.put(files[part], faults.QFORM, "<2h6f", 1, 1, 0, 0, 0, 0, 0, 0),
        "which was taken",
    ),
    "sform against nothing": (
        lambda files, part: faults.put(files[part], faults.QFORM, "<2h3f", 1, 1, 2, 2, 2),
        "inf voxels from sform",
    ),
}


@pytest.mark.parametrize("name", SPACE)
def test_what_a_header_leaves_open_is_one_note_that_says_what_was_taken(
    name: str, tmp_path: Path
) -> None:
    files = faults.write(tmp_path, 1)
    plant, says = SPACE[name]
    for part in files:
        plant(files, part)
    found = looked_at(tmp_path)
    assert found.faults == ()
    (note,) = found.notes
    assert note.kind == name.replace("nothing", "qform")
    assert note.message.startswith(f"{files['t1']}: ")
    assert note.message.endswith(" (so in 4 more of its files)")
    assert says in note.message


@pytest.mark.parametrize("axis", [None, 0, 1, 2])
@pytest.mark.parametrize("turn", [(0, 1, 2), (2, 0, 1)])
def test_a_mirrored_mask_is_a_note(
    axis: int | None, turn: tuple[int, int, int], tmp_path: Path
) -> None:
    files = faults.write(tmp_path, 1)
    mask = np.zeros(faults.SHAPE, np.uint8)
    mask[6:11, 5:10, 4:9] = 2
    affine = faults.AFFINE[:, [*turn, 3]]
    lesion = faults.brain(1, 3) + 300 * (mask > 0)
    for name in (*SEQUENCES, "seg"):
        values = {"flair": lesion, "seg": mask}.get(name, faults.brain(1, len(name)))
        if name == "seg" and axis is not None:
            values = np.flip(values, axis)
        faults.save(files[name], np.transpose(values, turn).astype(np.int16), affine)
    faults.save(files["t2"], np.transpose(faults.brain(9), turn), affine)
    found = looked_at(tmp_path)
    assert kinds(found) == ([], [] if axis is None else ["mirrored mask"])
    for note in found.notes:
        assert ("left and right", "front and back", "top and bottom")[axis or 0] in note.message


def test_notes_are_in_text_and_json_and_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = faults.write(tmp_path, 1)
    faults.put(files["t2"], faults.UNITS, "B", 0)
    found = verification.verify(tmp_path)
    assert found.sound
    (note,) = found.as_json()["notes"]
    assert (note["kind"], note["path"]) == ("no unit", str(files["t2"]))
    assert __main__.main(["data", "verify", str(tmp_path)]) == 0
    assert f"note, no unit: {files['t2']}: the header names no unit" in capsys.readouterr().out


# --- rates of false alarms


def alarms(root: Path) -> tuple[int, dict[str, int], dict[str, int]]:
    """Return the number of cases, and how many faults and notes of each kind they raise."""
    found = verification.verify(root)
    counts = (table["kind"].value_counts().to_dict() for table in (found.faults, found.notes))
    return (len(found.cases), *counts)


@pytest.mark.parametrize(
    ("folder", "n"), [("real", 10), ("real-more", 14), ("real-cubes", 368), ("real-masks", 368)]
)
def test_no_real_patient_raises_an_alarm(folder: str, n: int, real_data: Path) -> None:
    root = real_data if folder == "real" else real_data.parent / folder
    if not root.is_dir():
        pytest.skip(f"no {folder} beside the real patients")
    assert alarms(root) == (n, {}, {})


@pytest.fixture(scope="session")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write phantoms of both sites at 8 mm."""
    root = tmp_path_factory.mktemp("coarse")
    for site in "AB":
        write.write_cohort(root, PhantomPlan(1, 8.0, site), range(1, N_PHANTOMS // 2 + 1))
    return root


def test_no_phantom_raises_an_alarm(coarse: Path) -> None:
    assert alarms(coarse) == (N_PHANTOMS, {}, {})
