"""Who takes part: phantoms, several releases, patients that stand twice, overlap of the years."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.cohort import gather
from gliomalib.cohort import table as casetable
from gliomalib.cohort.splits import deal
from gliomalib.cohort.table import COLUMNS
from gliomalib.data import orientation
from gliomalib.data.fingerprint import SAME_SCAN
from gliomalib.phantoms import write
from gliomalib.provenance import CORES
from gliomalib.schema import DataError, SettingsError
from tests import faults, layouts


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Patients A (three years), B (two), 3 (one, and again in 2021), one of 2021, one unmasked."""
    root = tmp_path / "pool"
    for seed, name in enumerate(
        ("Brats18_A", "BraTS19_A", "BraTS19_B", "BraTS20_Training_001", "BraTS20_Training_003")
    ):
        faults.write_as(root / name, seed)
    faults.write_as(root / "BraTS2021_00003", 4)
    faults.write_as(root / "BraTS2021_00009", 9)
    faults.write_as(root / "BraTS20_Validation_001", 10)["seg"].unlink()
    (root / "name_mapping.csv").write_text(layouts.NAMES_TABLE)
    return root


def study(data: dict[str, Any], **more: Any) -> settings.Study:
    known = settings.load("smoke")
    return known.model_copy(update={"data": settings.Data.model_validate(data), **more})


def folder_study(
    internal: Sequence[str], external: Sequence[str] = (), **more: Any
) -> settings.Study:
    releases = {"internal_releases": internal, "external_releases": external}
    return study({"source": "folder", **releases, **more})


def gathered(root: Path, internal: Sequence[str], external: Sequence[str] = ()) -> dict[str, Any]:
    table = gather.gather(folder_study(internal, external), root, root).cases
    assert tuple(table.columns) == COLUMNS
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return {row["case_id"]: (row["patient_id"], row["part"], row["note"]) for row in rows}


def test_a_study_of_masks_takes_masks_with_the_years_of_the_tables(pool: Path) -> None:
    for name in ("t1", "t1ce", "t2", "flair"):
        (pool / "BraTS20_Training_001" / f"BraTS20_Training_001_{name}.nii.gz").unlink()
    whole = folder_study(["brats2020"])
    with pytest.raises(DataError, match="sequence t1 is missing"):
        gather.gather(whole, pool, pool)
    masks = folder_study(["brats2020"], extent="masks")
    cases = gather.gather(masks, pool, pool).cases
    used = cases[cases["part"] == "internal"].set_index("case_id")
    assert list(used.index) == ["BraTS20_Training_001"]
    notes = cases.set_index("case_id")["note"]
    assert notes["BraTS20_Training_003"] == "same voxels as BraTS20_Training_001", "equal masks"
    assert used.loc["BraTS20_Training_001", "years"] == "2017 2018 2019 2020"
    assert used["t1"].isna().all(), "images that lie beside a mask are not looked at"
    assert used["shape"].notna().all() and used["digests"].str.split().str.len().eq(1).all()
    first = casetable.case_of(used.reset_index().iloc[0])
    scan = orientation.read(first)
    assert scan.images == () and scan.labels is not None


def test_every_case_has_its_part_and_its_reason(pool: Path) -> None:
    years = ("brats2018", "brats2019", "brats2020")
    assert gathered(pool, years, ["brats2021"]) == {
        "BraTS20_Training_001": ("BraTS20_Training_001", "internal", None),
        "BraTS19_B": ("BraTS20_Training_002", "internal", None),
        "BraTS20_Training_003": ("BraTS20_Training_003", "internal", None),
        "BraTS2021_00009": ("BraTS2021_00009", "external", None),
        "BraTS19_A": ("BraTS20_Training_001", "duplicate", "same patient as BraTS20_Training_001"),
        "Brats18_A": ("BraTS20_Training_001", "duplicate", "same patient as BraTS20_Training_001"),
        "BraTS2021_00003": (
            "BraTS20_Training_003",
            "duplicate",
            "same voxels as BraTS20_Training_003",
        ),
        "BraTS20_Validation_001": ("BraTS20_Validation_001", "unused", "no mask"),
    }


def test_what_is_not_used_is_listed_with_its_reason(pool: Path, tmp_path: Path) -> None:
    copy = pool / "Brats18_A (1)"
    shutil.copytree(pool / "Brats18_A", copy)
    found = gather.gather(folder_study(["brats2018"]), pool, tmp_path)
    assert found.unused.to_numpy().tolist() == [
        [
            *("copy of a case", 5),
            "Brats18_A (1): 5 files are not used, because its name is that of a copy; "
            "Brats18_A is here too, so delete the copy",
        ]
    ]


