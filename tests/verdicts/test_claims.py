"""The file of statements is whole, and a fault in it is named."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from gliomalib.provenance import PACKAGE_DIR, PROJECT_DIR
from gliomalib.runner.chain import CHAIN
from gliomalib.schema import CLASS_NAMES, SettingsError
from gliomalib.settings import PAPER_ALPHA
from gliomalib.verdicts import claims


def test_the_papers_claims_stand_in_the_file() -> None:
    found = {claim.id: claim for claim in claims.load()}
    letters = [one[0] for one in found]
    assert "".join(dict.fromkeys(letters)) == "CEQFLMW" == "".join(claims.GROUPS)
    assert list(found) == [
        f"{letter}{number}" for letter in claims.GROUPS for number in _upto(letters.count(letter))
    ]
    classified = [c for c in found.values() if c.notebook[:2] == "06" and c.id[0] == "C"]
    numbers = {c.value: c.published for c in classified}
    assert numbers == {
        "accuracy": 0.9925,
        "precision": 0.9930,
        "recall": 0.9910,
        "f1": 0.9919,
        "iou": 0.8449,
        "specificity": 0.9976,
    }
    asked = {(c.notebook, c.value, c.decision.kind) for c in found.values()}
    assert ("05_fusion", "fused_minus_2d_mean_dice", "greater_than_zero") in asked
    assert ("05_fusion", "fused_minus_3d_mean_dice", "greater_than_zero") in asked
    assert ("08_alpha_sweep", "best_alpha", "contains") in asked


def _upto(count: int) -> range:
    return range(1, count + 1)


def test_each_of_the_six_scores_stands_beside_the_recipe_in_both_frames() -> None:
    recipe = {claim.id: claim.pixel_recipe for claim in claims.load() if claim.pixel_recipe}
    assert list(recipe) == [f"C{number}" for number in _upto(6)]
    for claim in claims.load()[:6]:
        names = {frame: source.value for frame, source in claim.pixel_recipe.items()}
        assert names.pop("crop") == f"recipe_box_{claim.value}"
        # how sure the network is outside of the crop is not known
        assert names == ({} if claim.value == "iou" else {"scan": f"recipe_scan_{claim.value}"})


def test_every_notebook_of_a_statement_is_one_of_the_chain() -> None:
    for claim in claims.load():
        sources = (claim, *claim.pixel_recipe.values(), *([claim.gate] if claim.gate else []))
        assert {source.notebook for source in sources} <= set(CHAIN)


def test_what_stands_on_the_classifier_waits_for_its_control() -> None:
    gated = {claim.id: claim.gate.value for claim in claims.load() if claim.gate}
    assert gated == dict.fromkeys(("C11", "E2", "F1"), "classifier_gate")


def test_what_stands_on_a_training_asks_for_three() -> None:
    seeds = {claim.id for claim in claims.load() if claim.testable_on.min_seeds == 3}
    assert seeds == {"C7", "C8", "C9", "C10", "C11", "E1", "E2", "E3", "Q1", "Q2"}


def test_a_number_of_others_is_not_called_the_papers() -> None:
    claim = {claim.id: claim for claim in claims.load()}["C12"]
    assert claim.published is None and claim.reference is not None
    assert (claim.compared, claim.reference.source) == (0.8537, "winner of BraTS 2020")


def git(*words: str) -> str:
    command = ["git", "-C", str(PROJECT_DIR), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


@cache
def written(commit: str) -> dict[str, dict[str, Any]]:
    """Return the statements as the file had them at a commit, by id."""
    content = yaml.safe_load(git("show", f"{commit}:data/published.yml"))
    return {claim["id"]: claim for claim in content["claims"]}


@pytest.fixture(scope="module")
def history() -> None:
    """Skip where the checkout has no history, or only the end of one."""
    try:
        shallow = git("rev-parse", "--is-shallow-repository").strip() == "true"
    except (OSError, subprocess.SubprocessError):
        shallow = True
    if shallow:
        pytest.skip("this checkout has no history")


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("claim", claims.load(), ids=lambda claim: claim.id)
def test_a_rule_was_written_where_the_file_says_so(claim: claims.Claim) -> None:
    git("merge-base", "--is-ancestor", claim.fixed.commit, "HEAD")
    assert git("log", "-1", "--format=%as", claim.fixed.commit).strip() == str(claim.fixed.date)
    then = written(claim.fixed.commit)[claim.id]
    now = {one["id"]: one for one in yaml.safe_load(claims.PUBLISHED.read_text("utf-8"))["claims"]}
    for part in ("notebook", "value", "decision", "published"):
        assert then.get(part) == now[claim.id].get(part), part
    # a need that came later can withhold a verdict only; none was dropped or changed
    assert then["testable_on"].items() <= now[claim.id]["testable_on"].items()


@pytest.mark.usefixtures("history")
def test_restricted_use_was_written_alone_and_no_rule_has_changed_since() -> None:
    uses = [claim.restricted for claim in claims.load() if claim.restricted]
    (commit,) = {use.fixed.commit for use in uses}
    git("merge-base", "--is-ancestor", commit, "HEAD")
    assert git("show", "--format=", "--name-only", commit, "--", "gliomalib", "notebooks") == ""
    then = written(commit)
    now = {one["id"]: one for one in yaml.safe_load(claims.PUBLISHED.read_text("utf-8"))["claims"]}
    for claim in claims.load():
        use = then[claim.id].get("restricted")
        assert (use and use["use"]) == (claim.restricted and claim.restricted.use)
        assert then[claim.id]["decision"] == now[claim.id]["decision"]


@pytest.mark.usefixtures("history")
def test_before_the_first_run_means_before_the_first_report() -> None:
    first = git("log", "--reverse", "--format=%H", "--", "reports").split()[0]
    for commit, before in {(c.fixed.commit, c.fixed.before_first_run) for c in claims.load()}:
        base = git("merge-base", commit, first).strip()
        assert (base.startswith(commit)) == before, commit


def test_the_paper_was_judged_by_rules_that_no_result_was_known_to() -> None:
    first = [claim.id for claim in claims.load() if claim.fixed.before_first_run]
    assert first == [f"C{number}" for number in _upto(11)]


def edited(tmp_path: Path, edit: Any) -> Path:
    """Write a copy of the paper's file with one thing changed."""
    content = yaml.safe_load(claims.PUBLISHED.read_text(encoding="utf-8"))
    edit(content)
    path = tmp_path / "published.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda c: c["claims"][0].update(margn=1), r"claims\.0\.margn"),
        (lambda c: c["claims"][0]["decision"].update(slack=1), r"claims\.0\.decision.*slack"),
        (lambda c: c["claims"][0]["testable_on"].update(moon=1), r"claims\.0\.testable_on\.moon"),
        (lambda c: c.update(author="x"), "author"),
        (lambda c: c["claims"][1].pop("value"), r"claims\.1\.value"),
        (lambda c: c["claims"][0]["decision"].update(kind="equal"), r"claims\.0\.decision"),
        (lambda c: c["claims"][0]["decision"].update(margin=-1), r"margin"),
        (lambda c: c["claims"][0].pop("published"), "at_least needs a published number"),
        (lambda c: c["claims"][1].update(id="C1"), "C1 is duplicated"),
        (lambda c: c["claims"][1].update(id="claim 2"), r"claims\.1\.id"),
        (lambda c: c["claims"][1].update(id="X2"), r"claims\.1\.id"),
        (
            lambda c: c["claims"][0]["pixel_recipe"]["crop"].pop("value"),
            r"pixel_recipe\.crop\.value",
        ),
        (lambda c: c.update(claims=[]), "claims"),
        (lambda c: c.pop("paper"), "paper"),
        (lambda c: c["paper"].pop("authors"), r"paper\.authors"),
        (lambda c: c["paper"].update(authors=[]), r"paper\.authors"),
        (lambda c: c["paper"].update(title=""), r"paper\.title"),
        (lambda c: c["paper"].update(year=True), r"paper\.year: .*found True"),
        (lambda c: c["paper"].update(identifier="2502"), r"paper\.identifier: .*found '2502'"),
        (lambda c: c["paper"].update(address="javascript:a"), r"paper\.address: .*javascript"),
        (lambda c: c["paper"].update(question="It is."), r"paper\.question: .*found 'It is\.'"),
        (lambda c: c["paper"]["glossary"].update(Dice="overlap"), r"paper\.glossary\.Dice"),
        (lambda c: c["paper"]["classes"][1].pop("name"), r"paper\.classes\.1\.name"),
        (lambda c: c["paper"].update(journal="x"), r"paper\.journal"),
    ],
)
def test_a_fault_in_the_file_is_named(tmp_path: Path, edit: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        claims.load(edited(tmp_path, edit))
    assert "published.yml" in str(caught.value)


def test_an_unchanged_copy_of_the_file_is_read(tmp_path: Path) -> None:
    assert claims.load(edited(tmp_path, lambda content: None)) == claims.load()


@pytest.mark.parametrize("words", ["NCR", "Dice", "α", "patient-level split", "restricted"])
def test_the_words_of_the_pages_are_explained_in_one_sentence(words: str) -> None:
    sentence = claims.paper().glossary[words]
    assert ". " not in sentence and sentence.endswith(".")


def test_every_finding_asks_for_statements_and_answers_in_their_words() -> None:
    by_id = {claim.id: claim for claim in claims.load()}
    for asked in claims.paper().findings:
        first = by_id[asked.statements[0]]
        assert set(first.words) <= set(asked.answers), asked.question
        assert all(name in by_id for name in asked.statements)


def test_every_figure_is_a_cell_of_its_notebook() -> None:
    named = {(claim.notebook, claim.figure) for claim in claims.load() if claim.figure}
    assert len(named) > 10
    for notebook, cell in named:
        content = json.loads((PROJECT_DIR / "notebooks" / f"{notebook}.ipynb").read_text("utf-8"))
        assert cell in [each["id"] for each in content["cells"]], (notebook, cell)


def test_the_classes_are_those_of_the_labels() -> None:
    assert tuple(one.name for one in claims.paper().classes) == CLASS_NAMES


def test_nothing_of_the_paper_stands_in_the_package() -> None:
    paper = claims.paper()
    number = paper.identifier.split()[1]
    words = [paper.title, paper.address, number, *paper.authors, "99.25", "subclass"]
    sources = [*PACKAGE_DIR.rglob("*.py"), *PACKAGE_DIR.glob("report/templates/**/*.*")]
    named = {
        path.relative_to(PACKAGE_DIR).as_posix().removeprefix("report/templates/")
        for path in sources
        for word in words
        if re.search(rf"(?<!is){re.escape(word)}", path.read_text("utf-8"), re.IGNORECASE)
    }
    assert named == set()


def test_the_guide_shows_a_whole_file_of_claims(tmp_path: Path) -> None:
    guide = (PROJECT_DIR / "notebooks" / "next-paper.md").read_text("utf-8")
    (skeleton,) = re.findall(r"^```yaml\n(.*?)^```", guide, flags=re.MULTILINE | re.DOTALL)
    path = tmp_path / "published-next.yml"
    path.write_text(skeleton, "utf-8")
    assert [claim.id for claim in claims.load(path)] == ["C1"]
    assert claims.paper(path).short == "the paper (arXiv 2601.00001)"
    for kind in re.findall(r"^\| `(\{kind.*?\})`", guide, flags=re.MULTILINE):
        path.write_text(re.sub(r"\{kind: at_least.*?\}", kind, skeleton), "utf-8")
        assert claims.load(path)[0].decision.kind in kind


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yml: this file is missing"):
        claims.load(tmp_path / "none.yml")
    (tmp_path / "bad.yml").write_text("claims: [", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"bad\.yml: not YAML"):
        claims.load(tmp_path / "bad.yml")


def test_printed_numbers_are_those_of_one_notebook_without_its_variants() -> None:
    numbers = claims.printed(claims.load(), "06_train_resnet50")
    assert numbers["accuracy"] == 0.9925 and numbers["iou"] == 0.8449
    assert "best_alpha" not in numbers


def test_the_weight_that_is_judged_is_the_weight_that_is_used() -> None:
    published = {claim.id: claim.published for claim in claims.load()}
    assert published["C9"] == PAPER_ALPHA
