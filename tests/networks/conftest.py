"""One training of the toy cases for all tests that only look at it."""

import pytest

from gliomalib.networks import training
from tests.networks import toys


@pytest.fixture(scope="package")
def straight(tmp_path_factory: pytest.TempPathFactory) -> training.Trained:
    return toys.trained(tmp_path_factory.mktemp("straight"))