def test_a_doubt_about_a_case_is_listed_and_it_is_used(pool: Path, tmp_path: Path) -> None:
    path = pool / "Brats18_A" / "Brats18_A_t2.nii.gz"
    image = nib.load(path)
    image.header.set_xyzt_units("unknown")
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)
    found = gather.gather(folder_study(["brats2018"]), pool, tmp_path)
    (note,) = found.notes.to_dict("records")
    assert (note["case_id"], note["kind"]) == ("Brats18_A", "no unit")
    assert note["what to do"].startswith("Brats18_A/Brats18_A_t2.nii.gz: the header names no unit")
    assert found.faults.empty and "Brats18_A" in set(
        found.cases.query("part == 'internal'")["case_id"]
    )


def test_releases_that_are_not_asked_for_are_listed_as_unused(pool: Path) -> None:
    found = gathered(pool, ["brats2019"])
    assert {name for name, row in found.items() if row[1] == "internal"} == {
        "BraTS19_A",
        "BraTS19_B",
    }
    assert found["Brats18_A"][1:] == ("unused", "brats2018 is not part of the study")
    assert found["BraTS2021_00009"][1:] == ("unused", "brats2021 is not part of the study")
    assert len(found) == 8


def test_a_split_by_site_uses_nobody_of_unknown_site(tmp_path: Path) -> None:
    table = ["BraTS_2019_subject_ID,BraTS_2020_subject_ID"]
    for number, site in enumerate(("CBICA", "TCIA10", ""), 1):
        faults.write_as(tmp_path / f"BraTS20_Training_{number:03d}", number)
        table += [f"BraTS19_{site}_{number}_1,BraTS20_Training_{number:03d}"] if site else []
    (tmp_path / "name_mapping.csv").write_text("\n".join(table))
    for by, part, note in (("site", "unused", "site unknown"), ("patient", "internal", None)):
        split = settings.SplitPlan(by=by, site_patients=1)
        asked = folder_study(["brats2020"]).model_copy(update={"split": split})
        cases = gather.gather(asked, tmp_path, tmp_path).cases.set_index("case_id")
        assert cases["site"].to_dict() == {
            "BraTS20_Training_001": "CBICA",
            "BraTS20_Training_002": "TCIA10",
            "BraTS20_Training_003": "",
        }
        assert (cases["part"].iloc[:2] == "internal").all()
        last = cases.loc["BraTS20_Training_003"]
        assert last["part"] == part and (last["note"] == note if note else pd.isna(last["note"]))
        site = [split.test for split in deal(cases.reset_index(), asked).get("site", ())]
        assert site == [("BraTS20_Training_001",), ("BraTS20_Training_002",)] * (by == "site")


def test_a_patient_of_both_sides_stays_internal_only(pool: Path) -> None:
    found = gathered(pool, ["brats2018"], ["brats2020"])
    assert found["Brats18_A"] == ("BraTS20_Training_001", "internal", None)
    assert found["BraTS20_Training_001"][1:] == ("duplicate", "same patient as Brats18_A")
    assert found["BraTS20_Training_003"][1] == "external"


def test_whom_the_tables_know_in_an_internal_release_is_not_external(pool: Path) -> None:
    names = "BraTS_2021_subject_ID,BraTS_2020_subject_ID\nBraTS2021_00009,BraTS20_Training_271\n"
    (pool / "name_mapping_2021.csv").write_text(names)
    faults.write_as(pool / "BraTS2021_00011", 11)
    found = gathered(pool, ["brats2020"], ["brats2021"])
    assert found["BraTS2021_00009"] == ("BraTS20_Training_271", "internal", None)
    assert found["BraTS2021_00011"][1] == "external"
    # the internal release is another one: this patient need not be in it
    assert gathered(pool, ["brats2018"], ["brats2021"])["BraTS2021_00009"][1] == "external"


