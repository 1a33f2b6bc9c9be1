"""Jobs: what each needs, where it lies, and what changes its digest."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gliomalib import parameters, provenance
from gliomalib.parameters import LAST_NOTEBOOK
from gliomalib.provenance import PROJECT_DIR
from gliomalib.runner.jobs import Folders, Job, RunError, plan
from gliomalib.schema import DataError, GliomaError, SettingsError
from gliomalib.verdicts import claims
from tests.toy_project import FIFTH, FIRST, FOURTH, SECOND, THIRD, Project, leave, write_notebook


def test_last_notebook_waits_for_everything(toy: Project) -> None:
    toy.study(f"variants: {{{THIRD}: {{slow: {{learning_rate: 0.5}}}}}}\n")
    toy.every_notebook()
    jobs = toy.planned("")
    assert set(jobs[parameters.LAST_NOTEBOOK].needs) == set(jobs) - {parameters.LAST_NOTEBOOK}
    assert f"{THIRD}.slow" in jobs[parameters.LAST_NOTEBOOK].needs
    assert jobs["05_fusion"].needs == (THIRD, f"{THIRD}.slow", FOURTH)
    assert jobs["11_leakage_audit"].needs == (THIRD, FOURTH), "a variant holds up only who asks"


def test_a_classifier_waits_for_the_variants_whose_volumes_it_fuses(toy: Project) -> None:
    toy.study(
        f"variants:\n  {FOURTH}: {{seed2: {{seed: 3}}, other: {{seed: 4}}}}\n"
        "  06_train_resnet50: {two: {branches: [unet3d, unet3d.seed2]}, ce: {loss: dice_ce}}\n"
    )
    toy.every_notebook()
    jobs = toy.planned("06_train_resnet50")
    assert f"{FOURTH}.seed2" in jobs["06_train_resnet50.two"].needs
    assert f"{FOURTH}.other" not in jobs["06_train_resnet50.two"].needs
    assert jobs["06_train_resnet50.ce"].needs == (THIRD, FOURTH)


def test_whoever_fuses_waits_for_the_branches_of_the_study(toy: Project) -> None:
    variants = f"variants: {{{FOURTH}: {{seed2: {{seed: 3}}, other: {{seed: 4}}}}}}\n"
    toy.study(f"fusion: {{branches: [unet2d, unet3d.seed2]}}\n{variants}")
    toy.every_notebook()
    jobs = toy.planned("")
    for name in ("06_train_resnet50", "11_leakage_audit"):
        assert jobs[name].needs == (THIRD, FOURTH, f"{FOURTH}.seed2")
    assert jobs[FOURTH].needs == (SECOND,)


def changed(before: dict[str, Job], after: dict[str, Job]) -> list[str]:
    return [name for name in after if before[name].digest != after[name].digest]


def test_code_changes_the_digest_here_and_downstream(toy: Project) -> None:
    before = toy.planned()
    write_notebook(toy.root, THIRD, leave(THIRD, value=2))
    assert changed(before, toy.planned()) == [THIRD, FIFTH]


def test_comments_and_markdown_do_not_change_the_digest(toy: Project) -> None:
    before = toy.planned()
    write_notebook(toy.root, FIRST, "# why\n" + leave(FIRST), text="other words")
    assert changed(before, toy.planned()) == []


def test_parameters_change_the_digest_and_those_of_variants_their_readers_too(toy: Project) -> None:
    toy.study(f"variants: {{{THIRD}: {{slow: {{epochs: 3}}}}}}\n")
    before = toy.planned()
    toy.study(f"variants: {{{THIRD}: {{slow: {{epochs: 4}}}}}}\n")
    assert changed(before, toy.planned()) == [f"{THIRD}.slow", FIFTH]
    toy.study(f"seed: 7\nvariants: {{{THIRD}: {{slow: {{epochs: 3}}}}}}\n")
    assert changed(before, toy.planned()) == list(before)


def test_what_a_cluster_is_asked_for_makes_nothing_stale(toy: Project) -> None:
    before = {name: job.digest for name, job in toy.planned().items()}
    toy.study("cluster: {data: {cpus: 8}, networks: {memory_mb: 64000, gpus: 2}}\n")
    jobs = toy.planned()
    assert {name: job.digest for name, job in jobs.items()} == before
    asked = [(jobs[name].node.cpus, jobs[name].node.gpus) for name in (FIRST, THIRD, FIFTH)]
    assert asked == [(8, 0), (1, 2), (1, 0)]


def test_library_code_changes_the_digest_and_its_docstrings_do_not(
    toy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "PACKAGE_DIR", toy.with_package().root / "gliomalib")
    write_notebook(toy.root, FIRST, "x = 1")

    def edited(old: str, new: str) -> list[str]:
        before = toy.planned(SECOND)
        module = toy.root / "gliomalib" / "toy.py"
        module.write_text(module.read_text().replace(old, new))
        return changed(before, toy.planned(SECOND))

    assert edited("What a toy notebook calls", "Called by toys") == []
    assert edited('"wall_s": 0', '"wall_s": 1') == [SECOND]


def test_published_values_make_stale_only_what_reads_them(
    toy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.every_notebook()
    monkeypatch.setattr(provenance, "PROJECT_DIR", toy.root)
    before = toy.planned("")
    (toy.root / "data").mkdir()
    (toy.root / "data" / "published.yml").write_text("accuracy: 99.25")
    numbers = {name[:2] for name in changed(before, toy.planned(""))}
    assert numbers == {"10", "12", "13", "14", "15", "16"}


def test_the_claims_of_another_paper_make_the_report_stale_alone(
    toy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.every_notebook()
    monkeypatch.setattr(claims, "PROJECT_DIR", toy.root)
    monkeypatch.setattr(provenance, "PROJECT_DIR", toy.root)
    before = toy.planned("")
    toy.study("published: data/other.yml\n")
    with pytest.raises(SettingsError, match=r"data/other\.yml: this file is missing"):
        toy.planned("")
    (toy.root / "data").mkdir()
    other = toy.root / "data" / "other.yml"
    shutil.copy(PROJECT_DIR / "tests" / "reference" / "next-paper.yml", other)
    there = toy.planned("")
    assert changed(before, there) == [LAST_NOTEBOOK]
    other.write_text(other.read_text().replace("0.8895", "0.8995"))
    assert changed(there, toy.planned("")) == [LAST_NOTEBOOK]


@pytest.mark.parametrize("path", ["/etc/x.yml", "../x.yml", "x.txt", "true", '""'])
def test_the_claims_are_a_file_of_the_project(path: str, toy: Project) -> None:
    toy.study(f"published: {path}\n")
    with pytest.raises(SettingsError, match="published"):
        toy.planned()


def test_weights_of_a_file_count_by_their_content(toy: Project) -> None:
    toy.study("variants: {06_train_resnet50: {own: {weights: file, weights_file: ../w.pt}}}\n")
    toy.every_notebook()
    before = toy.planned("06_train_resnet50")
    (toy.root / "w.pt").write_bytes(b"first")
    first = toy.planned("06_train_resnet50")
    assert changed(before, first) == ["06_train_resnet50.own"]
    (toy.root / "w.pt").write_bytes(b"other")
    assert changed(first, toy.planned("06_train_resnet50")) == ["06_train_resnet50.own"]


@pytest.mark.parametrize("name", ["a:b", "a\udcff"])
def test_a_project_where_other_code_could_run_says_so(
    name: str, toy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python divides PYTHONPATH at a colon; bytes that are no UTF-8 fit in no notebook."""
    monkeypatch.setattr(provenance, "PROJECT_DIR", toy.root / name)
    with pytest.raises(GliomaError, match="rename th"):
        toy.planned()


