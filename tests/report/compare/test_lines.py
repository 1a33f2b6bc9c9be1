"""Differing lines beside one another."""

from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from gliomalib.report.compare import lines

ATTACK = "<script>alert(1)</script>"


def rows(a: list[str], b: list[str]) -> list[tuple[str, str]]:
    soup = BeautifulSoup(lines.side_by_side(a, b), "html.parser")
    cells = [row.find_all("td", class_=None) for row in soup.select("tr")]
    return [(left.get_text().strip(), right.get_text().strip()) for left, right in cells]


@given(st.lists(st.sampled_from("abcd"), max_size=8), st.lists(st.sampled_from("abcd"), max_size=8))
def test_lines_stand_on_their_side(a: list[str], b: list[str]) -> None:
    found = rows([*a, "1"], [*b, "2"])
    assert {left for left, _ in found if left} <= {*a, "1"}
    assert {right for _, right in found if right} <= {*b, "2"}


def test_what_differs_in_a_line_is_marked_and_what_is_far_from_it_left_out() -> None:
    same = [f"line {number}" for number in range(20)]
    found = rows([*same, "mean of 12 patients"], [*same, "mean of 10 patients"])
    assert found == [("line 19", "line 19"), ("mean of 12 patients", "mean of 10 patients")]
    table = BeautifulSoup(lines.side_by_side(["12 mm"], ["10 mm"]), "html.parser")
    assert [mark.get_text() for mark in table.select(".diff_chg")] == ["2", "0"]


def test_lines_are_text_and_equal_lines_give_equal_tables() -> None:
    table = lines.side_by_side([ATTACK], [f"{ATTACK} \u202e"])
    assert "<script" not in table and "href" not in table and " id=" not in table
    assert ATTACK in BeautifulSoup(table, "html.parser").get_text()
    assert table == lines.side_by_side([ATTACK], [f"{ATTACK} \u202e"])


def test_lines_beyond_the_first_are_counted() -> None:
    found = rows([f"a{line}" for line in range(lines.MOST_LINES + 7)], [])
    assert len(found) == lines.MOST_LINES + 1
    assert found[-1][0] == "… and 7 more"
