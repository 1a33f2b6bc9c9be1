"""HTML of outputs: what is kept, what is refused, how tables are set."""

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from gliomalib.report import cleaning


def cleaned(html: str) -> BeautifulSoup:
    return BeautifulSoup(cleaning.clean(html, "05"), "html.parser")


def test_tables_scroll_and_columns_of_numbers_stand_to_the_right() -> None:
    frame = pd.DataFrame({"name": ["a", "b"], "n": ["1,000", "–"], "p": ["5 %", "x"]})
    soup = cleaned(frame.to_html(index=False))
    assert soup.table.parent["tabindex"] == "0"
    for row in soup("tr"):
        classes = [cell.get("class") for cell in row.find_all(["th", "td"])]
        assert classes == [["short"] if row.td else None, ["num"], ["short"] if row.td else None]


def test_sentences_have_room_and_names_break_at_their_parts() -> None:
    sentence = "a rule that is told in a whole sentence, as rules are"
    row = "<tr><td>external_accuracy_resnet50</td><td>0.5</td><td>{}</td></tr>"
    name, number, rule = cleaned(f"<table>{row.format(sentence)}</table>").find_all("td")
    assert name.get_text() == "external_accuracy_resnet50" and len(name.find_all("wbr")) == 2
    assert (number["class"], rule["class"]) == (["num"], ["long"])
    assert name["class"] == ["name"]


def test_numbers_that_are_not_there_are_dashes_and_negative_ones_have_a_minus() -> None:
    frame = pd.DataFrame({"loss": [-0.5, float("nan")], "n": pd.array([3, None], "Int64")})
    soup = cleaned(frame.to_html() + "<p>0.1 (-0.2 to 0.3), <code>x -1</code></p>")
    assert [cell.get_text() for cell in soup.select("td.num")] == ["−0.5", "3", "–", "–"]
    assert soup.p.get_text() == "0.1 (−0.2 to 0.3), x -1"


def test_numbers_as_pages_write_them_make_a_column_of_numbers() -> None:
    column = pd.DataFrame({"is": ["5.0 × 10⁻⁵", "undefined", "1\N{NARROW NO-BREAK SPACE}633"]})
    assert len(cleaned(column.to_html()).select("td.num")) == 3


def test_a_table_of_many_columns_is_set_closer() -> None:
    for width, wanted in ((cleaning.MANY, None), (cleaning.MANY + 1, ["many"])):
        table = f"<table><tr>{'<td>a</td>' * width}</tr></table>"
        assert cleaned(table).table.get("class") == wanted


def test_a_table_without_rows_is_a_sentence() -> None:
    soup = cleaned(pd.DataFrame({"patient": [], "fault": []}).to_html())
    assert soup.get_text() == "None found." and not soup.table


def test_plain_html_is_kept_and_styles_and_comments_are_dropped() -> None:
    html = cleaning.clean(
        '<style>b{}</style><p style="color:red">a<sub>2</sub></p><!-- c -->'
        '<a href="05_fusion.ipynb">n</a><a href="b.ipynb">b</a><a href="https://a.org/x">w</a>'
        '<img src="data:image/png;base64,AA=="><img src="far.png">',
        "05",
        ["05_fusion"],
    )
    alt = "Figure of notebook 05, described in the text below"
    assert html == (
        '<p>a<sub>2</sub></p><a href="05_fusion.html">n</a>b<a href="https://a.org/x">w</a>'
        f'<img alt="{alt}" src="data:image/png;base64,AA=="/>'
        "[a picture that is not part of this page: far.png]"
    )


@pytest.mark.parametrize(
    ("attack", "left"),
    [
        ("<script>alert(1)</script>", ""),
        ("<SCRIPT SRC=//a.org/x.js></SCRIPT>", ""),
        ('<p onclick="x()">a</p>', "<p>a</p>"),
        ('<img src="data:image/png;base64,AA==" onerror="x()" alt="a">',
         '<img alt="a" src="data:image/png;base64,AA=="/>'),
        ('<a href="javascript:x()">a</a>', "a"),
        ('<a href=" jav&#x09;ascript:x()">a</a>', "a"),
        ('<a href="data:text/html,<script>x()</script>">a</a>', "a"),
        ('<iframe src="https://a.org"></iframe>a', "a"),
        ('<p style="background:url(https://a.org)">a</p>', "<p>a</p>"),
        ('<svg onload="x()"><a xlink:href="javascript:x()"><text>a</text></a></svg>', ""),
        ("<svg><style><img src=x onerror=x()></style></svg>",
         "[a picture that is not part of this page: x]"),
        ("<math><mtext><script>x()</script></mtext></math>", "<math><mtext></mtext></math>"),
        ('<math href="javascript:x()"><mi>a</mi></math>', "<math><mi>a</mi></math>"),
        ('<form action="https://a.org"><input name="b"><button>a</button></form>', "a"),
        ('<object data="x.swf"></object><embed src="x">a', "a"),
        ('<base href="https://a.org"><link rel="stylesheet" href="x"><meta http-equiv="refresh">a',
         "a"),
    ],
)  # fmt: skip
def test_what_could_act_or_fetch_is_refused(attack: str, left: str) -> None:
    assert cleaning.clean(attack, "05") == left


def test_nothing_but_the_allowed_comes_through() -> None:
    kept = cleaned(pd.DataFrame({"a": [1]}).to_html())
    for tag in kept.find_all(True):
        if "wide" not in tag.get("class", []):
            assert tag.name in cleaning.TAGS
            assert set(tag.attrs) <= cleaning.ATTRIBUTES
