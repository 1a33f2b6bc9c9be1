"""Planted studies that several files share; tests that change one make their own."""

import pytest

from gliomalib import records
from gliomalib.experiments import baseline_methods, loss_grid
from gliomalib.experiments.external_sites import GroupScores, Sites
from gliomalib.pipeline import folds
from tests import planted_baselines, planted_losses, planted_sites
from tests.planted_sites import INSIDE, OUTSIDE


@pytest.fixture(scope="session")
def methods_study(tmp_path_factory: pytest.TempPathFactory) -> folds.Material:
    return planted_baselines.study(tmp_path_factory.mktemp("baselines"), planted_baselines.ONE)


@pytest.fixture(scope="session")
def method_trial(methods_study: folds.Material) -> baseline_methods.MethodTrial:
    return baseline_methods.measure(methods_study)


@pytest.fixture(scope="session")
def loss_run(tmp_path_factory: pytest.TempPathFactory) -> records.Run:
    return planted_losses.study(tmp_path_factory.mktemp("losses"))


@pytest.fixture(scope="session")
def loss_grids(loss_run: records.Run) -> list[loss_grid.Grid]:
    return [loss_grid.grid(loss_run, network) for network in loss_grid.TITLES]


@pytest.fixture(scope="session")
def site_scores() -> GroupScores:
    return planted_sites.scores_of(INSIDE, OUTSIDE)


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Sites:
    return planted_sites.sites_of(tmp_path_factory.mktemp("groups"), INSIDE, OUTSIDE)
