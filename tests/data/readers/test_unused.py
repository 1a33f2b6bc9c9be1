"""What is not used is named: by kind, with its reason, in few lines, and never a false hint."""

import json
import random
import shutil
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.data.readers import brats, names, survey
from gliomalib.data.readers.unused import Unused
from gliomalib.phantoms import write
from tests import layouts
from tests.data.readers.test_layout import touch

GLI, GLI_24, B20 = "brats2023", "brats2024", "brats2020"


def told(root: Path) -> dict[str, str]:
    """Return place below ``root`` → kind of what is not used there."""
    return {place(entry, root): entry.kind for entry in survey.look(root).unused}


def place(entry: Unused, root: Path) -> str:
    return str(entry.path.relative_to(root))


def sentences(root: Path) -> str:
    return "\n".join(entry.message for entry in survey.look(root).unused)


def folder_of(release: str, root: Path, number: int = 5, **more: bool) -> Path:
    return layouts.write(root, release, number, **more)["t1"].parent


# --- nothing is said of what is used


@pytest.mark.parametrize("release", layouts.LAYOUTS)
def test_a_release_as_it_is_distributed_has_no_note_but_its_further_images(
    release: str, tmp_path: Path
) -> None:
    for number in (1, 2):
        layouts.write(tmp_path, release, number)
    layouts.ucsf_table(tmp_path / "UCSF-PDGM-metadata_v5.csv", [("UCSF-PDGM-001", "", "4")])
    (tmp_path / "name_mapping.csv").write_text(layouts.NAMES_TABLE)
    touch(tmp_path, "README.md", "LICENSE", "MD5SUMS.txt", ".DS_Store", "Thumbs.db", "x.csv~")
    touch(tmp_path, "terms.pdf", "@eaDir/x.nii.gz", ".git/config", ".datalad/config")
    found = survey.survey(tmp_path)
    assert len(found.cases) == 2 and found.faults == ()
    assert {entry.kind for entry in found.unused} <= {"other image"}
    assert bool(found.unused) == (release in ("ucsf_pdgm", "upenn_gbm"))


def test_the_card_of_a_phantom_is_used(tmp_path: Path) -> None:
    assert brats.CARD == write.CARD
    folder = layouts.write(tmp_path, B20, 1)["t1"].parent
    touch(folder, brats.CARD)
    assert told(tmp_path) == {}


# --- what people have


def test_a_copy_of_a_case_among_good_ones_is_named(tmp_path: Path) -> None:
    folder = folder_of(B20, tmp_path)
    for name in ("{} (1)", "{} - Copy", "Copy of {}", "{} 2", "{}.bak", "{} - Kopie (2)"):
        place = folder.with_name(name.format(folder.name))
        shutil.copytree(folder, place)
        assert told(tmp_path) == {str(place.relative_to(tmp_path)): "copy of a case"}
        assert f"{folder.name} is here too, so delete the copy" in sentences(tmp_path)
        shutil.rmtree(place)
    folder.rename(folder.with_name(f"{folder.name} (1)"))
    folder_of(B20, tmp_path, 6)
    assert "5 files are not used, because its name is that of a copy" in sentences(tmp_path)
    assert sentences(tmp_path).endswith("; did you mean BraTS20_Training_005?")


def test_a_copy_of_a_file_is_no_mask(tmp_path: Path) -> None:
    folder = folder_of(B20, tmp_path, mask=False)
    names = [f"{folder.name}_t1 (1).nii.gz", f"{folder.name}_flair - Copy.nii.gz"]
    for name in names:
        shutil.copy(folder / f"{folder.name}_t1.nii.gz", folder / name)
    found = survey.survey(tmp_path)
    assert (found.faults, found.cases[0].segmentation) == ((), None)
    assert sorted(told(folder)[name] for name in names) == ["file elsewhere"] * 2
    assert f"once; there it is {folder.name}/{folder.name}_t1.nii.gz" in sentences(tmp_path)


@pytest.mark.parametrize("name", ["{}-Seg.nii.gz", "{}-SEG.nii", "{}-seg.NII.GZ"])
def test_a_mask_whose_name_differs_in_case_only_is_read(name: str, tmp_path: Path) -> None:
    files = layouts.write(tmp_path, GLI, 5)
    mask = files["seg"].with_name(name.format(files["t1"].parent.name))
    files["seg"].rename(mask)
    (case,) = survey.discover(tmp_path)
    assert case.segmentation == mask and told(tmp_path) == {}


