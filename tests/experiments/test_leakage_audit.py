"""The audit of splits on planted slices: what can be memorised leaks, what cannot does not."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gliomalib import records, settings
from gliomalib.cohort import table
from gliomalib.cohort.splits import write_splits
from gliomalib.experiments import leakage_audit, leakage_splits
from gliomalib.experiments.leakage_splits import Pool
from gliomalib.fusion import slices
from gliomalib.networks import models, predict
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import Case, MismatchError, SliceSet, Split, StoredCase, Volume
from tests.planted_branches import begin, grid

SIZE = 32


def pool_of(patterns: str, n_patients: int = 16, depth: int = 12, repeats: int = 5) -> Pool:
    """Return planted slices: each patient has a look of his own, or each class has one.

    The classes change from slice to slice, so who knows the patient alone knows nothing of them.
    """
    rng = np.random.default_rng(3)
    place = np.repeat(np.arange(n_patients), depth)
    z = np.tile(np.arange(depth), n_patients)
    classes = rng.integers(0, 4, len(place))
    looks = rng.random((max(n_patients, 4), 3, SIZE, SIZE))
    chosen = looks[place if patterns == "patient" else classes]
    noise = rng.normal(0, 0.02 if patterns == "patient" else 0.3, chosen.shape)
    names = tuple(f"P{number:02d}" for number in place)
    found = SliceSet((chosen + noise).astype(np.float16), classes, names, z)
    copies = dict.fromkeys(names, 3)
    study = settings.load("smoke", {"leakage.repeats": repeats})
    return Pool(found, 0, copies, "planted", study)


@pytest.fixture(scope="module")
def memorable() -> Pool:
    return pool_of("patient")


@pytest.fixture(scope="module")
def quick(memorable: Pool) -> pd.DataFrame:
    return leakage_audit.neighbours(memorable)


def concluded(scores: pd.DataFrame) -> str:
    """Return the conclusion as if the ResNet50 had been right in half of the control."""
    network = ("resnet50", "random", "slice", 16, 0.5)
    columns = [*leakage_audit.KEYS, "patients", "accuracy"]
    return leakage_audit.conclusion(pd.concat([scores, pd.DataFrame([network], columns=columns)]))


def of(scores: pd.DataFrame, labels: str, split: str) -> pd.Series:
    return scores[(scores["labels"] == labels) & (scores["split"] == split)].iloc[0]


def test_a_classifier_that_memorises_patients_is_found_out(
    memorable: Pool, quick: pd.DataFrame
) -> None:
    scores = leakage_audit.scores(quick, memorable.study)
    fair, leaky = of(scores, "random", "patient"), of(scores, "random", "slice")
    assert leaky["accuracy"] > 0.99
    assert fair["accuracy"] == pytest.approx(0.25, abs=0.03)
    assert fair["accuracy_low"] < 0.25 < fair["accuracy_high"]
    assert of(scores, "random", "years")["accuracy"] > 0.8
    text = concluded(scores)
    assert "(ResNet50 in 50 %)" in text and text.endswith("the control holds.")


def test_where_nothing_is_of_the_patient_nothing_leaks() -> None:
    pool = pool_of("class")
    scores = leakage_audit.scores(leakage_audit.neighbours(pool), pool.study)
    for split in ("patient", "slice"):
        assert of(scores, "true", split)["accuracy"] > 0.95
        assert of(scores, "random", split)["accuracy"] == pytest.approx(0.25, abs=0.05)
    gain = of(scores, "true", "slice")
    assert gain["gain_low"] <= 0 <= gain["gain_high"]
    by_slice, _, rest = concluded(scores).partition(". ")
    assert "dealt by slice" in by_slice and by_slice.endswith("a leak is not shown")
    assert "dealt by volume" in rest
    # the pooled years hold the very same slice twice, which is recognised whatever it looks like
    assert of(scores, "random", "years")["accuracy"] > 0.5


def test_a_class_that_goes_with_the_patient_gains_by_leaking(memorable: Pool) -> None:
    by_patient = np.array([int(name[1:]) % 4 for name in memorable.slices.patients])
    pool = replace(memorable, slices=replace(memorable.slices, classes=by_patient))
    scores = leakage_audit.scores(leakage_audit.neighbours(pool), pool.study)
    gain = of(scores, "true", "slice")
    assert gain["accuracy"] > 0.99 and gain["gain_low"] > 30
    assert concluded(scores).count("a leak is shown") == 2


def test_a_network_that_learnt_nothing_has_no_gain(memorable: Pool) -> None:
    by_patient = np.array([int(name[1:]) % 4 for name in memorable.slices.patients])
    pool = replace(memorable, slices=replace(memorable.slices, classes=by_patient))
    answers = leakage_audit.neighbours(pool).query("labels == 'true'")
    blind = answers.copy()
    for true in range(4):
        cells = [f"true {true} given {given}" for given in range(4)]
        blind[cells] = np.eye(4)[0] * blind[cells].sum(axis=1).to_numpy()[:, None]
    # one split on which it learnt is enough: by slice these classes of patients can be learnt
    mixed = pd.concat([blind.query("split != 'slice'"), answers.query("split == 'slice'")])
    scores = leakage_audit.scores(mixed.assign(classifier="resnet50"), pool.study)
    assert of(scores, "true", "slice")["gain_low"] > 30
    assert np.isnan(of(scores, "true", "years")["gain"])
    control = leakage_audit.scores(leakage_audit.neighbours(pool), pool.study)
    text = concluded(pd.concat([control.query("labels == 'random'"), scores]))
    assert "dealt by volume of the pooled years: not judged, it is not shown to be right" in text
    assert text.count("a leak is shown") == 1


def test_of_a_network_that_is_right_in_one_patient_nothing_wrong_is_said() -> None:
    right = dict.fromkeys(leakage_splits.CELLS, 0.0) | {"true 0 given 0": 5, "true 1 given 1": 5}
    about = {"classifier": "resnet50", "labels": "true", "repeat": 0, "patient_id": "A"}
    answers = pd.DataFrame([{**about, "split": split, **right} for split in ("patient", "years")])
    row = of(leakage_audit.scores(answers, settings.load("smoke")), "true", "years")
    assert row["accuracy"] == 1 and np.isnan(row["gain"])
    assert "not shown" in row["idle"], "it may well be right more often than the commonest class"


def test_the_accuracy_is_that_of_a_slow_search(memorable: Pool, quick: pd.DataFrame) -> None:
    one = leakage_splits.deal(memorable, 2)["slice"]
    small = slices.resized(memorable.slices.images, leakage_audit.SIDE).astype(np.float64)
    right: dict[str, list[bool]] = {}
    for row in one.test:
        nearest = one.train[((small[one.train] - small[row]) ** 2).sum(axis=(1, 2, 3)).argmin()]
        same = memorable.slices.classes[nearest] == memorable.slices.classes[row]
        right.setdefault(memorable.slices.patients[row], []).append(bool(same))
    rows = quick[(quick["labels"] == "true") & (quick["split"] == "slice") & (quick["repeat"] == 2)]
    found = leakage_splits.per_patient(rows)["accuracy"].reset_index("patient_id")
    slow = pd.Series({name: np.mean(hits) for name, hits in right.items()})
    assert found.set_index("patient_id")["accuracy"].to_dict() == pytest.approx(slow.to_dict())


def test_gains_are_of_the_patients_whom_both_splits_tested(
    memorable: Pool, quick: pd.DataFrame
) -> None:
    scores = leakage_audit.scores(quick, memorable.study)
    true = leakage_splits.per_patient(quick[quick["labels"] == "true"])["accuracy"]
    pairs = (true.xs("slice", level="split") - true.xs("patient", level="split")).dropna()
    row = of(scores, "true", "slice")
    assert row["gain_patients"] == len(pairs) == 16  # five turns hold out everybody
    assert row["gain"] == pytest.approx(100 * pairs.mean())
    assert row["patients"] == 16


def test_a_gain_without_a_common_patient_has_no_interval(quick: pd.DataFrame) -> None:
    study = settings.load("smoke")
    true = quick[(quick["labels"] == "true") & (quick["repeat"] == 0)]
    tested = true.loc[true["split"] == "patient", "patient_id"]
    apart = true[(true["split"] == "patient") | ~true["patient_id"].isin(tested)]
    row = of(leakage_audit.scores(apart, study), "true", "slice")
    assert row["gain_patients"] == 0 and np.isnan(row["gain_low"]) and not np.isnan(row["gain"])


def test_few_patients_are_not_judged() -> None:
    pool = pool_of("patient", n_patients=5, repeats=2)
    scores = leakage_audit.scores(leakage_audit.neighbours(pool), pool.study)
    text = concluded(scores)
    assert text.count("not judged on fewer than 5 patients") == 2
    assert "is not judged on 2 patients" in text
    assert "is shown" not in text and "holds" not in text


def test_budgets_are_equal_and_nobody_is_in_both(memorable: Pool) -> None:
    of = memorable.slices.patients
    for repeat in range(memorable.study.leakage.repeats):
        dealt = leakage_splits.deal(memorable, repeat)
        again = leakage_splits.deal(memorable, repeat)
        assert len({len(rows.train) for rows in dealt.values()}) == 1
        sides = {split: leakage_splits.in_both(rows, of) for split, rows in dealt.items()}
        assert not sides["patient"] and sides["years"]
        assert set(sides["slice"]) == {of[row] for row in dealt["slice"].test}
        assert all(np.array_equal(dealt[split].test, again[split].test) for split in dealt)


def test_a_leaking_patient_level_split_stops_the_audit(
    memorable: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaking(patients: list[str], seed: int, turn: int = 0) -> leakage_splits.Assignment:
        return leakage_splits.by_slice(len(patients), seed)

    monkeypatch.setattr(leakage_splits, "by_patient", leaking)
    with pytest.raises(MismatchError, match="on both sides of the patient-level"):
        leakage_splits.deal(memorable, 0)


PATIENTS = tuple("ABCDEFGH")


def material_of(root: Path, study: str = "smoke", **more: object) -> folds.Material:
    run = begin(root, "11_leakage_audit", study=study, **more)
    store = preprocess.open_store(run.work_dir / "store", run.study.preprocessing)
    for patient in PATIENTS:
        rng = np.random.default_rng(ord(patient))
        images = rng.random((4, 12, 12, 6)).astype(np.float16)
        images[..., 0] = 0
        labels = rng.integers(0, 4, (12, 12, 6)).astype(np.uint8)
        store.put(StoredCase(grid(patient, labels.shape), images, labels), "digest", {})
    halves = PATIENTS[:4], PATIENTS[4:7]
    splits = tuple(
        Split(fold, halves[1 - fold], (), halves[fold], PATIENTS[7:]) for fold in range(2)
    )
    write_splits(splits, run.work_dir / "splits.json")
    made = folds.open_material(run)
    for split in splits:
        for name in split.test:
            predict_planted(made, split.fold, name)
    return made


def predict_planted(made: folds.Material, fold: int, patient: str) -> None:
    """Write volumes of both branches that are sure of the class that the labels say."""
    case = made.store.get(patient)
    sure = np.stack([case.labels == label for label in range(4)]).astype(np.float16)
    for branch in folds.BRANCHES:
        folder = made.run.work_dir / "predictions" / branch / f"fold{fold}"
        predict.save(Volume(sure, case.grid), folder / f"{patient}.npy")


def test_the_pool_is_of_held_out_patients_and_of_slices_with_brain(tmp_path: Path) -> None:
    # volumes of other folds than that which held a patient out are not even there
    made = material_of(tmp_path)
    pool = leakage_splits.gather(made, patients=None)
    assert pool.patients == list("ABCDEFG")
    assert pool.n_blank == 7 and 0 not in pool.slices.z and len(pool.slices.z) == 7 * 5
    assert sorted(pool.copies) == pool.patients and "organisers" in pool.counted_by
    assert pool.slices.images.shape[2:] == (32, 32)
    shares = np.stack([made.store.get("E").labels == label for label in (1, 2, 3)]).mean((1, 2))
    of_e = np.array(pool.slices.patients) == "E"
    np.testing.assert_allclose(pool.slices.images[of_e].mean((2, 3)), shares[:, 1:].T, atol=0.05)
    few = leakage_splits.gather(material_of(tmp_path), patients=4)
    assert len(few.patients) == 4 and set(few.patients) < set(pool.patients)


def test_volumes_are_the_years_in_which_the_tables_name_a_patient(tmp_path: Path) -> None:
    made = material_of(tmp_path, "brats-mini")
    files = dict.fromkeys(("t1", "t1ce", "t2", "flair"), Path("x"))
    years = {"A": (2018, 2019, 2020, 2021), "B": (2017, 2020), "C": (2021,)}
    entries = [
        table.Entry(Case(n, n, "brats2020", files, None), "internal", years=years.get(n, ()))
        for n in PATIENTS[:7]
    ]
    table.write_cases(table.table_of(entries), made.run.work_dir / "cases.csv")
    pool = leakage_splits.gather(made, patients=None)
    assert pool.copies == dict(zip("ABCDEFG", (3, 1, 1, 1, 1, 1, 1), strict=True))
    assert "table of subject IDs names them" in pool.counted_by


def test_volumes_are_counted_in_the_study_where_its_releases_overlap(tmp_path: Path) -> None:
    made = material_of(tmp_path, "brats-mini")

    def write(rows: list[tuple[str, str, str]]) -> Pool:
        files = dict.fromkeys(("t1", "t1ce", "t2", "flair"), Path("x"))
        entries = [
            table.Entry(Case(f"{name}{number}", name, release, files, None), part)
            for number, (name, release, part) in enumerate(rows)
        ]
        table.write_cases(table.table_of(entries), made.run.work_dir / "cases.csv")
        return leakage_splits.gather(made, patients=None)

    internal = [(name, "brats2020", "internal") for name in PATIENTS[:7]]
    assert "organisers" in write(internal).counted_by
    others = [(name, "brats2019", "duplicate") for name in "ABCDEFG"]
    others += [(name, "brats2018", "duplicate") for name in "ABCDEF"]
    # a second file of the same year, and a year that is not asked for
    others += [("G", "brats2019", "duplicate"), ("G", "brats2021", "duplicate")]
    pool = write(internal + others)
    assert "releases of this study" in pool.counted_by
    assert pool.copies == {name: 2 if name == "G" else 3 for name in pool.patients}


def small_network(identity_blocks: bool = False) -> models.Normalised:
    """Return a network of some weights in place of the ResNet50, which takes long to save."""
    pooled = (torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(48, 4))
    return models.Normalised(torch.nn.Sequential(*pooled))


Trained = tuple[folds.Material, Pool, pd.DataFrame]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    made = material_of(tmp_path_factory.mktemp("leakage"), turns=2)
    pool = leakage_splits.gather(made, patients=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "empty_resnet50", small_network)
        yield made, pool, leakage_audit.networks(made, pool)


def test_every_split_has_its_network_of_one_budget(trained: Trained) -> None:
    made, pool, deep = trained
    folder = made.run.work_dir / "checkpoints" / "leakage"
    of_true = {f"true_{split}_{turn}" for split in leakage_audit.SPLITS for turn in range(2)}
    names = {*of_true, "random_slice_0"}
    assert {path.name for path in folder.iterdir()} == names
    told = [json.loads((folder / name / "training.json").read_text()) for name in sorted(names)]
    kinds = {(one["settings"]["image"], one["seed"]) for one in told}
    assert kinds == {("probabilities", made.study.seed)}
    assert len({one["key"] for one in told}) == len(names)
    assert set(deep["repeat"]) == {0, 1}
    tested = deep.assign(slices=deep[leakage_splits.CELLS].sum(axis=1))
    counts = tested.groupby(["labels", "split", "repeat"])["slices"].sum()
    for turn in range(2):
        for split, assignment in leakage_splits.deal(pool, turn).items():
            assert counts["true", split, turn] == len(np.unique(assignment.test))


def test_five_turns_test_every_patient(memorable: Pool) -> None:
    names = memorable.slices.patients
    turns = [leakage_splits.deal(memorable, turn)["patient"].test for turn in range(5)]
    assert {names[row] for row in np.concatenate(turns)} == set(names)


def test_networks_that_are_there_are_not_trained_again(trained: Trained) -> None:
    made, pool, deep = trained
    files = sorted((made.run.work_dir / "checkpoints" / "leakage").rglob("final.pt"))
    before = [path.stat().st_mtime_ns for path in files]
    assert leakage_audit.networks(made, pool).equals(deep)
    assert [path.stat().st_mtime_ns for path in files] == before


def test_the_record_has_every_value_with_its_rule_and_says_what_was_not_run(
    trained: Trained,
) -> None:
    made, pool, deep = trained
    found = pd.concat([leakage_audit.neighbours(pool), deep], ignore_index=True)
    scores = leakage_audit.scores(found, made.study)
    listed = leakage_audit.values(pool, scores)
    values = {value.name: value for value in listed}
    for who in ("neighbour", "resnet50"):
        for split in leakage_audit.SPLITS:
            assert 0 <= values[f"{who}_{split}_accuracy"].value <= 1
        for split in ("slice", "years"):
            gain = values[f"{who}_{split}_gain"]
            assert gain.unit == "points"
            assert "commonest" in gain.note if np.isnan(gain.value) else abs(gain.value) <= 100
    assert {"random_labels_patient_accuracy", "random_labels_slice_accuracy"} <= set(values)
    assert "resnet50_random_labels_slice_accuracy" in values
    assert "resnet50_random_labels_patient_accuracy" not in values
    assert pool.n_blank == 7
    assert all(one.rule for one in values.values())
    caveats = leakage_audit.caveats(pool, scores)
    outcome = records.NotebookResult(values=listed, caveats=caveats)
    assert "slice-level split only" in records.finish(made.run, outcome).caveats[-1]
    assert "2 times per split" in caveats[1] and "rests on 4 of 7 patients" in caveats[1]
    assert values["resnet50_slice_gain"].n_seeds == 2
    assert values["resnet50_random_labels_slice_accuracy"].n_seeds == 1
    assert "1 training averaged" in values["resnet50_random_labels_slice_accuracy"].rule
    assert values["neighbour_slice_gain"].n_seeds == 0
    text = leakage_audit.conclusion(scores)
    assert text.count("ResNet50, slices dealt") == text.count("Nearest neighbour, slices") == 2