def test_what_lies_in_the_folder_of_patients_counts_and_where_it_lies_does_not(
    toy: Project, tmp_path: Path
) -> None:
    def digest(source: Path) -> str:
        return plan("toy", replace(toy.folders, source=source), FIRST)[0].digest

    here, there = tmp_path / "disk" / "patients", tmp_path / "another disk" / "patients"
    (here / "case").mkdir(parents=True)
    (here / "case" / "t1.nii.gz").write_text("0000")
    before = digest(here)
    here.parent.rename(there.parent)
    assert digest(there) == before
    (there / "case" / "t1.nii.gz").write_text("1111")
    assert digest(there) != before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("{03_train_unet2d: {a: {learning_rte: 1}}}", "no parameter learning_rte: its parameters"),
        ("{03_train_unet2d: {a: {epochs: many}}}", "epochs"),
        ("{03_train_unet2: {a: {epochs: 1}}}", "'03_train_unet2', which is no notebook"),
        ("{05_fusion: {a: {alpha: 0.5}}}", "05_fusion takes no variants"),
        ("{03_train_unet2d: {a/b: {epochs: 1}}}", "'a/b' cannot name a variant"),
        ("{03_train_unet2d: {é: {epochs: 1}}}", "'é' cannot name a variant"),
        ('{03_train_unet2d: {"a\\n": {epochs: 1}}}', "cannot name a variant"),
    ],
)
def test_wrong_variants_stop_before_anything_runs(toy: Project, more: str, words: str) -> None:
    toy.study(f"variants: {more}\n")
    with pytest.raises(SettingsError, match=words):
        toy.planned()


