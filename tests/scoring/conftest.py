"""What the tests of the three signatures of failure share."""

import pytest

from tests.scoring import simulated


@pytest.fixture(scope="session")
def cohort() -> list[simulated.Patient]:
    """Twenty patients in whom nothing has failed."""
    return simulated.patients(20)
