"""Every number of a result in the README is that of a record; the table and the sentences alike."""

import json
import math
import re
from pathlib import Path

import pytest

from gliomalib import records
from gliomalib.digits import percent
from gliomalib.experiments import specifications
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import Value
from gliomalib.verdicts import claims

README = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")
FINDINGS = README.partition("## What was found")[2].partition("\n## Two commands")[0]

ONE_LINE = " ".join(FINDINGS.split())

TABLE = {
    "Whole-tumour Dice, fused volume": ("05_fusion", "dice_WT", "{:.2f}"),
    "Mean Dice of the three sub-regions, fused volume": ("05_fusion", "dice_mean", "{:.2f}"),
    "The same at another site, drop": ("13_external_validation", "drop_mean_dice", "{:+.3f}"),
    "Fused minus 2D only, mean Dice": ("05_fusion", "fused_minus_2d_mean_dice", "{:+.3f}"),
    "Fused minus 3D only, mean Dice": ("05_fusion", "fused_minus_3d_mean_dice", "{:+.3f}"),
    "Fused minus two trainings of the better network": (
        "07_baselines",
        "fused_minus_better_two_seeds_mean_dice",
        "{:+.3f}",
    ),
    "Best α": ("08_alpha_sweep", "best_alpha", "{:.2f}"),
    "Dice that α = 0.6 costs": ("08_alpha_sweep", "lost_at_published_alpha", "{:.3f}"),
    "Focal loss minus cross-entropy, Dice of enhancing tumour": (
        "09_loss_ablations",
        "focal_minus_cross_entropy_et_dice",
        "{:+.3f}",
    ),
    "ResNet50 on fused slices, accuracy": ("07_baselines", "accuracy_resnet50", "{:.2f}"),
    "Largest area in the fused volume, no classifier, accuracy": (
        "07_baselines",
        "accuracy_area_rule",
        "{:.2f}",
    ),
    "Slice position alone, accuracy": ("07_baselines", "accuracy_position", "{:.2f}"),
    "Points that a split by slice adds, nearest neighbour": (
        "11_leakage_audit",
        "neighbour_slice_gain",
        "{:+.0f}",
    ),
}
"""Label of a row of the README → run, value and format of its numbers in two studies."""

STUDIES = ("brats-cubes", "demo")

