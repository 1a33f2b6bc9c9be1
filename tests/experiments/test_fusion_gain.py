"""What fusion gains: paired, over trainings, and named where one patient or rule decides."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gliomalib import settings
from gliomalib.experiments import comparing, fusion_gain
from gliomalib.experiments.values import ONE_TRAINING
from gliomalib.fusion import average
from gliomalib.pipeline import folds
from gliomalib.schema import RecordError, Split, Value
from gliomalib.scoring import tables
from tests import planted_branches

STUDY = settings.load("smoke")
N = 30


def scores(gain: float, seeds: int = 3, noise: float = 0.0, part: str = "test") -> pd.DataFrame:
    """Return scores in which the fused volume exceeds 2D by ``gain`` in every region."""
    rng = np.random.default_rng(1)
    patients = rng.normal(0.6, 0.05, N)
    rows = []
    for seed in range(seeds):
        of_seed = rng.normal(0, noise)
        for network, offset in (("2D", 0.0), ("3D", 0.01), ("fused", gain + of_seed)):
            for number, dice in enumerate(patients + offset + rng.normal(0, 0.005, N)):
                for region in tables.REGIONS:
                    rows.append((f"P{number:02}", region, network, seed, dice))
    table = pd.DataFrame(rows, columns=["patient_id", "region", "network", "seed", "dice"])
    by_rule = {rule: table["dice"] for rule in tables.RULES}
    return table.assign(part=part, fold=0, state="both", **by_rule)


def contrasts(table: pd.DataFrame) -> dict[str, fusion_gain.Contrast]:
    made = fusion_gain.contrasts(table, "fused", ["2D", "3D"])
    assert all(contrast.value.rule for contrast in made)
    return {contrast.value.name: contrast for contrast in made}


def spurious(table: pd.DataFrame) -> pd.DataFrame:
    """Plant a patient without enhancing tumour: 2D sees some, the fused volume none."""
    planted = (table["patient_id"] == "P07") & (table["region"] == "ET")
    table.loc[planted, "dice_present"] = np.nan
    table.loc[planted & (table["network"] == "2D"), ["dice", "state"]] = [0.0, "spurious"]
    fused = planted & (table["network"] == "fused")
    table.loc[fused, ["dice", "dice_volume", "state"]] = [1.0, 1.0, "empty"]
    table.loc[planted & (table["network"] == "2D"), "dice_volume"] = 1.0
    return table


def test_differences_are_paired_over_patients_and_trainings() -> None:
    found = contrasts(scores(0.05))
    assert list(found)[:3] == [
        "fused_minus_2d_mean_dice",
        "fused_minus_2d_mean_dice_present",
        "fused_minus_2d_mean_dice_volume",
    ]
    value = found["fused_minus_2d_mean_dice"].value
    assert value.value == pytest.approx(0.05, abs=0.003)
    assert value.n_patients == N and value.n_seeds == 3 and not value.note
    low, high = value.ci95 or (0, 1)
    assert 0.04 < low < high < 0.06, "the patients differ by more than the networks do"


def test_the_noise_of_training_widens_the_interval_and_a_single_one_is_said() -> None:
    noisy = contrasts(scores(0.05, noise=0.03))["fused_minus_2d_mean_dice"].value
    low, high = noisy.ci95 or (0, 0)
    assert high - low > 0.05
    single = contrasts(scores(0.05, seeds=1))["fused_minus_2d_mean_dice"].value
    assert single.n_seeds == 1 and ONE_TRAINING in single.note


def test_one_patient_with_an_empty_mask_is_named_and_counted() -> None:
    found = contrasts(spurious(scores(0.0)))
    value = found["fused_minus_2d_mean_dice"].value
    assert "one patient decides: P07" in value.note
    assert (value.n_empty, value.n_missed) == (1, 1)
    assert found["fused_minus_2d_mean_dice_present"].value.value == pytest.approx(0, abs=0.003)
    table = fusion_gain.differences(list(found.values())).set_index(["title", "rule"])
    row = table.loc[("fused − 2D", "dice")]
    assert row["decider"] == "P07" and row["median"] < row["difference"] / 2
    assert row["least"] < row["difference"] < row["most"]


def test_the_rule_is_named_where_it_decides() -> None:
    table = scores(0.03)
    table.loc[table["network"] == "fused", "dice_present"] -= 0.06
    found = contrasts(table)
    assert comparing.RULE_DECIDES in found["fused_minus_2d_mean_dice_present"].value.note
    assert comparing.RULE_DECIDES in found["fused_minus_2d_mean_dice"].value.note


def test_patients_without_any_class_are_left_out_and_counted() -> None:
    table = scores(0.05)
    table.loc[table["patient_id"] == "P03", "dice_present"] = np.nan
    found = contrasts(table)["fused_minus_2d_mean_dice_present"]
    assert found.left_out == 1 and found.value.n_patients == N - 1
    assert "1 patient without a score left out" in found.value.rule


def test_a_gain_that_one_grade_alone_has_is_found_there() -> None:
    table = scores(0.0)
    grades = {f"P{number:02}": ("HGG", "LGG", None)[number % 3] for number in range(N)}
    high = table["patient_id"].map(grades) == "HGG"
    table.loc[high & (table["network"] == "fused"), [*tables.RULES]] += 0.1
    # a duplicate examination has the grade of its patient, or none
    people = [*grades, "P00"]
    cases = pd.DataFrame({"patient_id": people, "grade": [*grades.values(), None]})
    values = fusion_gain.graded(table, cases, "fused", ["2D", "3D"])
    found = {value.name: value for value in values}
    assert list(found) == [
        f"fused_minus_{other}_mean_dice_{grade}"
        for grade in ("hgg", "lgg")
        for other in ("2d", "3d")
    ]
    gained, none = (found[f"fused_minus_2d_mean_dice_{grade}"] for grade in ("hgg", "lgg"))
    assert gained.value == pytest.approx(0.1, abs=0.005) and none.value == pytest.approx(
        0, abs=0.005
    )
    assert gained.n_patients == none.n_patients == N // 3 and gained.n_seeds == 3
    assert gained.rule.startswith("HGG only: ")
    unknown = fusion_gain.graded(table, cases.assign(grade=None), "fused", ["2D"])
    assert unknown == []


def test_trainings_scored_on_different_patients_are_refused() -> None:
    table = scores(0.05)
    lost = (table["patient_id"] == "P03") & (table["seed"] == 2) & (table["network"] == "2D")
    with pytest.raises(RecordError, match="same test patients"):
        fusion_gain.contrasts(table[~lost], "fused", ["2D"])


def test_trainings_of_one_network_raise_few_alarms_and_two_none() -> None:
    table = scores(0.05, noise=0.02)
    alarms = fusion_gain.false_alarms(table)
    assert 0 <= alarms.value < 0.2 and "of 54 comparisons" in alarms.rule
    pair = fusion_gain.false_alarms(scores(0.05, seeds=2))
    assert np.isnan(pair.value) and pair.note


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (0.05, "the fused volume exceeds 2D only by +0.05"),
        (-0.05, "the fused volume falls behind 2D only by -0.0"),
        (0.0, "the fused volume shows no clear difference from 2D only: "),
    ],
)
def test_the_conclusion_speaks_of_both_parts_and_of_false_alarms(gain: float, words: str) -> None:
    both = pd.concat([scores(gain), scores(-0.1, part="external")])
    made = fusion_gain.contrasts(both, "fused", ["2D", "3D"])
    said = fusion_gain.conclusion(made, Value("aa_false_alarms", 0.04, n_seeds=3))
    assert f"In held-out patients {words}" in said
    assert "In external patients the fused volume falls behind 2D only" in said
    assert ("disagree on the sign of the gain on 2D (+0.05" in said) == (gain > 0)
    assert (
        "in 4.0\N{NO-BREAK SPACE}% of comparisons, where 5\N{NO-BREAK SPACE}% are expected" in said
    )
    few = fusion_gain.false_alarms(scores(gain, seeds=2))
    assert "fewer than three trainings" in fusion_gain.conclusion(made, few)
    single = fusion_gain.contrasts(scores(gain, seeds=1), "fused", ["2D"])
    assert f"{ONE_TRAINING}]" in fusion_gain.conclusion(single, few)


def test_every_training_is_fused_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = ("unet2d.seed2", "unet3d.seed2")
    networks = {name: (2.0, 10 * at) for at, name in enumerate((*folds.BRANCHES, *again))}
    splits = (Split(0, ("A",), ("B",), ("C", "D"), ("E",)),)
    material = planted_branches.noisy(tmp_path, "05_fusion", splits, networks)
    monkeypatch.setattr(folds, "seeds", lambda _: {0: folds.BRANCHES, 8: again})
    table = fusion_gain.scores(material)
    own = folds.segmentation_scores(material, ["unet2d", "unet3d", "fused"])
    key = ["network", "patient_id", "region"]
    first = table[table["seed"] == 0].set_index(key)["dice"].sort_index()
    pd.testing.assert_series_equal(first, own.set_index(key)["dice"].sort_index())
    p2d, p3d = folds.pair(material, 0, "C", again)
    counts = tables.confusion_of(
        material.store.get("C"), average.weighted_average(p2d, p3d, material.study.fusion.alpha)
    )
    expected = tables.dice_by_rule(counts, (3,), "brats", 0.064)["dice"]
    assert table.set_index(["seed", *key])["dice"][8, "fused", "C", "ET"] == expected
    wide = fusion_gain.patients(table, "test")
    assert list(wide) == ["2D", "3D", "fused"] and list(wide.index) == ["C", "D"]
    of_c = table[(table["patient_id"] == "C") & table["region"].isin(list(tables.CLASSES))]
    assert wide["2D"]["C"] == pytest.approx(of_c.query("network == '2D'")["dice"].mean())
