"""Who is who: cases of one patient found by table, by voxels and by suspicion, and nobody else."""

import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.cohort import identity
from gliomalib.cohort.identity import Link
from gliomalib.data import fingerprint, inspection
from gliomalib.data.inspection import Inspection
from gliomalib.data.readers import survey
from gliomalib.data.readers.people import Identity, named_patients
from gliomalib.schema import SEQUENCES, Case
from tests import layouts


def seen(
    case_id: str, patient: str = "", content: str | None = None, signature: np.ndarray | None = None
) -> Inspection:
    """Return what inspecting a case would have found."""
    case = Case(case_id, patient or case_id, "brats2020", {}, None)
    return Inspection(case, (), content=content, signature=signature)


def at(degrees: float) -> np.ndarray:
    """Return a signature; the similarity of two is the cosine of the angle between them."""
    radians = np.deg2rad(degrees)
    return np.array([np.cos(radians), np.sin(radians)], np.float32)


ALIKE = float(np.rad2deg(np.arccos(fingerprint.SAME_SCAN))) - 1
"""Degrees between two signatures that are just suspect."""


def test_a_twin_is_named_and_stays_a_patient_and_a_stranger_as_like_is_a_suspect() -> None:
    found = [seen("a", signature=at(0)), seen("b", signature=at(ALIKE)), seen("c")]
    links = identity.links(found, {"b": "a", "c": "a", "missing": "a"})
    alike = float(found[0].signature @ found[1].signature)
    assert links == [Link("b", "a", "twin", alike)]
    assert identity.patients(found, links) == {"a": "a", "b": "b", "c": "c"}
    third = seen("d", signature=at(-ALIKE / 2))
    hows = {(link.case_id, link.other_id): link.how for link in identity.links([*found, third])}
    assert set(hows.values()) == {"suspect"} and ("a", "b") in hows


def test_each_way_of_knowing_is_named() -> None:
    found = [
        seen("a", "p", "1", at(0)),
        seen("b", "p", "2", at(90)),
        seen("c", "q", "1", at(180)),
        seen("d", "r", "3", at(180 + ALIKE)),
        seen("e", "s", "4", at(270)),
    ]
    links = identity.links(found)
    assert [(link.case_id, link.other_id, link.how) for link in links] == [
        ("b", "a", "table"),
        ("c", "a", "content"),
        ("c", "d", "suspect"),
    ]
    assert links[2].similarity == pytest.approx(np.cos(np.deg2rad(ALIKE)))
    assert identity.patients(found, links) == {"a": "p", "b": "p", "c": "p", "d": "p", "e": "s"}


def test_links_as_a_table() -> None:
    table = identity.link_table([Link("b", "a", "table"), Link("c", "a", "suspect", 0.87654)])
    assert table.to_dict("list") == {
        "case_id": ["b", "c"],
        "same_as": ["a", "a"],
        "how": ["table", "suspect"],
        "similarity": [1.0, 0.877],
    }
    assert list(identity.link_table([]).columns) == list(table.columns)


@st.composite
def cohorts(draw: st.DrawFn) -> list[Inspection]:
    """Draw a few cases, many of them alike in one way or another."""
    names = draw(st.lists(st.integers(0, 99), max_size=9, unique=True))
    return [
        seen(
            f"case{name}",
            draw(st.sampled_from(["p", "q", "r", ""])),
            draw(st.sampled_from([None, "1", "2", f"only{name}"])),
            draw(st.sampled_from([None, *(at(degrees) for degrees in range(0, 360, 25))])),
        )
        for name in names
    ]


def pairs(found: Sequence[Inspection]) -> Iterator[tuple[Inspection, Inspection]]:
    for later in range(len(found)):
        for earlier in range(later):
            yield found[earlier], found[later]