SENTENCES = {
    "The study `brats-cubes` has {} patients of BraTS 2020,": [
        ("brats-cubes/01_data_exploration", "patients_test", "{:.0f}")
    ],
    "The best is {}; 0.6 lies outside its interval.": [
        ("brats-cubes/08_alpha_sweep", "best_alpha", "value{:.2f}")
    ],
    "It passes its control: given the true masks, it names {} of slices correctly.": [
        ("brats-cubes/06_train_resnet50.truth", "accuracy", "%1")
    ],
    "**A site that training never saw costs {} of Dice**, less than the 0.05 that the rule": [
        ("brats-cubes/13_external_validation", "drop_mean_dice", "value{:.3f}")
    ],
    "CBICA costs most ({}).": [
        ("brats-cubes/13_external_validation", "drop_mean_dice_site_cbica", "value{:.2f}")
    ],
    "Where no fewer patients were left for training, {} remain.": [
        ("brats-cubes/13_external_validation", "drop_mean_dice_no_fewer_patients", "value{:.3f}")
    ],
    "asks the same of {} held-out phantoms, {} of which are imaged again at a second site.": [
        ("01_data_exploration", "patients_test", "{:.0f}"),
        ("01_data_exploration", "patients_external", "{:.0f}"),
    ],
    "They differ in {} of comparisons on boxes, and in {} on phantoms;": [
        ("brats-cubes/05_fusion", "aa_false_alarms", "%1"),
        ("05_fusion", "aa_false_alarms", "%1"),
    ],
    "An F1 of 99.19 % forces an IoU of {} or more if both are averaged in the same way;": [
        ("12_metric_forensics", "iou_that_f1_forces", "%1")
    ],
    "gives 99.25 % as a share of them ({} sizes tried).": [
        ("12_metric_forensics", "test_sizes", "{:.0f}")
    ],
    "The study `brats-masks` has the expert masks of {} patients of BraTS 2020 and no images;": [
        ("brats-masks/01_data_exploration", "patients_test", "{:.0f}")
    ],
    "That crop cuts off {} of the tumour on average, and {} in one patient.": [
        ("brats-masks/02_preprocessing", "mean_lost_in_plane", "%1"),
        ("brats-masks/02_preprocessing", "worst_lost_in_plane", "%0"),
    ],
    "another rule for its class renames {} of the slices with tumour.": [
        ("brats-masks/02_preprocessing", "relabelled_enhancing_first", "%0")
    ],
    "Split by volume, the pooled years put the patients of {} of the test volumes into training.": [
        ("brats-masks/01_data_exploration", "leaking_share", "%0")
    ],
    "On the boxes, {} of those that split the pooled years by volume reach 98.25 %,": [
        ("brats-cubes/15_specification_curve", "years_below_printed", "rest%0")
    ],
    "none does, but the interval of the best, {}, does:": [
        ("brats-cubes/15_specification_curve", "highest_patient_accuracy", "ends%1")
    ],
    "The split explains {} of the variance between specifications,": [
        ("brats-cubes/15_specification_curve", "split_share", "{:.2f}")
    ],
    "So it does on true masks, with {}, and on phantoms, with {}.": [
        ("brats-masks/15_specification_curve", "split_share", "{:.2f}"),
        ("15_specification_curve", "split_share", "{:.2f}"),
    ],
    "a classifier that copies the most similar training slice is right in {} of slices,": [
        ("brats-cubes/11_leakage_audit", "random_labels_patient_accuracy", "%0")
    ],
    "Split by slice, it is right in {}:": [
        ("brats-cubes/11_leakage_audit", "random_labels_slice_accuracy", "%0")
    ],
}
"""Sentences of the README, with what stands in their gaps; of ``demo`` where no study is named."""

RECIPE = ("accuracy", "precision", "recall", "f1", "specificity", "iou")


def value_of(study: str, run: str, name: str) -> Value:
    path = records.record_path(PROJECT_DIR / "reports" / study, run)
    return {value.name: value for value in records.read(path).values}[name]


def at(place: str, name: str) -> Value:
    study, _, run = place.rpartition("/")
    return value_of(study or "demo", run, name)


def shown(value: Value, form: str) -> str:
    if form.startswith("ends%"):
        return " to ".join(percent(end, int(form[-1])) for end in value.ci95 or ())
    if form.startswith("rest%"):
        return percent(1 - value.value, int(form[-1]))
    if form.startswith("%"):
        return percent(value.value, int(form[1]))
    if form.startswith("value"):
        return form.removeprefix("value").format(value.value)
    if value.ci95 is None:
        return form.format(value.value)
    low, high = (form.format(end) for end in value.ci95)
    return f"{form.format(value.value)} ({low} to {high})"


@pytest.mark.parametrize("label", TABLE)
def test_a_row_of_the_table_is_what_the_records_say(label: str) -> None:
    run, name, form = TABLE[label]
    real, phantoms = (shown(value_of(study, run, name), form) for study in STUDIES)
    row = f"| {label} | {real} | {phantoms} | [{run[:2]}]("
    assert row in FINDINGS, f"put this into README.md: {row}"


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_says_what_the_record_says(sentence: str) -> None:
    gaps = [shown(at(run, name), form) for run, name, form in SENTENCES[sentence]]
    # as in the README, where a space that does not break is one like any other
    text = " ".join(sentence.format(*gaps).split())
    assert text in ONE_LINE, f"README.md lacks: {text}"


def ends(place: str, name: str) -> tuple[float, float]:
    low, high = at(place, name).ci95 or (math.nan, math.nan)
    return low, high


