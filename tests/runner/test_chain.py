"""The graph of the notebooks: an order that works, and what a notebook needs."""

import re

import pytest

from gliomalib import parameters, provenance
from gliomalib.provenance import PROJECT_DIR
from gliomalib.runner.chain import BRANCHES, CHAIN, URGENT, urgency, wanted
from gliomalib.schema import SettingsError, split_run_name


def test_chain_names_real_notebooks_in_an_order_that_works() -> None:
    seen: list[str] = []
    for name, step in CHAIN.items():
        assert set(step.after) <= set(seen), f"{name} stands above what it needs"
        seen.append(name)
    assert set(seen) == set(parameters.NOTEBOOKS)
    assert seen[-1] == parameters.LAST_NOTEBOOK


def test_a_notebook_brings_all_that_it_needs() -> None:
    assert wanted("05_fusion") == list(CHAIN)[:5]
    assert wanted("11_leakage_audit") == [*list(CHAIN)[:4], "11_leakage_audit"]
    assert wanted("") == wanted(parameters.LAST_NOTEBOOK) == list(CHAIN)
    assert CHAIN[parameters.LAST_NOTEBOOK].after == tuple(CHAIN)[:-1]
    with pytest.raises(SettingsError, match=r"no notebook '99'.*01_data_exploration"):
        wanted("99")


def test_only_what_measures_time_runs_alone() -> None:
    assert [name for name, step in CHAIN.items() if step.alone] == ["14_efficiency"]
    assert "workflow.cores if CHAIN[job.notebook].alone" in (PROJECT_DIR / "Snakefile").read_text()


@pytest.mark.parametrize("name", CHAIN)
def test_a_notebook_waits_for_those_whose_tables_and_records_it_names(name: str) -> None:
    waits, queue = set[str](), [name]
    while queue:
        waits.update(after := CHAIN[queue.pop()].after)
        queue += after
    cells = (PROJECT_DIR / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
    room = provenance.PACKAGE_DIR / "experiments"
    modules = re.findall(r"from gliomalib.experiments import ([\w, ]+)", cells)
    texts = [(room / f"{part}.py").read_text() for part in ", ".join(modules).split(", ") if part]
    read = re.findall(rf'read(?:_table)?\([^)]*"({"|".join(CHAIN)})"', " ".join([cells, *texts]))
    assert set(read) <= waits


@pytest.mark.parametrize("name", CHAIN)
def test_a_notebook_that_gives_verdicts_waits_for_the_published_values(name: str) -> None:
    text = (PROJECT_DIR / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
    assert ("gliomalib.verdicts" in text) == ("data/published.yml" in CHAIN[name].files)


def test_what_is_urgent_is_there_and_the_branches_are_most() -> None:
    assert {split_run_name(name)[0] for name in URGENT} <= CHAIN.keys()
    ranks = {name: urgency(name, "") for name in CHAIN}
    assert {name for name in CHAIN if ranks[name] == max(ranks.values())} == set(BRANCHES)
    control, other = urgency("06_train_resnet50", "truth"), urgency("06_train_resnet50", "seed2")
    assert control > ranks["06_train_resnet50"] == other > urgency("12_metric_forensics", "")