@pytest.mark.parametrize(
    ("branches", "words"),
    [
        ("[unet2d, unet4d]", r"fusion.branches.1: .*found 'unet4d'"),
        ("5", "fusion.branches: .*found 5"),
        (
            "[unet2d, unet3d.sed2]",
            "06_train_resnet50.a fuses what 04_train_unet3d.sed2 would train",
        ),
    ],
)
def test_branches_that_nothing_trains_stop_before_anything_runs(
    branches: str, words: str, toy: Project
) -> None:
    toy.study(f"variants: {{06_train_resnet50: {{a: {{branches: {branches}}}}}}}\n")
    toy.every_notebook()
    with pytest.raises(SettingsError, match=words):
        toy.planned("06_train_resnet50")


def test_wrong_study_and_folder_are_named(toy: Project) -> None:
    with pytest.raises(SettingsError, match="no study 'toys': take one of toy"):
        plan("toys")
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        plan("toy", Folders(source=Path("/nowhere")))
    toy.study("data: {source: folder}\n")
    with pytest.raises(DataError, match="say which with DATA="):
        toy.planned()


def test_broken_and_missing_notebooks_are_named(toy: Project) -> None:
    write_notebook(toy.root, FIRST, "%matplotlib inline")
    with pytest.raises(RunError, match=r"01_data_exploration.ipynb: a code cell is not Python"):
        toy.planned()
    for text in ("{}", "[]", "5"):
        (toy.root / "notebooks" / f"{FIRST}.ipynb").write_text(text)
        with pytest.raises(RunError, match=r"01_data_exploration.ipynb: not a notebook"):
            toy.planned()
    (toy.root / "notebooks" / f"{FIRST}.ipynb").unlink()
    with pytest.raises(RunError, match=r"01_data_exploration.ipynb: this notebook is missing"):
        toy.planned()


def test_folders_reach_the_notebook_as_absolute_paths(toy: Project) -> None:
    source = toy.root / "patients"
    source.mkdir()
    jobs = plan("toy", replace(toy.folders, source=source), SECOND)
    assert jobs[0].parameters == {
        "study": "toy",
        "data_dir": str(toy.root / "data"),
        "report_dir": str(toy.root / "reports"),
        "source_dir": str(source),
    }
    assert "source_dir" not in jobs[1].parameters
    assert plan("toy", until=FIRST)[0].parameters == {"study": "toy"}


@pytest.mark.parametrize(
    "content", ["x", "[1]", "{}", '{"folders": 5}', '{"folders": {"data": 5}}']
)
def test_a_description_without_folders_is_one_sentence(content: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"run.json: describes no folders of a run"):
        Folders.described(path)