@pytest.mark.parametrize(
    "name", ["{}-segmentation.nii.gz", "{}_seg.nii.gz", "{}-mask.nii", "seg.nii.gz", "{}.seg.nii"]
)
def test_a_mask_that_is_nearly_named_right_is_pointed_at(name: str, tmp_path: Path) -> None:
    files = layouts.write(tmp_path, GLI, 5)
    mask = files["seg"].with_name(name.format(files["t1"].parent.name))
    files["seg"].rename(mask)
    assert set(told(tmp_path).values()) == {"nearly a name", "no mask"}
    assert f"{mask}: not used, because" in sentences(tmp_path)
    assert "did you mean BraTS-GLI-00005-000-seg.nii.gz?" in sentences(tmp_path)


@pytest.mark.parametrize("name", ["{}_nnunet_pred_seg", "{}-brain_mask", "{}-seg-auto"])
def test_what_no_expert_made_is_never_proposed_as_the_mask(name: str, tmp_path: Path) -> None:
    folder = folder_of(GLI, tmp_path, mask=False)
    touch(folder, f"{name.format(folder.name)}.nii.gz")
    assert set(told(tmp_path).values()) == {"other image", "no mask"}
    assert "did you mean" not in sentences(tmp_path)


def test_a_sequence_that_is_nearly_named_right_is_pointed_at(tmp_path: Path) -> None:
    files = layouts.write(tmp_path, GLI, 5)
    files["t1ce"].rename(files["t1ce"].with_name("BraTS-GLI-00005-000-t1ce.nii.gz"))
    assert [fault.kind for fault in survey.look(tmp_path).faults] == ["missing sequence"]
    assert "did you mean BraTS-GLI-00005-000-t1c.nii.gz?" in sentences(tmp_path)
    assert set(told(tmp_path).values()) == {"file of a faulty case", "nearly a name"}


def test_a_file_of_another_case_is_neither_its_mask_nor_silent(tmp_path: Path) -> None:
    folder = folder_of(B20, tmp_path, mask=False)
    touch(folder, "BraTS20_Training_006_seg.nii.gz")
    assert survey.survey(tmp_path).cases[0].segmentation is None
    assert "there it is BraTS20_Training_006/BraTS20_Training_006_seg.nii.gz" in sentences(folder)


def test_unlabelled_cases_of_a_training_set_are_one_note(tmp_path: Path) -> None:
    for number in range(1, 11):
        layouts.write(tmp_path, B20, number, mask=number < 4)
    (entry,) = survey.survey(tmp_path).unused
    assert (entry.kind, entry.files, place(entry, tmp_path)) == (
        *("no mask", 28),
        layouts.LAYOUTS[B20].folder,
    )
    assert "because 7 of 10 cases of brats2020 have no mask; unless this is a" in entry.message
    assert "(BraTS20_Training_004, " in entry.message and "_008 and 2 more)" in entry.message


@pytest.mark.parametrize(
    "folder", ["MICCAI_BraTS2020_ValidationData", "val", "BraTS_Testing", "a/Val/x"]
)
def test_a_validation_set_has_no_masks(folder: str, tmp_path: Path) -> None:
    case = folder_of(GLI, tmp_path / "from", mask=False)
    shutil.copytree(case, tmp_path / "to" / folder / case.name)
    assert told(tmp_path / "to") == {}


