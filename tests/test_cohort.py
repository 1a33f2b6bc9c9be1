"""Who takes part: phantoms, several releases, patients that stand twice, overlap of the years."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from gliomalib import cohort
from gliomalib.schema import SEQUENCES, DataError, SettingsError
from gliomalib.settings import Data

HEADER = (
    "Grade,BraTS_2017_subject_ID,BraTS_2018_subject_ID,TCGA_TCIA_subject_ID,"
    "BraTS_2019_subject_ID,BraTS_2020_subject_ID\n"
)
TABLE = HEADER + (
    "HGG,Brats17_A,Brats18_A,NA,BraTS19_A,BraTS20_Training_001\n"
    "LGG,NA,NA,NA,BraTS19_B,BraTS20_Training_002\n"
    "HGG,NA,NA,NA,NA,BraTS20_Training_003\n"
)


def write_case(root: Path, name: str, seed: int, *, mask: bool = True) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    values = np.random.default_rng(seed).integers(0, 99, (3, 3, 3)).astype(np.int16)
    for part in (*SEQUENCES, "seg") if mask else SEQUENCES:
        image = nib.Nifti1Image(values if part != "seg" else values % 2, np.eye(4))
        nib.save(image, folder / f"{name}_{part}.nii.gz")


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Patients A (three years), B (two), 3 (one, and again in 2021), one of 2021, one unmasked."""
    root = tmp_path / "pool"
    for seed, name in enumerate(
        ("Brats18_A", "BraTS19_A", "BraTS19_B", "BraTS20_Training_001", "BraTS20_Training_003")
    ):
        write_case(root, name, seed)
    write_case(root, "BraTS2021_00003", seed=4)
    write_case(root, "BraTS2021_00009", seed=9)
    write_case(root, "BraTS20_Validation_001", seed=10, mask=False)
    (root / "name_mapping.csv").write_text(TABLE)
    return root


def folder_data(internal: Sequence[str], external: Sequence[str] = ()) -> Data:
    return Data(source="folder", internal_releases=internal, external_releases=external)


def gathered(root: Path, internal: Sequence[str], external: Sequence[str] = ()) -> dict[str, Any]:
    table = cohort.gather(folder_data(internal, external), 0, root, root)
    assert tuple(table.columns) == cohort.COLUMNS
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return {row["case_id"]: (row["patient_id"], row["part"], row["note"]) for row in rows}


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
            "BraTS2021_00003",
            "duplicate",
            "same T1 voxels as BraTS20_Training_003",
        ),
        "BraTS20_Validation_001": ("BraTS20_Validation_001", "unused", "no mask"),
    }


def test_releases_that_are_not_asked_for_are_listed_as_unused(pool: Path) -> None:
    found = gathered(pool, ["brats2019"])
    assert {name for name, row in found.items() if row[1] == "internal"} == {
        "BraTS19_A",
        "BraTS19_B",
    }
    assert found["Brats18_A"][1:] == ("unused", "brats2018 is not part of the study")
    assert found["BraTS2021_00009"][1:] == ("unused", "brats2021 is not part of the study")
    assert len(found) == 8


def test_a_patient_of_both_sides_is_refused(pool: Path) -> None:
    with pytest.raises(DataError, match=r"BraTS20_Training_001 are internal and external"):
        cohort.gather(folder_data(["brats2018"], ["brats2020"]), 0, pool, pool)


@pytest.mark.parametrize(
    ("internal", "external", "message"),
    [
        ([], ["brats2021"], r"internal_releases \[\] must name a release"),
        (["brats2020"], ["brats2020"], "and none that external_releases"),
        (["brats2020", "brats2020"], [], "must name a release"),
        (["brats2023"], [], "no release brats2023: known releases are .*brats2021"),
    ],
)
def test_unusable_releases_are_refused(
    internal: list[str], external: list[str], message: str, pool: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        cohort.gather(folder_data(internal, external), 0, pool, pool)


def test_a_release_without_cases_is_refused(pool: Path, tmp_path: Path) -> None:
    only = tmp_path / "only"
    write_case(only, "BraTS20_Validation_001", 0, mask=False)
    with pytest.raises(DataError, match="no case of brats2018; found only brats2020"):
        cohort.gather(folder_data(["brats2018"]), 0, only, only)
    with pytest.raises(DataError, match="no case of brats2020 has a mask"):
        cohort.gather(folder_data(["brats2020"]), 0, only, only)


def test_a_folder_study_without_folder_says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"pass source_dir .* make report DATA=/path"):
        cohort.gather(folder_data(["brats2020"]), 0, None, tmp_path)


