"""Cells of an executed notebook as HTML."""

from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from gliomalib import report
from gliomalib.report import cleaning, notebooks
from tests.report.reading import soup_of
from tests.report.small_study import VARIANT, make_notebook, text_of


def test_figures_and_tables_say_how_they_are_made_again(
    small_report: Path, small_folder: Path
) -> None:
    by_hand = soup_of(small_report / "html" / f"{VARIANT}.html").select("details.remake")
    assert [tag.pre.get_text().split()[0] for tag in by_hand] == ["papermill"]
    assert "How long this cell took was not kept" in by_hand[0].p.get_text()
    for name in ("05_fusion", VARIANT):
        notebook = make_notebook(name)
        notebook.cells[2].source = 'study = "small"'
        notebook.cells[3].metadata["papermill"] = {"duration": 2.5}
        notebook.metadata["papermill"] = {"duration": 80.0}
        nbformat.write(notebook, small_folder / "notebooks" / f"{name}.ipynb")
    report.build("small", small_folder)
    made = [soup_of(small_folder / "html" / f"{name}.html") for name in ("05_fusion", VARIANT)]
    commands = [[tag.get_text() for tag in soup.select("details.remake pre")] for soup in made]
    assert commands == [
        ["make report STUDY=small UNTIL=05_fusion"],
        [".venv/bin/python -m gliomalib run 05_fusion --study small --variant half"],
    ]
    told = made[0].select_one("details.remake p").get_text()
    assert told == "This cell took 2.5 s, the whole notebook 1 min 20 s, on the CPU."


def test_notebook_page_keeps_code_second_and_parameters_open(small_report: Path) -> None:
    codes = soup_of(small_report / "html" / "05_fusion.html").select("details.code")
    labels = [(tag.summary.get_text().split(" ·")[0], tag.has_attr("open")) for tag in codes]
    assert labels == [
        ("Parameters and their defaults 1 line", False),
        ("Parameters given to this run 5 lines", True),
        ("Code 1 line", False),
    ]
    assert codes[2].select_one("pre").get_text().strip() == "show('<i>')"


def test_log_lines_are_folded(small_report: Path) -> None:
    log = soup_of(small_report / "html" / "05_fusion.html").select_one("details.log")
    assert log is not None
    assert log.summary.get_text() == "12 lines of log"


def test_outputs_that_need_scripts_are_named(small_report: Path) -> None:
    page = text_of(small_report / "html" / "05_fusion.html")
    assert "An output of the type application/javascript stands here" in page


def test_formulas_need_no_script(small_folder: Path) -> None:
    notebook = make_notebook("05_fusion")
    notebook.cells[0].source += "\n\n$$\\frac{a}{b}$$\n\nand $x < 1$, but $\\nonsense{$ is text."
    nbformat.write(notebook, small_folder / "notebooks" / "05_fusion.ipynb")
    report.build("small", small_folder)
    soup = soup_of(small_folder / "html" / "05_fusion.html")
    assert soup.select_one('math[display="block"] mfrac').get_text() == "ab"
    assert soup.select_one('math[display="inline"]').get_text() == "x<1"
    assert "$\\nonsense{$ is text" in soup.get_text().replace("\n", " ")


def test_a_long_log_is_folded_though_it_came_line_by_line() -> None:
    lines = [
        nbformat.v4.new_output("stream", name="stdout", text=f"epoch {number}\n")
        for number in range(20)
    ]
    cell = nbformat.v4.new_code_cell("train()", outputs=lines, execution_count=1)
    soup = BeautifulSoup(
        notebooks.body(nbformat.v4.new_notebook(cells=[cell]), "03", (), "make it"), "html.parser"
    )
    assert soup.select_one("details.log summary").get_text() == "20 lines of log"
    assert len(soup.select("pre.log")) == 0


def cleaned(markdown: str) -> BeautifulSoup:
    return BeautifulSoup(cleaning.clean(notebooks.to_html(markdown), "05"), "html.parser")


def test_formula_in_a_line_and_in_its_own() -> None:
    soup = cleaned("with $K = 4$:\n\n$$S = \\alpha\\,S_{\\text{2D}}$$\n")
    inline, block = soup.find_all("math")
    assert inline["display"] == "inline"
    assert inline.get_text() == "K=4"
    assert block["display"] == "block"
    assert block.msub.get_text() == "S2D"
    assert "xmlns" not in block.attrs, "no address of any kind stands in a page"


def test_code_and_prices_are_no_formulas() -> None:
    soup = cleaned("`$x$` costs \\$5 and \\$6")
    assert soup.find("math") is None
    assert soup.get_text().strip() == "$x$ costs $5 and $6"


@pytest.mark.parametrize("broken", ["\\frac{a}{", "\\nosuch x", "a_{", "\\left( x"])
def test_broken_formula_stands_as_it_was_written(broken: str) -> None:
    soup = cleaned(f"see $${broken}$$ here")
    assert soup.find("math") is None
    assert f"$${broken}$$" in soup.get_text()


def test_formula_cannot_carry_anything_else() -> None:
    for attack in ("\\text{<script>alert(1)</script>}", "\\href{javascript:x()}{y}", "<img src=x>"):
        soup = cleaned(f"$${attack}$$")
        assert not soup.find_all(["script", "img"])
        assert not soup.find_all(href=True)


@given(st.text(alphabet="ab\\{}_^$&<>/ 12", max_size=20))
def test_no_text_stops_a_page(text: str) -> None:
    soup = cleaned(text)
    assert all(tag.name in cleaning.TAGS for tag in soup.find_all(True))