def test_most_of_upenn_has_no_expert_s_mask(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        layouts.write(tmp_path, "upenn_gbm", number, mask=number == 1)
    assert "no mask" not in told(tmp_path).values()
    shutil.rmtree(tmp_path / "UPENN-GBM/images_segm")
    assert "no mask" in told(tmp_path).values()


def test_a_case_within_a_folder_of_its_name_is_read_once(tmp_path: Path) -> None:
    for release in (B20, GLI, "ucsf_pdgm"):
        folder = folder_of(release, tmp_path)
        folder.rename(tmp_path / "inner")
        (tmp_path / "inner").rename(tmp_path / folder.name)
        folder.mkdir()
        (tmp_path / folder.name).rename(folder / folder.name)
    found = survey.survey(tmp_path)
    assert len(found.cases) == 3 and found.faults == ()
    assert {entry.kind for entry in found.unused} == {"other image"}


def test_a_mask_around_the_folder_of_its_case_is_named(tmp_path: Path) -> None:
    folder = folder_of(B20, tmp_path)
    folder.rename(tmp_path / "inner")
    folder.mkdir()
    (tmp_path / "inner").rename(folder / folder.name)
    (folder / folder.name / f"{folder.name}_seg.nii.gz").rename(
        folder / f"{folder.name}_seg.nii.gz"
    )
    assert survey.survey(tmp_path).faults == ()
    assert sorted(told(tmp_path).values()) == ["file elsewhere", "no mask"]


def test_masks_beside_whole_cases_are_no_cases_again(tmp_path: Path) -> None:
    files = layouts.write(tmp_path / "whole", B20, 5)
    place = tmp_path / "masks" / files["t1"].parent.name
    place.mkdir(parents=True)
    shutil.copy(files["seg"], place)
    for masks in (False, True):
        found = survey.survey(tmp_path, masks=masks)
        assert (len(found.cases), found.faults) == (1, ())
        assert found.unused[0].kind == "file elsewhere"


def test_a_file_within_a_folder_of_its_name_is_named(tmp_path: Path) -> None:
    layouts.write(tmp_path, B20, 6)
    files = layouts.write(tmp_path, B20, 5)
    inner = files["t1"].rename(tmp_path / "x.nii.gz")
    files["t1"].mkdir()
    inner.rename(files["t1"] / "00000057_brain_t1.nii")
    assert [fault.kind for fault in survey.look(tmp_path).faults] == ["missing sequence"]
    assert told(tmp_path)[str(files["t1"].relative_to(tmp_path))] == "folder named like a file"


def nnunet(root: Path) -> None:
    names = (f"case_{n:03d}_{channel:04d}.nii.gz" for n in (1, 2) for channel in range(4))
    touch(root, *(f"imagesTr/{name}" for name in names), "labelsTr/case_001.nii.gz")
    (root / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1"}}))


def test_the_layout_of_nnu_net_is_called_what_it_is(tmp_path: Path) -> None:
    nnunet(tmp_path / "Dataset001_Glioma")
    (fault,) = survey.look(tmp_path).faults
    assert fault.kind == survey.UNKNOWN
    assert (
        "Dataset001_Glioma: 10 files are not used, because it belongs to the raw" in fault.message
    )
    assert "give the release from which it was made" in fault.message
    layouts.write(tmp_path, "msd_task01", 1)
    assert told(tmp_path) == {"Dataset001_Glioma": "nnU-Net"}


def test_other_tasks_of_the_decathlon_are_called_what_they_are(tmp_path: Path) -> None:
    layouts.write(tmp_path, "msd_task01", 1)
    touch(tmp_path, *(f"Task04_Hippocampus/{p}/x_001.nii.gz" for p in ("imagesTr", "labelsTr")))
    assert told(tmp_path) == {"Task04_Hippocampus": "other task"}


SISTERS = {
    "BraTS-PED-00004-000/BraTS-PED-00004-000-t1n.nii.gz": "children",
    "BraTS2024-PEDs-Training/BraTS-PED-00004-000/BraTS-PED-00004-000-seg.nii.gz": "children",
    "BraTS-MEN-00000-000/BraTS-MEN-00000-000-t1c.nii.gz": r"meningiomas \(BraTS-MEN\)",
    "BraTS-MEN-RT-0002-1/BraTS-MEN-RT-0002-1_t1c.nii.gz": "before radiotherapy",
    "ASNR-MICCAI-BraTS2023-MET-Challenge-TrainingData/BraTS-MET-00001-000/x.nii.gz": "metastases",
    "BraTS-GoAT-00000/BraTS-GoAT-00000-t1n.nii.gz": "all challenges",
    "BraTS-NEW-00000-000/BraTS-NEW-00000-000-t1n.nii.gz": "not known here",
    "FeTS2022_00000/FeTS2022_00000_t1.nii.gz": "FeTS",
    "BraTSReg_001/BraTSReg_001_00_0000_t1.nii.gz": "BraTS-Reg",
    "BRATS2015_Training/LGG/brats_2013_pat0008_1/VSD.Brain.XX.O.MR_T1.1/a.mha": "before 2017",
}


@pytest.mark.parametrize("path", SISTERS)
@pytest.mark.parametrize("alone", [True, False])
def test_a_sister_challenge_is_called_what_it_is(path: str, alone: bool, tmp_path: Path) -> None:
    touch(tmp_path, path)
    if not alone:
        layouts.write(tmp_path, GLI, 5)
        assert told(tmp_path) == {path.split("/", maxsplit=1)[0]: names.rule_of(path)[1]}  # type: ignore[index]
    said = " ".join([sentences(tmp_path), *(f.message for f in survey.look(tmp_path).faults)])
    assert bool(survey.look(tmp_path).faults) == alone
    assert SISTERS[path].replace("\\", "") in said
    assert "did you mean" not in said and "rename" not in said and "look like" not in said


def test_many_of_a_sister_beside_gli_are_one_line(tmp_path: Path) -> None:
    place = folder_of(GLI, tmp_path).parent
    for number in range(30):
        case = f"BraTS-PED-{number:05d}-000"
        touch(place, *(f"{case}/{case}-{end}.nii.gz" for end in ("t1n", "t1c", "seg")))
    (entry,) = survey.survey(tmp_path).unused
    assert (entry.path, entry.files) == (place, 90)
    assert "BraTS-PED-00004-000 and 25 more)" in entry.message


def test_gli_and_ssa_are_no_sisters() -> None:
    for name in ("BraTS-GLI-00000-000", "BraTS-SSA-00002-000", "BraTS2024-BraTS-GLI-Training"):
        assert names.rule_of(name) is None


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        ("BraTS20_Training_5", "BraTS20_Training_001"),
        ("BraTS2020_Training_005", "BraTS20_Training_001"),
        ("BraTS-2021-00005", "BraTS2021_00000"),
        ("brats-gli-00005-000", "BraTS-GLI-00000-000"),
        ("UCSF-PDGM-0004", "UCSF-PDGM-0004_nifti"),
        # of another release: no advice
        ("BraTS22_Training_005", ""),
        ("BraTS2022_00005", ""),
        ("BraTS-PED-00005-000", ""),
        ("BraTS-GLI", ""),
        ("TCGA-02-0001", ""),
        ("BraTS2020_TrainingData", ""),
    ],
)
def test_a_hint_stays_within_the_release(seen: str, wanted: str, tmp_path: Path) -> None:
    touch(tmp_path, f"{seen}/t1.nii.gz")
    (fault,) = survey.look(tmp_path).faults
    hint = fault.message.partition("did you mean ")[2]
    assert hint == (f"{wanted}?" if wanted else "")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("BraTS2021_00000.zip", "archive"),
        ("more/BraTS2021_00000.tar.gz", "archive"),
        ("x/BraTS2021_00007_t1.nii.gz.part", "unfinished download"),
        ("Unconfirmed 1.crdownload", "unfinished download"),
        ("dicom/IM0001.dcm", "other format"),
        ("slices/volume_1_slice_0.h5", "other format"),
        ("survival_info.csv", "other table"),
        ("name.xls", "other format"),
        ("notes.txt", "other file"),
        ("empty", "empty folder"),
        (".hidden/BraTS20_Training_007_t1.nii.gz", "hidden"),
        ("BraTS20_Training_007_t1.nii.gz", "file elsewhere"),
        ("masks/BraTS20_Training_005_seg.nii.gz", "file elsewhere"),
        ("old/brain.nii.gz", "other file"),
        ("other/BraTS20_Training_005/BraTS20_Training_005_wt.nii", "other image"),
    ],
)
def test_everything_else_has_a_kind(path: str, kind: str, tmp_path: Path) -> None:
    layouts.write(tmp_path, B20, 5)
    (tmp_path / path).mkdir() if kind == "empty folder" else touch(tmp_path, path)
    assert list(told(tmp_path).values()) == [kind]
    assert path.split("/", maxsplit=1)[0] in sentences(tmp_path)


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    layouts.write(tmp_path, B20, 5)
    (tmp_path / "name.csv").symlink_to("gone.csv")
    assert told(tmp_path) == {"name.csv": "dangling link"}