@pytest.fixture
def phantom_calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stand-in for the phantom writer: tiny cases, every call noted."""
    calls: list[Any] = []

    def write_cohort(root: Path, plan: Any, numbers: Sequence[int], workers: int) -> Path:
        calls.append((root, plan, list(numbers)))
        for number in numbers:
            name = f"BraTS20_Training_{number:03d}"
            if not (root / name).exists():
                write_case(root, name, number)
        return root

    monkeypatch.setattr(cohort.phantom, "write_cohort", write_cohort)
    return calls


def phantom_data(internal: int, external: int) -> Data:
    return Data.model_validate({"phantoms": {"internal": internal, "external": external}})


def test_phantoms_are_written_and_gathered(phantom_calls: list[Any], tmp_path: Path) -> None:
    table = cohort.gather(phantom_data(3, 2), 11, None, tmp_path)
    (inner, plan, numbers), (outer, other, others) = phantom_calls
    assert (inner, outer) == (tmp_path / "raw/internal", tmp_path / "raw/external")
    assert (numbers, others) == ([1, 2, 3], [501, 502])
    assert (plan.seed, plan.spacing_mm, plan.site) == (11, 2.0, "A")
    assert (other.seed, other.site) == (11, "B")
    assert table["part"].tolist() == ["internal"] * 3 + ["external"] * 2
    assert set(table["release"]) == {"phantom"}
    assert table["patient_id"].is_unique


def test_phantoms_of_an_earlier_larger_run_do_not_count(
    phantom_calls: list[Any], tmp_path: Path
) -> None:
    cohort.gather(phantom_data(5, 1), 0, None, tmp_path)
    table = cohort.gather(phantom_data(2, 0), 0, None, tmp_path)
    assert table["case_id"].tolist() == ["BraTS20_Training_001", "BraTS20_Training_002"]
    assert len(phantom_calls) == 3


def test_more_phantoms_than_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"phantoms.internal is 501, at most 500"):
        cohort.gather(phantom_data(501, 1), 0, None, tmp_path)


def test_the_table_survives_the_disk(pool: Path, tmp_path: Path) -> None:
    table = cohort.gather(folder_data(["brats2019"], ["brats2021"]), 0, pool, tmp_path)
    found = cohort.read_cases(cohort.write_cases(table, tmp_path / "cases.csv"))
    pd.testing.assert_frame_equal(found, table)
    for part in cohort.PARTS:
        assert cohort.cases_of(found, part) == cohort.cases_of(table, part)
    (unmasked,) = (c for c in cohort.cases_of(found, "unused") if "Validation" in c.case_id)
    assert (unmasked.segmentation, unmasked.grade) == (None, None)
    case = cohort.case_of(found.iloc[0])
    assert (case.case_id, case.grade) == ("BraTS19_A", "HGG")
    assert case.images["t1ce"] == pool / "BraTS19_A" / "BraTS19_A_t1ce.nii.gz"
    assert list(case.images) == list(SEQUENCES)


def test_a_table_of_phantoms_survives_the_disk(phantom_calls: list[Any], tmp_path: Path) -> None:
    table = cohort.gather(phantom_data(2, 1), 0, None, tmp_path)
    found = cohort.read_cases(cohort.write_cases(table, tmp_path / "cases.csv"))
    pd.testing.assert_frame_equal(found, table)


def test_missing_or_foreign_tables_and_parts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="table of cases is missing; run 01_data_exploration"):
        cohort.read_cases(tmp_path / "cases.csv")
    (tmp_path / "cases.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="columns are a, b, expected case_id"):
        cohort.read_cases(tmp_path / "cases.csv")
    with pytest.raises(SettingsError, match="no part 'train'"):
        cohort.cases_of(pd.DataFrame(columns=cohort.COLUMNS), "train")


def mapping(path: Path, text: str = TABLE) -> Path:
    path.write_text(text)
    return path


def test_overlap_of_the_years_is_counted(tmp_path: Path) -> None:
    table = cohort.year_overlap(mapping(tmp_path / "m.csv"))
    assert table.to_dict("list") == {
        "year": [2017, 2018, 2019, 2020],
        "patients": [1, 1, 2, 3],
        "known": [0, 1, 1, 2],
        "new": [1, 0, 1, 1],
        "HGG": [1, 1, 1, 2],
        "LGG": [0, 0, 1, 1],
    }


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_expected_leak_is_the_mean_over_every_split(share: float, tmp_path: Path) -> None:
    facts = cohort.overlap_facts(mapping(tmp_path / "m.csv"), test_share=share)
    assert facts.patients_by_year == {2018: 1, 2019: 2, 2020: 3}
    assert (facts.volumes, facts.patients) == (6, 3)
    owners = "AAABBC"
    shares = []
    for test in itertools.combinations(range(6), facts.test_volumes):
        train = {owners[i] for i in range(6) if i not in test}
        shares.append(sum(owners[i] in train for i in test) / len(test))
    assert facts.expected_share == pytest.approx(np.mean(shares))


def test_a_year_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nobody in 2023"):
        cohort.overlap_facts(mapping(tmp_path / "m.csv"), years=(2020, 2023))


def test_overlap_by_the_organisers_table(real_data: Path) -> None:
    path = real_data / "MICCAI_BraTS2020_TrainingData" / "name_mapping.csv"
    facts = cohort.overlap_facts(path)
    assert facts.patients_by_year == {2018: 285, 2019: 335, 2020: 369}
    assert (facts.volumes, facts.patients, facts.test_volumes) == (989, 369, 198)
    assert round(facts.expected_share, 2) == 0.91
    table = cohort.year_overlap(path).set_index("year")
    assert table["known"].to_dict() == {2017: 0, 2018: 285, 2019: 285, 2020: 335}
    assert table.loc[2020, ["HGG", "LGG"]].tolist() == [293, 76]


def test_ten_real_patients_internal_and_external(real_data: Path, tmp_path: Path) -> None:
    data = folder_data(["brats2018", "brats2019", "brats2020"], ["brats2021"])
    table = cohort.gather(data, 2025, real_data, tmp_path)
    assert table["part"].tolist() == ["internal"] * 5 + ["external"] * 5
    assert table["patient_id"].is_unique
