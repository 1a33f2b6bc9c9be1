"""The argument says what holds, what does not, what cannot be known and why, and links hold."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from gliomalib import inputs, settings
from gliomalib.provenance import PROJECT_DIR
from gliomalib.runner.chain import CHAIN
from gliomalib.schema import Record, SettingsError, Value
from gliomalib.verdicts import argument, claims, judge

BRATS = settings.load("brats")


def record(notebook: str, **values: tuple[float, float, float]) -> Record:
    found = tuple(
        Value(name, value, (low, high), 40, rule="r", n_seeds=3)
        for name, (value, low, high) in values.items()
    )
    return Record(notebook, "brats", "", (), found, {}, 1, "cuda", 1.0, 1, {})


RECORDS = {
    "05_fusion": record(
        "05_fusion",
        fused_minus_2d_mean_dice=(0.05, 0.02, 0.08),
        fused_minus_3d_mean_dice=(-0.02, -0.03, -0.01),
    ),
    "08_alpha_sweep": record("08_alpha_sweep", best_alpha=(0.5, 0.2, 0.9)),
    "02_preprocessing": replace(
        record("02_preprocessing", mean_lost_in_plane=(0.04, 0.02, 0.06)), variant=""
    ),
}


def sections() -> dict[str, str]:
    text = argument.summary(judge.judge_all(claims.load(), RECORDS, BRATS), BRATS)
    parts = re.split(r"^\*\*([^.*]+)\*\*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_summary_sorts_statements_by_what_became_of_them() -> None:
    found = sections()
    assert list(found) == [*argument.HEADINGS, "Cannot be known from these data, and why"]
    assert "Not judged" not in found, "no number stands on the classifier here"
    assert (
        "- C7: The fused segmentation is better than the 2D branch alone."
        in found["Reproduced, or holds"]
    )
    confirmed = found["Problems confirmed"]
    assert "- L3:" in confirmed and "4.00 % (2.00 % to 6.00 %)" in confirmed
    assert "- C8:" in found["Not reproduced, or does not hold"]
    assert "- C9:" in found["Undecided on these data"]


def test_an_obstacle_rests_once_with_all_that_it_bars() -> None:
    study = settings.load("demo")
    records = {name: replace(one, study="demo") for name, one in RECORDS.items()}
    text = argument.summary(judge.judge_all(claims.load(), records, study), study)
    assert text.count("The claim is about patients, these are synthetic:") <= 1
    line = next(one for one in text.splitlines() if one.startswith("- The claim is about patients"))
    assert "C7–C9" in line and "L3" in line
    assert "Synthetic patients" in text.splitlines()[0]
    assert text.count("- Nothing.") == len(argument.HEADINGS)


def test_what_rests_on_a_failed_control_has_a_heading_of_its_own() -> None:
    note = "ResNet50 fails its control: accuracy 0.77 on true masks"
    gate = Value("classifier_gate", 0.0, rule="control", note=note)
    baselines = record("07_baselines", resnet50_minus_area_rule_accuracy=(0.1, 0.05, 0.2))
    baselines = replace(baselines, values=(*baselines.values, gate))
    judged = judge.judge_all(claims.load(), {**RECORDS, "07_baselines": baselines}, BRATS)
    text = argument.summary(judged, BRATS)
    below = text.partition("**Not judged, and why**")[2].partition("**")[0]
    assert below.strip() == f"- {note}: E2."


def test_every_statement_stands_in_the_summary_or_its_reasons() -> None:
    text = " ".join(sections().values())
    named: set[str] = set()
    for letter, first, last in re.findall(r"\b([CEQFLMW])(\d+)(?:–[CEQFLMW](\d+))?", text):
        named |= {f"{letter}{n}" for n in range(int(first), int(last or first) + 1)}
    assert named >= {claim.id for claim in claims.load()}


def test_the_table_to_read_drops_what_is_empty() -> None:
    judged = judge.judge_all(claims.load(), RECORDS, BRATS)
    of_paper = argument.table(judged, "C")
    assert of_paper["claim"].str[0].unique().tolist() == ["C"]
    assert of_paper.loc[of_paper["claim"] == "C12", "reference"].item().endswith("BraTS 2020)")
    ours = argument.table(judged, "EQFLM")
    assert "published" not in ours and "pixel recipe, crop" not in ours
    assert set(ours["claim"].str[0]) == set("EQFLM")
    assert ours.set_index("claim").loc["L1", ["unit", "notebook"]].tolist() == ["points", "11"]


def test_an_assumption_shows_the_number_that_hangs_on_it() -> None:
    values = {"relabelled_enhancing_first": (0.46, 0.4, 0.5)}
    records = {"02_preprocessing": record("02_preprocessing", **values)}
    table = argument.assumptions(records).set_index("open in the paper")["what hangs on it"]
    told = table["the one class of a slice that shows several sub-regions"]
    assert told.endswith("0.460 (95 % interval 0.400 to 0.500, 40 patients, 3 trainings)")
    assert table["split by patient or by slice"].endswith("not run in this study")
    assert table["width and depth of the U-Nets"].startswith("not varied")


@pytest.mark.parametrize(("gate", "words"), [(1.0, "0.020 (95 %"), (0.0, "fails its control")])
def test_a_number_of_a_failed_classifier_is_not_told(gate: float, words: str) -> None:
    records = {
        "08_alpha_sweep": record(
            "08_alpha_sweep", lost_at_published_alpha_accuracy=(0.02, 0.01, 0.03)
        ),
        "07_baselines": record("07_baselines", classifier_gate=(gate, gate, gate)),
    }
    table = argument.assumptions(records).set_index("open in the paper")["what hangs on it"]
    said = table["whether fused slices of another weight would do"]
    assert words in said and ("0.020" in said) == (gate == 1)


def test_every_assumption_names_a_setting_and_a_notebook_that_there_are() -> None:
    names = set(settings.Study.model_fields)
    for assumption in inputs.read(argument.ASSUMPTIONS, argument.Assumptions).assumptions:
        parts = [part.split(".")[0] for part in assumption.setting.split(", ")]
        assert set(parts) <= {*names, "none"}
        assert assumption.source is None or assumption.source.notebook in CHAIN


def test_the_checklists_are_whole() -> None:
    found = argument.checklists()
    assert [one.item for one in found["claim2024"].items] == [str(n) for n in range(1, 45)]
    assert len(found["mlrc"].items) == 20
    modules = zip("12345678", (3, 5, 7, 3, 6, 3, 3, 2), strict=True)
    asked = [f"{module}{letter}" for module, count in modules for letter in "abcdefg"[:count]]
    assert [one.item for one in found["reforms"].items] == asked
    assert len(asked) == 32
    for checklist in found.values():
        assert all(one.where for one in checklist.items)


def test_the_links_of_the_checklists_lead_somewhere() -> None:
    text = "".join(argument.as_markdown(one) for one in argument.checklists().values())
    targets = set(re.findall(r"\]\(([^)]+)\)", text))
    assert targets and {name.removesuffix(".ipynb") for name in targets} <= set(CHAIN)
    for name in re.findall(r"`((?:data|notebooks)/[\w./-]+|\w+\.(?:md|lock|yml))`", text):
        assert (PROJECT_DIR / name).exists(), name


def test_a_checklist_counts_its_answers() -> None:
    items = tuple(
        argument.Item(item=str(n), asks="a", answer=answer, where="w")  # type: ignore[arg-type]
        for n, answer in enumerate(["yes", "yes", "no"])
    )
    text = argument.as_markdown(argument.Checklist(title="T", source="S", items=items))
    assert text.startswith("T (S): 2 yes, 1 no.")
    assert text.count("\n|") == 5


@pytest.mark.parametrize("reader", [argument.assumptions, argument.checklists])
def test_a_fault_of_a_file_is_named(reader: object, tmp_path: Path) -> None:
    def read(path: Path) -> object:
        return reader({}, path) if reader is argument.assumptions else reader(path)  # type: ignore[operator]

    with pytest.raises(SettingsError, match=r"none\.yml: this file is missing"):
        read(tmp_path / "none.yml")
    bad = tmp_path / "bad.yml"
    bad.write_text("a: [", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"bad\.yml: not YAML"):
        read(bad)
    bad.write_text("a: {title: x}", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"bad\.yml"):
        read(bad)
