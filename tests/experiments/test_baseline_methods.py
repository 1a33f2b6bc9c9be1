"""Methods of the baselines: nobody lost, no reported patient seen, areas and positions counted."""

from pathlib import Path

import numpy as np
import pytest

from gliomalib.experiments import baseline_methods, baselines
from gliomalib.pipeline import folds
from gliomalib.schema import MismatchError, RecordError, StoredCase
from gliomalib.scoring import tables as evaluate
from tests import planted_baselines as planted
from tests import planted_branches


def test_a_variant_with_another_loss_is_no_input(
    method_trial: baseline_methods.MethodTrial,
) -> None:
    assert "ce" not in method_trial.classifiers
    assert "ce" not in set(method_trial.slices["method"])


def test_position_and_majority_never_see_a_reported_patient(
    method_trial: baseline_methods.MethodTrial, tmp_path: Path
) -> None:
    made = planted.study(tmp_path, planted.ONE)
    for patient in "CDEFGHIJKL":
        case = made.store.get(patient)
        made.store.put(StoredCase(case.grid, case.images, case.labels[..., ::-1]), "other", {})
    table = planted.classified(planted.ONE, 2)
    turned = table.groupby("patient_id")["truth"].transform(lambda one: one.to_numpy()[::-1])
    for name in ("", ".truth", ".two_seeds"):
        planted.write(made.run, f"06_train_resnet50{name}", table.assign(truth=turned))
    again = baseline_methods.measure(made)
    for method in ("position", "majority"):
        before, after = (
            one.slices[one.slices["method"] == method] for one in (method_trial, again)
        )
        assert before["predicted"].tolist() == after["predicted"].tolist()
    assert baselines.table(again, "test", "accuracy")["position"].max() < 1


def test_the_area_rule_counts_what_each_volume_marks(
    methods_study: folds.Material, method_trial: baseline_methods.MethodTrial
) -> None:
    rows = method_trial.slices.set_index(["method", "patient_id", "z"])["predicted"]
    for method, network in (("area_rule", "fused"), ("area_rule_2d", "unet2d")):
        found = evaluate.predicted_labels(folds.volume(methods_study, network, 0, "D"))
        for z in range(planted_branches.SHAPE[2]):
            areas = [(found[..., z] == label).sum() for label in (1, 2, 3)]
            largest = max((area, label) for label, area in enumerate(areas, 1))
            assert rows[method, "D", z] == (largest[1] if largest[0] else 0)


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


def test_the_majority_is_that_of_all_slices_together() -> None:
    assert baseline_methods.majority([np.array([0, 3, 3]), np.array([0, 0])]) == 0
    assert baseline_methods.majority([np.array([2, 3, 3])]) == 3


def test_the_mean_of_three_seeds_is_their_mean() -> None:
    made = [planted_branches.noisy_volume("A", 2.0, seed) for seed in (1, 2, 3)]
    mean = baseline_methods.mean_volume(made)
    expected = sum(one.probabilities.astype(np.float64) for one in made) / 3
    np.testing.assert_allclose(mean.probabilities, expected, atol=1e-3)
    with pytest.raises(MismatchError, match="cannot be fused"):
        baseline_methods.mean_volume([made[0], planted_branches.noisy_volume("B", 2.0, 1)])


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
