"""Methods of the baselines: nobody lost, no reported patient seen, areas and positions counted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gliomalib import settings
from gliomalib.experiments import baseline_methods, baselines
from gliomalib.pipeline import folds, variants
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import RecordError, Split, StoredCase
from gliomalib.scoring import tables as evaluate
from tests import planted_baselines as planted
from tests import planted_branches


def test_a_variant_with_another_loss_is_no_input(
    method_trial: baseline_methods.MethodTrial,
) -> None:
    assert "ce" not in method_trial.classifiers
    assert "ce" not in set(method_trial.slices["method"])


def test_a_seed_of_the_classifier_is_a_training_of_it_and_no_method(
    method_trial: baseline_methods.MethodTrial,
) -> None:
    assert "seed2" not in method_trial.classifiers
    of_network = method_trial.slices.query("method == 'resnet50'")
    assert of_network["seed"].unique().tolist() == [0, 8]


def test_the_studys_own_seed_again_is_no_further_training(tmp_path: Path) -> None:
    made = planted.study(tmp_path, planted.ONE)
    name, seed = baseline_methods.CLASSIFIER, made.study.seed
    changed = {**made.study.variants, name: {"seed2": {"seed": seed}}}
    study = made.study.model_copy(update={"variants": changed})
    rows = baseline_methods.measure(replace(made, run=replace(made.run, study=study))).slices
    assert rows.loc[rows["method"] == "resnet50", "seed"].unique().tolist() == [0]


def test_the_whole_scan_counts_what_the_crop_lost_as_missed(tmp_path: Path) -> None:
    made = planted.study(tmp_path, planted.ONE)
    case = made.store.get("D")
    voxels = np.bincount(case.labels.ravel(), minlength=4)
    lost = [0, 0, 0, int(voxels[3])]
    crop = {"voxels": [*(voxels + lost)], "in_plane": [*voxels], "in_box": [*voxels]}
    facts = {name: list(map(int, counts)) for name, counts in crop.items()}
    made.store.put(case, "other", {"crop": {**facts, "voxel_mm3": 64.0}})
    rows = baseline_methods.measure(made).scores.query("region == 'ET' and seed == 0")
    dice = rows.pivot(index="patient_id", columns="network", values="dice")
    assert dice["fused_scan"]["D"] < dice["fused"]["D"] - 0.1
    assert (dice["fused_scan"] == dice["fused"]).sum() == len(dice) - 1


def test_two_seeds_are_the_mean_of_a_training_and_the_next(
    method_trial: baseline_methods.MethodTrial,
) -> None:
    keys = ["network", "region", "seed", "patient_id"]
    rows = method_trial.scores.set_index(keys)["dice"].sort_index()
    # the planted second seed is the first, and so is their mean
    for branch in ("2d", "3d"):
        pairs = rows[f"two_seeds_{branch}", "WT"].sub(rows[branch, "WT"]).abs()
        assert len(pairs) == 2 * 10 and pairs.max() < 1e-9


def test_position_and_majority_never_see_a_reported_patient(
    method_trial: baseline_methods.MethodTrial, tmp_path: Path
) -> None:
    made = planted.study(tmp_path, planted.ONE)
    for patient in "CDEFGHIJKL":
        case = made.store.get(patient)
        turned = StoredCase(case.grid, case.images, case.labels[..., ::-1])
        made.store.put(turned, "other", made.store.facts(patient))
    table = planted.classified(planted.ONE, 2)
    reversed_truth = table.groupby("patient_id")["truth"].transform(
        lambda one: one.to_numpy()[::-1]
    )
    for name in ("", ".seed2", ".truth", ".two_seeds"):
        planted.write(made.run, f"06_train_resnet50{name}", table.assign(truth=reversed_truth))
    again = baseline_methods.measure(made)
    for method in ("position", "majority"):
        before, after = (
            one.slices[one.slices["method"] == method] for one in (method_trial, again)
        )
        assert before["predicted"].tolist() == after["predicted"].tolist()
    assert baselines.table(again, "test", "accuracy")["position"].max() < 1


def test_the_area_rule_counts_what_the_fused_volume_marks(
    methods_study: folds.Material, method_trial: baseline_methods.MethodTrial
) -> None:
    rows = method_trial.slices.set_index(["method", "patient_id", "z"])["predicted"]
    found = evaluate.predicted_labels(folds.volume(methods_study, "fused", 0, "D"))
    for z in range(planted_branches.SHAPE[2]):
        areas = [(found[..., z] == label).sum() for label in (1, 2, 3)]
        largest = max((area, label) for label, area in enumerate(areas, 1))
        assert rows["area_rule", "D", z] == (largest[1] if largest[0] else 0)


def test_ways_without_an_image_are_scored_on_who_is_held_out(tmp_path: Path) -> None:
    def labels_of(patient: str) -> np.ndarray:
        labels = np.zeros(planted_branches.SHAPE, np.uint8)
        labels[:4, :4, 2:8] = 2
        labels[0, 0, 2:8] = 3 * (patient == "C")
        return labels

    splits = (Split(0, ("A", "B"), (), ("C", "D")),)
    made = planted_branches.material(
        tmp_path, "07_baselines", splits, labels_of, lambda *_: pytest.fail("no network"), ()
    )
    rows = baseline_methods.without_images(made)
    assert rows["position"].tolist() == [1, 1] and rows["majority"].tolist() == [0.6, 0.6]
    assert rows["area_rule_dominant"].tolist() == [1, 1], "the rule itself"
    assert rows["area_rule_enhancing_first"].tolist() == [0.4, 1], "six of ten renamed"


def test_each_training_patient_has_one_vote_at_each_height() -> None:
    one, other = np.array([0, 2, 3, 0]), np.array([0, 2, 1, 0])
    assert baseline_methods.by_position([one, one, other], 4).tolist() == [0, 2, 3, 0]
    assert baseline_methods.by_position([one, other], 4).tolist() == [0, 2, 1, 0]
    # a volume of half the depth is stretched to it
    assert baseline_methods.by_position([np.array([0, 3])], 4).tolist() == [0, 0, 3, 3]
    assert baseline_methods.by_position([one], 2).tolist() == [2, 0]
    for depth in (7, 64, 155):
        every = np.arange(depth) % 4
        assert baseline_methods.by_position([every], depth).tolist() == every.tolist()


def with_images() -> list[str]:
    found = [path.stem for path in (PROJECT_DIR / "notebooks" / "params").glob("*.yml")]
    return sorted(name for name in found if settings.load(name).data.extent != "masks")


@pytest.mark.parametrize("name", with_images())
def test_the_control_of_every_study_counts_however_it_is_trained(name: str) -> None:
    varying = (*baseline_methods.INPUT, *baseline_methods.TRAINING)
    siblings = variants.siblings(settings.load(name), baseline_methods.CLASSIFIER, varying)
    assert "truth" in {sibling.variant for sibling in siblings}


def test_a_control_with_another_rate_is_a_method(tmp_path: Path) -> None:
    made = planted.study(tmp_path, planted.ONE)
    own, name = made.study.variants, baseline_methods.CLASSIFIER
    trained = {"image": "truth", "learning_rate": 0.002, "batch_size": 8, "epochs": 10}
    changed = {**own, name: {**own[name], "truth": trained}}
    study = made.study.model_copy(update={"variants": changed})
    other = replace(made, run=replace(made.run, study=study))
    assert "truth" in set(baseline_methods.measure(other).slices["method"])


@pytest.mark.parametrize("name", ["06_train_resnet50", "06_train_resnet50.truth"])
def test_a_patient_that_a_classifier_lacks_is_named(tmp_path: Path, name: str) -> None:
    made = planted.study(tmp_path, planted.TWO)
    table = planted.classified(planted.TWO, 2)
    planted.write(made.run, name, table[table["patient_id"] != "D"])
    with pytest.raises(RecordError, match=f"{name}: its slices of D are missing"):
        baseline_methods.measure(made)
    planted.write(made.run, name, table.assign(truth=table["truth"].replace({3: 2})))
    with pytest.raises(RecordError, match="not those of the store"):
        baseline_methods.measure(made)