# --- official tables, whatever they are called


def test_a_table_of_names_under_a_browser_s_name_joins_two_cases(tmp_path: Path) -> None:
    for release, case in (("brats2019", "BraTS19_TMC_00001_1"), (B20, "BraTS20_Training_001")):
        layouts.write(tmp_path, release, 1)
        assert (tmp_path / layouts.LAYOUTS[release].folder / case).is_dir()
    columns = ("Grade", "BraTS_2019_subject_ID", "BraTS_2020_subject_ID")
    row = ("LGG", "BraTS19_TMC_00001_1", "BraTS20_Training_001")
    for name, delimiter in (("name_mapping (1).csv", ","), ("a.csv", ";"), ("b.tsv", "\t")):
        path = tmp_path / name
        path.write_text("".join(delimiter.join(line) + "\n" for line in (columns, row)))
        assert {case.patient_id for case in survey.discover(tmp_path)} == {"BraTS20_Training_001"}
        assert told(tmp_path) == {}
        path.unlink()
    book = openpyxl.Workbook()
    for line in (columns, row):
        book.active.append(line)
    book.save(tmp_path / "c.xlsx")
    assert {case.patient_id for case in survey.discover(tmp_path)} == {"BraTS20_Training_001"}


def test_the_table_of_ucsf_is_known_by_its_columns(tmp_path: Path) -> None:
    layouts.write(tmp_path, "ucsf_pdgm", 4)
    path = layouts.ucsf_table(tmp_path / "x (1).csv", [("UCSF-PDGM-004", "BraTS2021_00097", "4")])
    path.write_text(path.read_text().replace(",", ";"))
    assert survey.discover(tmp_path)[0].patient_id == "BraTS2021_00097"
    assert "other table" not in told(tmp_path).values()