def groups_of(names: Sequence[str], joined: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return each name's first relative: names are passed on along links until nothing moves."""
    first = {name: names.index(name) for name in names}
    for _ in names:
        for one, other in joined:
            first[one] = first[other] = min(first[one], first[other])
    return {name: names[number] for name, number in first.items()}


@given(cohorts())
def test_links_are_those_of_a_comparison_of_all_pairs(found: list[Inspection]) -> None:
    links = identity.links(found)
    names = [one.case.case_id for one in found]
    known = [
        (one.case.case_id, other.case.case_id)
        for one, other in pairs(found)
        if one.case.patient_id == other.case.patient_id
        or (one.content is not None and one.content == other.content)
    ]
    told = [(link.case_id, link.other_id) for link in links if link.how != "suspect"]
    groups = groups_of(names, known)
    assert groups_of(names, told) == groups
    suspects = {
        (one.case.case_id, other.case.case_id)
        for one, other in pairs(found)
        if one.signature is not None
        and other.signature is not None
        and one.signature @ other.signature >= fingerprint.SAME_SCAN
        and groups[one.case.case_id] != groups[other.case.case_id]
    }
    told = [(link.case_id, link.other_id) for link in links if link.how == "suspect"]
    assert len(told) == len(set(told))
    assert set(told) == suspects


@given(cohorts())
def test_links_of_a_kind_lead_to_the_first_of_that_kind(found: list[Inspection]) -> None:
    by_name = {one.case.case_id: one for one in found}
    for link in identity.links(found):
        one, other = by_name[link.case_id], by_name[link.other_id]
        if link.how == "suspect":
            continue
        assert found.index(other) < found.index(one)
        if link.how == "table":
            alike = [x for x in found if x.case.patient_id == one.case.patient_id]
        else:
            alike = [x for x in found if x.content == one.content]
        assert alike[0] is other
        assert one in alike


@given(cohorts(), st.randoms(use_true_random=False))
def test_patients_are_the_groups_and_named_after_their_first_case(
    found: list[Inspection], random: Random
) -> None:
    links = identity.links(found)
    names = [one.case.case_id for one in found]
    groups = groups_of(names, [(link.case_id, link.other_id) for link in links])
    own = {one.case.case_id: one.case.patient_id for one in found}
    wanted = {name: own[first] for name, first in groups.items()}
    assert identity.patients(found, links) == wanted
    random.shuffle(links)
    assert identity.patients(found, links) == wanted


@given(
    st.lists(
        st.tuples(st.sampled_from("pqrst"), st.sampled_from(["one", "two", "three"])),
        min_size=1,
        max_size=15,
    )
)
def test_overlap_is_counted_as_by_hand(rows: list[tuple[str, str]]) -> None:
    table = identity.overlap(pd.DataFrame(rows, columns=["patient_id", "release"]))
    releases = sorted({release for _, release in rows})
    assert list(table.columns) == ["release", "examinations", "patients", *releases]
    assert table["release"].tolist() == releases
    for row in table.to_dict("records"):
        own = {patient for patient, release in rows if release == row["release"]}
        assert row["examinations"] == sum(release == row["release"] for _, release in rows)
        assert row["patients"] == len(own) == row[row["release"]]
        for release in releases:
            both = [patient for patient in own if (patient, release) in rows]
            assert row[release] == len(both)


HEADER = "Grade,BraTS_2018_subject_ID,BraTS_2019_subject_ID,BraTS_2020_subject_ID\n"


def test_patients_of_several_tables_are_named_once(tmp_path: Path) -> None:
    old, new = tmp_path / "name_mapping.csv", tmp_path / "name_mapping_2.csv"
    old.write_text("Grade,BraTS_2018_subject_ID,BraTS_2019_subject_ID\nHGG,a18,a19\nLGG,NA,b19\n")
    new.write_text(HEADER + "NA,NA,a19,a20\nLGG,NA,NA,c20\n")
    for swapped in (False, True):
        if swapped:
            first, last = old.read_text(), new.read_text()
            old.write_text(last)
            new.write_text(first)
        people = named_patients(tmp_path)
        assert sorted(person.patient_id for person in people) == ["a20", "b19", "c20"]
        (joined,) = (person for person in people if person.patient_id == "a20")
        assert (dict(joined.ids), joined.grade) == (
            {2018: "a18", 2019: "a19", 2020: "a20"},
            "HGG",
        )
    assert named_patients(tmp_path / "nowhere") == []


@pytest.fixture(scope="module")
def originals(real_data: Path) -> list[Inspection]:
    """Look at the ten real patients once for all tests."""
    return inspection.inspect_all(survey.discover(real_data), signatures=True)


Change = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def copied(originals: Sequence[Inspection], root: Path, change: Change) -> dict[str, str]:
    """Write the T1 of every patient again, under another name of 2021; return new → old name."""
    rng = np.random.default_rng(5)
    names = [f"BraTS2021_{number:05d}" for number in rng.choice(99_999, 10, replace=False)]
    for number, which in enumerate(rng.permutation(10)):
        old = originals[which].case
        folder = root / names[number]
        folder.mkdir(parents=True)
        suffix = (".nii", ".nii.gz")[number % 2]
        values = np.asarray(nib.load(old.images["t1"]).dataobj)
        image = nib.Nifti1Image(*change(values, number))
        image.header["descrip"], image.header["db_name"] = "somebody else", f"set {number}"
        first = folder / f"{folder.name}_t1{suffix}"
        nib.save(image, first)
        for part in SEQUENCES[1:]:
            (folder / f"{folder.name}_{part}{suffix}").symlink_to(first.name)
        names[number] += f"={old.case_id}"
    return dict(name.split("=") for name in names)


def check_recognised(
    originals: list[Inspection], root: Path, change: Change, how: identity.How
) -> None:
    """Check that ten copies are recognised in one way, ten out of ten and as nobody else."""
    wanted = copied(originals, root, change)
    try:
        copies = inspection.inspect_all(survey.discover(root), signatures=how == "suspect")
    finally:
        shutil.rmtree(root)
    # T1 stands for all four
    assert {fault.kind for one in copies for fault in one.faults} == {"same scan twice"}
    for found in ([*originals, *copies], [*copies[::-1], *originals]):
        links = identity.links(found)
        assert {link.how for link in links} == {how}
        assert len(links) == 10
        for link in links:
            assert wanted.get(link.case_id) == link.other_id or (
                wanted.get(link.other_id) == link.case_id
            )
        assert len(set(identity.patients(found, links).values())) == 10


def test_no_two_real_patients_are_taken_for_one(originals: list[Inspection]) -> None:
    assert len(originals) == 10
    assert identity.links(originals) == []


def test_real_patients_are_recognised_by_their_voxels(
    originals: list[Inspection], tmp_path: Path
) -> None:
    types = (np.float32, np.int32, np.float64, np.int16, ">i2", np.uint16)

    def stored(values: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
        affine = np.diag([-1.0, 1.0, 1.0, 1.0])
        affine[:3, 3] = number, -number, 7
        return values.astype(types[number % len(types)]), affine

    check_recognised(originals, tmp_path / "copies", stored, "content")


def z_scored(values: np.ndarray, _: int) -> tuple[np.ndarray, np.ndarray]:
    scaled = (values - values.mean()) / values.std()
    return scaled.astype(np.float32), np.diag([-1.0, -1.0, 1.0, 1.0])


def at_two_mm(values: np.ndarray, _: int) -> tuple[np.ndarray, np.ndarray]:
    x, y, z = (size // 2 for size in values.shape)
    blocks = values[: 2 * x, : 2 * y, : 2 * z].reshape(x, 2, y, 2, z, 2)
    return blocks.mean(axis=(1, 3, 5)).astype(np.float32), np.diag([-2.0, -2.0, 2.0, 1.0])


@pytest.mark.parametrize("change", [z_scored, at_two_mm])
def test_real_patients_are_suspected_however_they_were_processed(
    change: Change, originals: list[Inspection], tmp_path: Path
) -> None:
    check_recognised(originals, tmp_path / "copies", change, "suspect")


@pytest.fixture
def people(tmp_path: Path) -> list[Identity]:
    (tmp_path / "2020.csv").write_text(layouts.NAMES_TABLE)
    return named_patients(tmp_path)


def test_overlap_of_the_years_is_counted(people: list[Identity]) -> None:
    table = identity.year_overlap(people)
    assert table.to_dict("list") == {
        "year": [2017, 2018, 2019, 2020],
        "patients": [1, 1, 2, 3],
        "known": [0, 1, 1, 2],
        "new": [1, 0, 1, 1],
        "HGG": [1, 1, 1, 2],
        "LGG": [0, 0, 1, 1],
    }


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_expected_leak_is_the_mean_over_every_split(share: float, people: list[Identity]) -> None:
    facts = identity.overlap_facts(people, test_share=share)
    assert list(facts.values())[:5] == [1, 2, 3, 6, 3]
    owners = "AAABBC"
    shares = []
    for test in itertools.combinations(range(6), int(facts["test_volumes"])):
        train = {owners[i] for i in range(6) if i not in test}
        shares.append(sum(owners[i] in train for i in test) / len(test))
    assert facts["leaking_share"] == pytest.approx(np.mean(shares))


def test_years_of_which_nobody_is_named_are_left_out() -> None:
    only_2019 = Identity({2017: "a17", 2019: "a19"}, None)
    facts = identity.overlap_facts([only_2019, only_2019])
    assert "2018" not in facts and facts["2019"] == 2 and facts["leaking_share"] == 0.0
    assert identity.overlap_facts([Identity({2017: "a17"}, None)]) == {}
    assert identity.overlap_facts([]) == {}


def test_overlap_by_the_organisers_table(real_data: Path) -> None:
    found = named_patients(real_data)
    facts = identity.overlap_facts(found)
    assert round(facts.pop("leaking_share"), 2) == 0.91
    assert list(facts.values()) == [285, 335, 369, 989, 369, 198]
    table = identity.year_overlap(found).set_index("year")
    assert table["known"].to_dict() == {2017: 0, 2018: 285, 2019: 285, 2020: 335}
    assert table.loc[2020, ["HGG", "LGG"]].tolist() == [293, 76]