def test_what_is_said_of_the_boxes_in_words_is_so() -> None:
    fused, baselines = "brats-cubes/05_fusion", "brats-cubes/07_baselines"
    told = records.read(records.record_path(PROJECT_DIR / "reports" / "brats-cubes", "05_fusion"))
    for network, better in (("2D", 325), ("3D", 284)):
        low, _ = ends(fused, f"fused_minus_{network.lower()}_mean_dice")
        assert low > 0
        assert f"the {network} network in {better} of 368" in ONE_LINE
        assert f"better in {better} of 368" in told.conclusion
    nothing = (
        (baselines, "fused_minus_better_two_seeds_mean_dice"),
        ("brats-cubes/10_adaptive_fusion", "entropy_weighted_gain"),
        ("brats-cubes/09_loss_ablations", "focal_minus_cross_entropy_et_dice"),
    )
    for run, name in nothing:
        low, high = ends(run, name)
        assert -0.01 < low < 0 < high < 0.01, name
    _, high = ends("brats-cubes/09_loss_ablations", "dice_minus_cross_entropy_accuracy")
    assert high < 0.01, "Dice loss gains nothing"
    low, high = ends("brats-cubes/08_alpha_sweep", "best_alpha")
    assert high < 0.6
    _, high = ends("brats-cubes/08_alpha_sweep", "lost_at_published_alpha")
    assert high < 0.01, "it costs next to nothing"
    _, high = ends("brats-cubes/13_external_validation", "drop_mean_dice")
    assert high < 0.05
    assert at(baselines, "classifier_gate").value == 1
    _, high = ends(baselines, "resnet50_minus_area_rule_accuracy")
    assert high < 0
    _, high = ends("brats-cubes/06_train_resnet50", "accuracy")
    assert high < 0.9825


def test_what_is_said_of_the_split_holds_in_all_studies() -> None:
    for study in ("brats-cubes", "brats-masks", "demo"):
        curve = f"{study}/15_specification_curve"
        assert at(curve, "patient_below_printed").value == 1
        low, _ = ends(curve, "split_lead")
        assert low > 0, "the split must explain more than all others"
    low, high = ends("brats-cubes/15_specification_curve", "highest_patient_accuracy")
    assert low < 0.9825 < high, "the README says that it stays open"
    assert value_of("demo", "12_metric_forensics", "test_sizes_possible").value == 0


def test_the_number_of_specifications_is_that_of_the_choices() -> None:
    number = math.prod(map(len, specifications.CHOICES.values()))
    assert f"{number} specifications in all" in ONE_LINE
    assert len(specifications.CHOICES) == 7 and "leaves seven choices open" in ONE_LINE


def test_the_iou_of_the_recipe_fails_by_as_many_points() -> None:
    printed = claims.printed(claims.load(), "06_train_resnet50")["iou"]
    missed = 100 * (printed - value_of("brats-mini", "12_metric_forensics", "recipe_box_iou").value)
    assert f"the IoU, fails by {missed:.0f} points" in ONE_LINE


@pytest.mark.parametrize("score", RECIPE)
def test_the_table_of_the_recipe_is_that_of_the_real_patients(score: str) -> None:
    printed = claims.printed(claims.load(), "06_train_resnet50")[score]
    cells = [100 * printed]
    for who in ("recipe", "constant"):
        for frame in ("box", "scan"):
            try:
                of_who = "accuracy" if who == "constant" and score in RECIPE[1:4] else score
                number = value_of("brats-mini", "12_metric_forensics", f"{who}_{frame}_{of_who}")
            except KeyError:
                cells.append(None)
            else:
                cells.append(100 * number.value)
    text = " | ".join("not measured" if cell is None else f"{cell:.2f}" for cell in cells)
    assert f" | {text} |" in FINDINGS, f"README.md lacks a row: {text}"


def test_no_row_is_without_a_record() -> None:
    labels = re.findall(r"^\| ([^|]+) \| [^|]+ \| [^|]+ \| \[\d\d\]\(", FINDINGS, re.MULTILINE)
    assert sorted(labels) == sorted(TABLE)


def test_the_pictures_are_there() -> None:
    for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README):
        assert (PROJECT_DIR / picture).is_file(), picture


def test_records_are_of_the_study_that_the_file_describes() -> None:
    path = records.record_path(PROJECT_DIR / "reports" / "demo", "01_data_exploration")
    assert json.loads(Path(path).read_text(encoding="utf-8"))["study"] == "demo"
