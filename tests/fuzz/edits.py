"""Changes to what JSON or YAML can hold: any value at any place, places taken away or put in."""

import json
import math
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

Place = tuple[str | int, ...]
Edit = tuple[Place, Any]

GONE = "(taken away)"
MARK = "plant"
"""What every text that could act names, so that it is found again in a page."""

ACTING = (
    f"<script>{MARK}()</script>",
    f"</script><script>{MARK}()</script>",
    f"\"'><img src=x onerror={MARK}()>",
    f"javascript:{MARK}()",
    f"data:text/html,<script>{MARK}()</script>",
    f"<svg><script>{MARK}()</script></svg>",
    f"<svg onload={MARK}()>",
    f"[x](javascript:{MARK}())",
    f"{{{{ {MARK} }}}}{{% include '/etc/passwd' %}}",
    f"--> <!--[if IE]><script>{MARK}()</script>",
)
TEXTS = st.one_of(
    st.sampled_from(ACTING),
    st.sampled_from(["", " ", "\0", "\n", "\u202e", "\ud800", "../../x", "/etc/passwd", "é" * 300]),
    st.text(max_size=8),
)
ODD = st.one_of(
    st.sampled_from([None, True, 0, -1, 1.5, 10**400, math.nan, math.inf, GONE, [], {}]),
    st.sampled_from([[[]], [None], {"a": {"b": 1}}, ["x", 1], {"": ""}, [1, 2], [0.1, "x"]]),
    TEXTS,
    st.integers(),
    st.floats(),
)


def places(content: Any, above: Place = ()) -> Iterator[Place]:
    """Yield the place of every part of ``content``, the whole first."""
    yield above
    pairs = content.items() if isinstance(content, dict) else ()
    pairs = enumerate(content) if isinstance(content, list) else pairs
    for name, part in pairs:
        yield from places(part, (*above, name))


def edited(content: Any, edits: tuple[Edit, ...]) -> Any:
    """Return a copy of ``content`` with each place set, or taken away, that is still there."""
    made = {"whole": deepcopy(content)}
    for place, value in edits:
        *above, name = ("whole", *place)
        inner: Any = made
        try:
            for part in above:
                inner = inner[part]
            if value == GONE:
                del inner[name]
            else:
                inner[name] = deepcopy(value)
        except (LookupError, TypeError):
            continue
    return made.get("whole")


def edits(content: Any, most: int = 2) -> st.SearchStrategy[tuple[Edit, ...]]:
    """Return changes to some places of ``content``, or to new ones beside them."""
    known = sorted(places(content), key=repr)
    deep = [place for place in known if place]
    new = st.tuples(st.sampled_from(known), st.sampled_from(["x", "a b", "__class__"]))
    place = st.one_of(
        st.sampled_from(known),
        st.sampled_from(deep),
        st.sampled_from(deep),
        new.map(lambda pair: (*pair[0], pair[1])),
    )
    return st.lists(st.tuples(place, ODD), max_size=most).map(tuple)


def as_json(content: Any) -> bytes:
    """Return JSON as any program might write it, with NaN and half characters where they are."""
    return json.dumps(content).encode()


DEEP = b"[" * 3_000
RAW = st.one_of(
    st.sampled_from([b"", b"null", b"[]", b"{}", b'"x"', b"1e999", DEEP, b"\xff\xfe{}", b"{}{}"]),
    st.binary(max_size=40),
)
"""Bytes that are all of a file."""
