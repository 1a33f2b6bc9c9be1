"""One property of a scanner at a time: a planted network is hurt by what it looks at alone."""

import numpy as np
import pandas as pd
import pytest

from gliomalib.cohort import table as casetable
from gliomalib.data.readers import survey
from gliomalib.experiments import external_factors
from gliomalib.experiments.external_factors import ALL, OWN
from gliomalib.experiments.external_sites import Sites
from gliomalib.phantoms.patient import PhantomPlan
from gliomalib.phantoms.write import write_cohort
from gliomalib.pipeline import folds, preprocess
from gliomalib.schema import Split, StoredCase, Volume
from tests.planted_branches import begin

T1 = 0
TWINS = {f"Phantom-B-00{number}": f"Phantom-A-00{number}" for number in (1, 2, 3)}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Sites:
    root = tmp_path_factory.mktemp("factors")
    run = begin(root, "13_external_validation")
    for site in "AB":
        write_cohort(root / "raw", PhantomPlan(seed=3, spacing_mm=4.0, site=site), [1, 2, 3])
    cases = survey.discover(root / "raw")
    parts = {"A": "internal", "B": "external"}
    entries = [casetable.Entry(case, parts[case.case_id[8]]) for case in cases]
    casetable.write_cases(casetable.table_of(entries), run.work_dir / "cases.csv")
    store = preprocess.open_store(run.work_dir / "store", run.study.preprocessing)
    preprocess.fill(store, cases, run.study.preprocessing)
    split = Split(0, ("T",), (), tuple(TWINS.values()), tuple(TWINS))
    material = folds.Material(run, (split,), store)
    return Sites(material, material, pd.DataFrame(), {}, TWINS)


@pytest.fixture
def looks_at_t1(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant networks that are right where T1 is as it was at the own site, else see nothing."""

    def segment(case: StoredCase) -> Volume:
        own = sites.inside.store.get(case.grid.patient_id.replace("-B-", "-A-"))
        same = np.array_equal(case.images[T1], own.images[T1])
        predicted = own.labels if same else np.zeros_like(own.labels)
        volume = np.stack([predicted == label for label in range(4)]).astype(np.float16)
        return Volume(volume, case.grid)

    monkeypatch.setattr(external_factors.external_sites, "pipeline", lambda *_: segment)


def test_only_what_the_network_looks_at_costs_dice(sites: Sites, looks_at_t1: None) -> None:
    table = external_factors.measure(sites)
    assert set(table["network"]) == {OWN, ALL, *external_factors.FACTORS}
    assert set(table["patient_id"]) == set(TWINS.values())
    whole = table[table["region"] == "WT"].groupby("network")["dice"].mean()
    assert whole[OWN] == whole["dose"] == 1
    assert whole[[ALL, "contrast", "noise", "slice_thickness", "shading"]].eq(0).all()
    costs = external_factors.drops(table).set_index("title")
    assert costs.loc["dose", ["drop", "low", "high"]].eq(0).all()
    assert costs.loc["noise", "drop"] > 0.5 and costs["phantoms"].eq(3).all()
    said = external_factors.conclusion(costs.reset_index())
    assert said.startswith("On 3 phantoms") and "Alone, contrast costs most" in said
    values = {
        value.name: value
        for value in external_factors.values(external_factors.drops(table), sites.study)
    }
    assert set(values) == {f"drop_{factor}" for factor in external_factors.FACTORS}
    assert values["drop_noise"].value == pytest.approx(costs.loc["noise", "drop"])
    assert "slice thickness of site B, paired" in values["drop_slice_thickness"].rule


def test_as_many_phantoms_as_are_asked_for(sites: Sites, looks_at_t1: None) -> None:
    table = external_factors.measure(sites, 1)
    assert set(table["patient_id"]) == {"Phantom-A-001"}
    (one,) = {
        value.ci95 for value in external_factors.values(external_factors.drops(table), sites.study)
    }
    assert one is None


def test_nobody_imaged_twice_says_nothing(sites: Sites, looks_at_t1: None) -> None:
    alone = Sites(sites.inside, sites.inside, pd.DataFrame(), {})
    table = external_factors.measure(alone)
    assert table.empty and external_factors.drops(table).empty
    assert external_factors.values(external_factors.drops(table), alone.study) == []
    assert "no property" in external_factors.conclusion(external_factors.drops(table))