def test_an_external_set_of_known_patients_only_is_refused(pool: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    for name in ("BraTS20_Training_001", "BraTS19_A"):
        (few / name).parent.mkdir(exist_ok=True)
        (few / name).symlink_to(pool / name)
    (few / "name_mapping.csv").symlink_to(pool / "name_mapping.csv")
    with pytest.raises(DataError, match=r"nobody of brats2019 is left for the external part: same"):
        gather.gather(folder_study(["brats2020"], ["brats2019"]), few, few)


def test_a_faulty_case_stops_the_study_or_is_excluded(pool: Path) -> None:
    path = pool / "BraTS20_Training_003" / "BraTS20_Training_003_t2.nii.gz"
    path.write_bytes(path.read_bytes()[:-30])
    (pool / "BraTS2021_00009" / "BraTS2021_00009_flair.nii.gz").unlink()
    # a release that the study does not ask for may be as it likes
    (pool / "Brats18_A" / "Brats18_A_t1.nii.gz").unlink()
    asked = (["brats2020"], ["brats2021"])
    with pytest.raises(DataError, match=r"BraTS2021_00009: sequence flair is missing.*1 more"):
        gather.gather(folder_study(*asked), pool, pool)
    found = gather.gather(folder_study(*asked, on_bad_case="exclude"), pool, pool)
    parts = found.cases.set_index("case_id")[["part", "note"]]
    assert parts.loc["BraTS20_Training_003"].tolist() == [
        "excluded",
        "damaged gzip (BraTS20_Training_003_t2.nii.gz)",
    ]
    assert parts.loc["BraTS2021_00009"].tolist() == [
        "excluded",
        "missing sequence (BraTS2021_00009)",
    ]
    # its twin in the other release, of whom it is the only sound examination now, takes its place
    assert parts.loc["BraTS2021_00003", "part"] == "external"
    assert sorted(found.faults["kind"]) == ["damaged gzip", "missing sequence"]


def test_a_name_that_no_table_can_hold_is_a_fault(tmp_path: Path) -> None:
    pool, odd = tmp_path / "pool", os.fsdecode(b"Gr\xf6\xdfe")
    for number in (1, 4):
        faults.write(pool / odd, number)
    faults.write(pool, 2)
    mask = faults.write(pool, 3)["seg"]
    mask.rename(mask.with_name(f"{odd}_seg.nii.gz"))
    with pytest.raises(DataError, match=r"case BraTS20_Training_00.: /.*\\udcf6.*rename it"):
        gather.gather(folder_study(["brats2020"]), pool, tmp_path)
    found = gather.gather(folder_study(["brats2020"], on_bad_case="exclude"), pool, tmp_path)
    casetable.write_cases(found.cases, tmp_path / "cases.csv")
    cases = casetable.read_cases(tmp_path / "cases.csv").set_index("case_id")
    assert cases["part"].tolist() == ["internal", *["excluded"] * 3]
    assert cases["kind"].tolist()[1:] == ["name not UTF-8"] * 3
    (pool / f"{odd}.txt").touch()
    (pool / odd / "BraTS20_Training_005").symlink_to("gone")
    found = gather.gather(folder_study(["brats2020"], on_bad_case="exclude"), pool, tmp_path)
    for table in (found.cases, found.faults, found.unused):
        table.to_csv().encode()
    assert "BraTS20_Training_005" in set(found.faults["case_id"])
    assert found.unused["why"].str.startswith(r"Gr\udcf6\udcdfe.txt: not used").any()


@pytest.mark.parametrize(
    ("internal", "external", "message"),
    [
        ([], ["brats2021"], r"internal_releases \[\] must name a release"),
        (["brats2020"], ["brats2020"], "and none that external_releases"),
        (["brats2020", "brats2020"], [], "must name a release"),
        (["brats2022"], [], "no release brats2022: known releases are .*brats2021"),
    ],
)
def test_unusable_releases_are_refused(
    internal: list[str], external: list[str], message: str, pool: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        gather.gather(folder_study(internal, external), pool, pool)


def test_a_release_without_cases_is_refused(pool: Path, tmp_path: Path) -> None:
    only = tmp_path / "only"
    faults.write_as(only / "BraTS20_Validation_001", 0)["seg"].unlink()
    with pytest.raises(DataError, match="no case of brats2018; found only brats2020"):
        gather.gather(folder_study(["brats2018"]), only, only)
    with pytest.raises(DataError, match=r"nobody of brats2020 is left for the .*: no mask"):
        gather.gather(folder_study(["brats2020"]), only, only)


def test_a_folder_study_without_folder_says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"pass source_dir .* make report DATA=/path"):
        gather.gather(folder_study(["brats2020"]), None, tmp_path)


@pytest.fixture
def phantom_calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stand-in for the phantom writer: tiny cases, every call noted."""
    calls: list[Any] = []

    def write_cohort(root: Path, plan: Any, numbers: Sequence[int], workers: int) -> Path:
        calls.append((root, plan, list(numbers), workers))
        for number in numbers:
            place = root / write.FOLDER / write.case_name(plan.site, number)
            if not place.exists():
                # the same brain under other ranks: one anatomy at two sites, as its card says
                faults.write_as(place, number)
                _as_at_another_site(place, plan.site)
                card = {"origin": {"plan": {"seed": plan.seed}}}
                card["origin"]["number"] = number
                (place / write.CARD).write_text(json.dumps(card))
        return root

    monkeypatch.setattr(gather.write, "write_cohort", write_cohort)
    return calls


def _as_at_another_site(place: Path, site: str) -> None:
    for path in place.glob("*.nii.gz") if site == "B" else ():
        if "_seg" not in path.name:
            faults.save(path, 2 * np.asarray(nib.load(path).dataobj))


def phantom_study(internal: int, external: int, copies: int = 0, **split: Any) -> settings.Study:
    counts = {"internal": internal, "external": external, "copies": copies}
    return study(
        {"phantoms": counts, "on_bad_case": "exclude"}, seed=11, split=settings.SplitPlan(**split)
    )


def test_phantoms_are_written_and_gathered(
    phantom_calls: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CORES, "3")
    found = gather.gather(phantom_study(3, 2, test_share=0.67), None, tmp_path)
    table = found.cases
    (inner, plan, numbers, *workers), (outer, other, others, *_) = phantom_calls
    assert workers == [3], "as many processes as the run was given"
    assert (inner, outer) == (tmp_path / "raw/internal", tmp_path / "raw/external")
    assert (numbers, others) == ([1, 2, 3], [2, 3])
    assert (plan.seed, plan.spacing_mm, plan.site) == (11, 2.0, "A")
    assert (other.seed, other.site) == (11, "B")
    assert table["part"].tolist() == ["internal"] * 3 + ["external"] * 2
    assert set(table["release"]) == {"phantom"}
    assert table["patient_id"].is_unique
    twins = table.iloc[3:]
    assert twins["note"].tolist() == [f"{gather.TWIN} as Phantom-A-00{n}" for n in (2, 3)]
    links = found.links.query("how == 'twin'")
    assert links["case_id"].tolist() == ["Phantom-B-002", "Phantom-B-003"]
    assert (links["similarity"] > SAME_SCAN).all() and len(found.links) == 2


@pytest.mark.parametrize("split", [{"folds": 3}, {"test_share": 0.34}])
def test_nobody_is_imaged_twice_who_cannot_be_held_out(
    phantom_calls: list[Any], tmp_path: Path, split: dict[str, Any]
) -> None:
    found = gather.gather(phantom_study(3, 2, **split), None, tmp_path)
    assert found.cases["case_id"].tolist()[3:] == ["Phantom-B-004", "Phantom-B-005"]
    assert found.links.empty and found.cases["note"].isna().all()


def test_phantoms_of_an_earlier_larger_run_do_not_count(
    phantom_calls: list[Any], tmp_path: Path
) -> None:
    gather.gather(phantom_study(5, 1), None, tmp_path)
    table = gather.gather(phantom_study(2, 0), None, tmp_path).cases
    assert table["case_id"].tolist() == ["Phantom-A-001", "Phantom-A-002"]
    assert len(phantom_calls) == 3


def test_disguised_copies_are_found(phantom_calls: list[Any], tmp_path: Path) -> None:
    found = gather.gather(phantom_study(5, 1, copies=4), None, tmp_path)
    cases = found.cases.set_index("case_id")
    assert cases["part"].value_counts().to_dict() == {
        "internal": 5,
        "duplicate": 3,
        "external": 1,
        "excluded": 1,
    }
    assert cases.loc["Phantom-A-001-copy", "note"] == "same patient as Phantom-A-001"
    assert cases.loc["Phantom-A-002-copy", "note"] == "same voxels as Phantom-A-002"
    assert cases.loc["Phantom-A-003-copy", "note"] == "probably the same scan as Phantom-A-003"
    assert cases.loc["Phantom-A-004-copy", "note"].startswith("damaged gzip")
    assert found.cases.loc[found.cases["part"] == "internal", "release"].eq("phantom").all()


def test_more_phantoms_than_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"phantom number 1000: take 1 to 999"):
        gather.gather(phantom_study(1000, 1), None, tmp_path)


def test_ten_real_patients_internal_and_external(real_data: Path, tmp_path: Path) -> None:
    asked = folder_study(["brats2018", "brats2019", "brats2020"], ["brats2021"])
    table = gather.gather(asked, real_data, tmp_path).cases
    assert table["part"].tolist() == ["internal"] * 5 + ["external"] * 5
    assert table["patient_id"].is_unique
