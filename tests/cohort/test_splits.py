"""Splits: no patient in two parts, nobody lost, the same whatever the order, checked again."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib import settings
from gliomalib.cohort.splits import (
    check_splits,
    deal,
    make_site_splits,
    make_splits,
    path_of,
    read_splits,
    split_table,
    write_deals,
    write_splits,
)
from gliomalib.schema import DataError, MismatchError, Split
from gliomalib.settings import SplitPlan

NAMES = st.lists(st.text("abcdefgh0123", min_size=1, max_size=6), min_size=10, unique=True)
PLANS = st.builds(
    SplitPlan,
    folds=st.integers(1, 6),
    test_share=st.floats(0, 0.5),
    val_share=st.floats(0, 0.3),
)


def patients(count: int) -> list[str]:
    return [f"P{number:03d}" for number in range(count)]


def parts_of(split: Split) -> list[tuple[str, ...]]:
    return [split.train, split.val, split.test, split.external]


@given(NAMES, PLANS, st.integers(0, 2**31), st.data())
def test_any_split_is_clean(
    names: list[str], plan: SplitPlan, seed: int, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(names) - 8))
    external, internal = names[:cut], names[cut:]
    splits = make_splits(internal, external, plan, seed)
    assert [split.fold for split in splits] == list(range(plan.folds))
    for split in splits:
        everyone = [name for part in parts_of(split) for name in part]
        assert sorted(everyone) == sorted(names)
        assert sorted(split.external) == sorted(external)
        assert split.train
        assert split.test
    if plan.folds > 1:
        tested = [name for split in splits for name in split.test]
        assert sorted(tested) == sorted(internal)
    shuffled = data.draw(st.permutations(internal))
    assert make_splits(shuffled, external[::-1], plan, seed) == splits


@pytest.mark.parametrize(
    ("count", "given_shares", "sizes"),
    [
        (40, {"test_share": 0.2}, (32, 0, 8)),
        (369, {"test_share": 0.2, "val_share": 0.1}, (258, 37, 74)),
        (5, {"test_share": 0.0}, (4, 0, 1)),
        (6, {"test_share": 0.2, "val_share": 0.2}, (4, 1, 1)),
    ],
)
def test_sizes_of_one_fold(count: int, given_shares: dict, sizes: tuple[int, ...]) -> None:
    (split,) = make_splits(patients(count), [], SplitPlan(**given_shares), 1)
    assert tuple(map(len, parts_of(split))) == (*sizes, 0)


def test_sizes_of_folds() -> None:
    splits = make_splits(patients(23), [], SplitPlan(folds=5, val_share=0.25), 1)
    assert [len(split.test) for split in splits] == [5, 5, 5, 4, 4]
    assert [len(split.val) for split in splits] == [4, 4, 4, 5, 5]
    assert len({split.val for split in splits}) == 5


def test_the_seed_decides() -> None:
    tests = [make_splits(patients(40), [], SplitPlan(), seed)[0].test for seed in (1, 1, 2)]
    assert tests[0] == tests[1] != tests[2]


@pytest.mark.parametrize(
    ("internal", "plan", "message"),
    [
        ([], SplitPlan(), "0 internal patients"),
        (["a"], SplitPlan(), "1 internal patient, but 1 fold would take 2; give more"),
        (
            ["a", "b"],
            SplitPlan(folds=3),
            "2 internal patients, but 3 folds would take 3; give more",
        ),
        (["a", "b", "a"], SplitPlan(), "a twice"),
        (["a", "b"], SplitPlan(test_share=0.5, val_share=0.5), "0 train"),
    ],
)
def test_what_cannot_be_split_is_refused(
    internal: list[str], plan: SplitPlan, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        make_splits(internal, [], plan, 0)


def _leak(split: Split) -> Split:
    return replace(split, train=(*split.train, split.test[0]))


def _lose(split: Split) -> Split:
    return replace(split, train=split.train[1:])


def _add(split: Split) -> Split:
    return replace(split, train=(*split.train, "stranger"))


def _swap(split: Split) -> Split:
    first, other = split.train[0], split.external[0]
    return replace(split, train=(*split.train[1:], other), external=(first, *split.external[1:]))


def _test_nobody(split: Split) -> Split:
    return replace(split, train=(*split.train, *split.test), test=())


def _test_another(split: Split) -> Split:
    return replace(
        split, train=(*split.train[1:], split.test[0]), test=(*split.test[1:], split.train[0])
    )


FAULTS: dict[str, tuple[Callable[[Split], Split], type[Exception], str]] = {
    "leak": (_leak, MismatchError, "fold 1: P... in two parts"),
    "lost": (_lose, DataError, "fold 1: .*missing P..., unknown nobody"),
    "unknown": (_add, DataError, "missing nobody, unknown stranger"),
    "external swapped": (_swap, MismatchError, "external patients differ.*run 01_data_expl"),
    "nobody tested": (_test_nobody, DataError, "fold 1: .* 0 test"),
    "tested twice": (_test_another, MismatchError, "P... tested in two folds, P... in none"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_in_memory_and_on_disk(fault: str, tmp_path: Path) -> None:
    change, error, message = FAULTS[fault]
    everyone = [*patients(9), "E1", "E2"]
    splits = make_splits(patients(9), ["E1", "E2"], SplitPlan(folds=3, val_share=0.2), 7)
    check_splits(splits, everyone)
    broken = (splits[0], change(splits[1]), splits[2])
    with pytest.raises(error, match=message):
        check_splits(broken, everyone)
    path = write_splits(splits, tmp_path / "splits.json")
    content = json.loads(path.read_text())
    content["splits"][1] |= {
        name: list(getattr(broken[1], name)) for name in ("train", "val", "test", "external")
    }
    path.write_text(json.dumps(content))
    with pytest.raises(error, match=message):
        read_splits(path)


def test_splits_survive_the_disk(tmp_path: Path) -> None:
    splits = make_splits(patients(12), ["E1"], SplitPlan(folds=4, val_share=0.1), 3)
    assert read_splits(write_splits(splits, tmp_path / "a" / "splits.json")) == splits


def test_the_table_counts_each_part() -> None:
    splits = make_splits(patients(7), ["E1"], SplitPlan(folds=3, val_share=0.2), 3)
    table = split_table({"patient": splits})
    assert table.pop("by").tolist() == ["patient"] * 3
    assert table.pop("held out").tolist() == [", ".join(split.test) for split in splits]
    assert table.to_dict("list") == {
        "fold": [0, 1, 2],
        "train": [3, 4, 4],
        "val": [1, 1, 1],
        "test": [3, 2, 2],
        "external": [1, 1, 1],
    }


def test_no_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no fold at all"):
        write_splits([], tmp_path / "splits.json")
    assert not (tmp_path / "splits.json").exists()


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "[" * 100_000, '{"patients": [], "splits": [{"fold": 0}]}'),
        '{"patients": [1, "a"], "splits": []}',
        '{"patients": "ab", "splits": [{"fold": 0, "train": "a", "val": "", "test": "b", '
        '"external": ""}]}',
    ],
    ids=lambda text: text[:20],
)
def test_damaged_files_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    with pytest.raises(DataError, match="splits are missing; run 01_data_exploration"):
        read_splits(path)
    path.write_text(text)
    with pytest.raises(DataError, match=r"splits\.json: damaged .*; run 01_data_expl") as refused:
        read_splits(path)
    assert "\n" not in str(refused.value)


def test_whoever_has_a_twin_at_another_site_is_tested_and_trained_on_by_nobody() -> None:
    names, plan = patients(104), SplitPlan(test_share=0.577, val_share=0.0385)
    held_out, twins = names[-40:], [f"B{number}" for number in range(40)]
    (split,) = make_splits(names, twins, plan, 5, held_out)
    assert [len(split.train), len(split.val), len(split.test)] == [40, 4, 60]
    assert set(held_out) <= set(split.test)
    (smaller,) = make_splits(names, twins, SplitPlan(test_share=0.1), 5, held_out)
    assert sorted(smaller.test) == sorted(held_out)


def test_several_folds_would_train_on_them() -> None:
    with pytest.raises(DataError, match="3 folds would train on"):
        make_splits(patients(9), ["B9"], SplitPlan(folds=3), 1, patients(9)[-1:])


# --- by site

BY_SITE = SplitPlan(by="site", site_patients=4)
HOMES = dict(zip(patients(20), "AAAAABBBBBBBCCDDD-EE", strict=True))
SITES = {name: home.replace("-", "") for name, home in HOMES.items()}


def cases_of(sites: dict[str, str], external: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return a table of cases with the columns that a deal looks at."""
    rows = [(name, "internal", site) for name, site in sites.items()]
    rows += [(name, "external", "A") for name in external]
    rows.append(("again", "duplicate", "A"))
    return pd.DataFrame(rows, columns=["patient_id", "part", "site"])


