"""The page of the benchmarks: a plot of how far each row is beyond its reach, and all numbers."""

import io
from pathlib import Path

from markupsafe import Markup
from matplotlib import pyplot
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from gliomalib import provenance
from gliomalib.figures import encode
from gliomalib.report.pages import render
from tests.benchmarks.ledger import Ledger, Row

COLOURS = {"met": "#1a7f4b", "missed": "#b3261e"}


def write(ledger: Ledger, folder: Path, seconds: float) -> Path:
    """Write ``rows.json`` and ``index.html`` into ``folder``; return the page."""
    rows = list(ledger.rows.values())
    content = render(
        "benchmarks.html.j2",
        place="",
        rows=rows,
        plot=Markup(plot([row for row in rows if row.score is not None])),
        minutes=seconds / 60,
        commit=provenance.commit(),
        hardware=provenance.hardware(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    provenance.write_atomic(folder / "rows.json", ledger.content())
    return provenance.write_atomic(folder / "index.html", content)


def plot(rows: list[Row]) -> str:
    """Return an SVG: a dot a row, right of the line at 1 where the row is met."""
    with pyplot.rc_context(encode.FONTS):
        figure, axes = pyplot.subplots(figsize=(11, 0.32 * len(rows) + 0.9), layout="constrained")
        for place, row in enumerate(rows):
            colour, score = COLOURS[row.outcome], row.score or 0
            axes.plot([1, score], [place, place], color=colour, linewidth=1)
            axes.plot(score, place, "o", color=colour, markersize=6)
        axes.set_xscale("log")
        axes.axvline(1, color="#444", linewidth=1)
        axes.set_yticks(range(len(rows)), [f"{row.what}; {row.peer}" for row in rows], fontsize=8.5)
        axes.invert_yaxis()
        axes.xaxis.set_major_locator(FixedLocator([0.25, 0.5, 1, 2, 4, 8, 16, 32]))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("times what was to be reached")
        axes.spines[["top", "right"]].set_visible(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg")
        pyplot.close(figure)
    return encode.svg(stream.getvalue())