def test_two_tables_that_contradict_each_other_are_both_named(tmp_path: Path) -> None:
    layouts.write(tmp_path, B20, 5)
    for name, other in (("one.csv", "b"), ("two.csv", "a"), ("three.csv", "c")):
        ids = ("a,NA,z", "NA,c,z")[other == "c"] if name != "one.csv" else "a,b,NA"
        (tmp_path / name).write_text(f"BraTS2018,BraTS2019,BraTS2020\n{ids}\n")
    (fault,) = survey.survey(tmp_path).faults
    assert f"{tmp_path}/one.csv, line 2" in fault.message
    assert f"{tmp_path}/three.csv, line 2" in fault.message
    assert "two.csv" not in fault.message


# --- nothing is silent


NAMES = st.sampled_from(
    [
        *("BraTS20_Training_005", "BraTS-GLI-00001-000", "BraTS-PED-00001-000", "UCSF-PDGM-0004"),
        *("UPENN-GBM-00001_11", "images", "imagesTr", "old (1)", "BraTS20_Training_005 (1)", "ü"),
    ]
)
ENDS = st.sampled_from(
    ["_t1", "-t1n", "_seg", "-Seg", "_T1GD", "_0000", "", " - Copy", "_segm", "_tumor_segmentation"]
)
KINDS = st.sampled_from([".nii.gz", ".nii", ".csv", ".zip", ".txt", "", ".nii.gz.part", ".json"])
FILES = st.builds("{}{}{}".format, NAMES, ENDS, KINDS)
PATHS = st.builds(lambda above, name: "/".join([*above, name]), st.lists(NAMES, max_size=3), FILES)


@given(st.sets(PATHS, max_size=12), st.randoms(use_true_random=False))
def test_every_file_is_used_or_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, paths: set[str], rng: random.Random
) -> None:
    root = tmp_path_factory.mktemp("tree")
    layouts.write(root, rng.choice([B20, GLI]), 5)
    for path in sorted(paths):
        try:
            touch(root, path)
        except (FileExistsError, NotADirectoryError):
            continue
    found = survey.look(root)
    # a mask whose images are missing is a case of its own, beside the faults that say so
    cases = (*found.cases, *survey.look(root, masks=True).cases)
    used = {path for case in cases for path in case.files.values()}
    rest = {path for path in root.rglob("*") if path.is_file()} - used
    places = {entry.path for entry in found.unused}
    faulty = {fault.path for fault in found.faults}
    assert all(places & {path, *path.parents} for path in rest - faulty)
    assert sum(entry.files for entry in found.unused if entry.kind != "no mask") == len(
        rest - faulty
    )
    assert "look like" not in " ".join(fault.message for fault in found.faults)
