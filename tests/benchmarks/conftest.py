"""The ledger that all benchmarks fill; at the end it becomes the page of the benchmarks."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gliomalib import provenance
from tests.benchmarks import page
from tests.benchmarks.ledger import Ledger

OUT = provenance.PROJECT_DIR / "reports" / "benchmarks"


@pytest.fixture(scope="session")
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """Return the rows to fill; a whole run writes the page, a part of it only prints."""
    rows, started = Ledger.declared(), time.monotonic()
    yield rows
    whole = request.session.testscollected > 0 and not request.config.getoption("keyword")
    files = {Path(str(item.path)).name for item in request.session.items}
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + "\n".join(rows.lines()))  # noqa: T201
        if whole and files == {path.name for path in Path(__file__).parent.glob("bench_*.py")}:
            made = page.write(rows, OUT, time.monotonic() - started)
            print(made.as_uri())  # noqa: T201