def test_a_large_site_is_a_fold_and_the_small_ones_are_one_together() -> None:
    splits = make_site_splits(SITES, ["X"], BY_SITE, 1)
    tested = [{SITES[name] for name in split.test} for split in splits]
    assert tested == [{"B"}, {"A"}, {"C", "D", "E"}]
    for split in splits:
        trained = {SITES[name] for name in (*split.train, *split.val)}
        assert trained == {*"ABCDE"} - {SITES[name] for name in split.test}
        assert split.external == ("X",)
    everyone = {name for part in parts_of(splits[0]) for name in part}
    assert everyone == {*SITES, "X"} - {"P017"}, "a patient of unknown site is in some part"
    backwards = dict(reversed(SITES.items()))
    assert make_site_splits(backwards, ["X"], BY_SITE, 1) == splits


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=5), st.sampled_from(["", *"ABCDE"])),
    st.integers(1, 6),
)
def test_no_network_sees_a_site_that_it_is_tested_on(sites: dict[str, str], least: int) -> None:
    plan = SplitPlan(by="site", site_patients=least, val_share=0.2)
    sizes = {home: list(sites.values()).count(home) for home in {*sites.values()} - {""}}
    wanted = sum(n >= least for n in sizes.values()) + any(n < least for n in sizes.values())
    if wanted < 2:
        with pytest.raises(DataError, match="folds by site need two"):
            make_site_splits(sites, [], plan, 1)
        return
    splits = make_site_splits(sites, [], plan, 1)
    assert len(splits) == wanted
    assert sorted(name for split in splits for name in split.test) == sorted(
        filter(sites.get, sites)
    )
    for split in splits:
        tested = {sites[name] for name in split.test}
        assert not tested & {sites[name] for name in (*split.train, *split.val)}
        assert len(tested) == 1 or all(sizes[home] < least for home in tested)


def test_a_study_has_its_own_splits_and_those_of_its_variants(tmp_path: Path) -> None:
    smoke = settings.load("smoke")
    plan = SplitPlan(folds=3, site_patients=4)
    variants = {"03_train_unet2d": {"seed2": {"seed": 3}, "sites": {"split_by": "site"}}}
    study = smoke.model_copy(update={"split": plan, "variants": variants})
    cases = cases_of(SITES, ("X",))
    deals = deal(cases, study)
    assert list(deals) == ["patient", "site"]
    assert deals["patient"] == make_splits(patients(20), ["X"], plan, study.seed)
    assert deals["site"] == make_site_splits(SITES, ["X"], plan, study.seed)
    write_deals(deals, tmp_path)
    for by, splits in deals.items():
        assert read_splits(path_of(tmp_path, by)) == splits
    assert split_table(deals)["test"].tolist() == [7, 7, 6, 7, 5, 7]
    only = deal(cases, study.model_copy(update={"variants": {}}))
    assert list(only) == ["patient"]
    by_site = study.model_copy(update={"split": BY_SITE, "variants": {}})
    assert deal(cases, by_site) == {"site": deals["site"]}


def test_folds_by_site_cannot_keep_a_twin_out_of_training() -> None:
    study = settings.load("smoke").model_copy(update={"split": BY_SITE, "variants": {}})
    with pytest.raises(DataError, match="folds by site would train on P003"):
        deal(cases_of(SITES, ("X",)), study, ["P003"])
