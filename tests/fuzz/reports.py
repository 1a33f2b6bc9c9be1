"""Reports that came in a zip from somebody else: compared, checked and exported, or refused.

Nothing in one acts on a page, and nothing that lies outside of its folder comes into one.
"""

import csv
import gzip
import io
import json
import re
import shutil
import tempfile
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nbformat
from bs4 import BeautifulSoup
from hypothesis import strategies as st

from gliomalib import report, settings
from gliomalib.report import bundle, compare, entries, export, notebooks
from gliomalib.schema import GliomaError
from tests.fuzz import edits
from tests.fuzz.doors import Door, Known, Outcome, sentence
from tests.report import two_runs
from tests.report.reading import own_scripts
from tests.report.small_study import make_notebook

STUDY, RUN, VERDICTS = "smoke", "05_fusion", f"tables/{two_runs.LAST}.verdicts.csv"
SECRET = "what nobody outside may read"


@dataclass(frozen=True)
class Made:
    """A report in a zip: changes to a record, a notebook and the metadata, and to the members.

    ``cells`` are those of the table of verdicts, ``members`` the files added or put in place of
    others, ``links`` those that lead elsewhere. ``true`` makes the metadata fit the files again,
    as somebody would who wants to be believed.
    """

    record: tuple[edits.Edit, ...] = ()
    notebook: tuple[edits.Edit, ...] = ()
    crate: tuple[edits.Edit, ...] = ()
    cells: tuple[tuple[str, str], ...] = ()
    members: tuple[tuple[str, bytes], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    true: bool = False


@cache
def _study() -> settings.Study:
    return settings.load(STUDY)


@cache
def sound() -> dict[str, bytes]:
    """Return the files of a small sound report by their names."""
    with tempfile.TemporaryDirectory() as place:
        folder = two_runs.make_report(Path(place) / STUDY)
        for part in ("html", "figures", "notebooks"):
            (folder / part).mkdir()
        (folder / "index.html").write_text("<p>index</p>")
        (folder / "html" / f"{RUN}.html").write_text("<p>page</p>")
        nbformat.write(make_notebook(RUN), folder / "notebooks" / f"{RUN}.ipynb")
        bundle.describe(report.collect(_study(), folder), folder)
        paths = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _json(name: str) -> Any:
    return json.loads(sound()[name])


def _file() -> int:
    """Return the place in the metadata of the first file that they describe."""
    kinds = [entity["@type"] for entity in _json(bundle.CRATE)["@graph"]]
    return kinds.index("File")


RECORD, NOTEBOOK = f"records/{RUN}.json", f"notebooks/{RUN}.ipynb"


def packed(made: Made) -> bytes:
    """Return the report as a zip."""
    files = dict(sound())
    for name, changes in ((RECORD, made.record), (NOTEBOOK, made.notebook)):
        if changes:
            files[name] = edits.as_json(edits.edited(_json(name), changes))
    if made.cells:
        files[VERDICTS] = _table(made.cells)
    files |= dict(made.members)
    if made.crate:
        files[bundle.CRATE] = edits.as_json(edits.edited(_json(bundle.CRATE), made.crate))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _table(cells: tuple[tuple[str, str], ...]) -> bytes:
    rows, text = two_runs.verdict_rows(), io.StringIO()
    for name, value in cells:
        if value == edits.GONE:
            rows = [{k: v for k, v in row.items() if k != name} for row in rows]
        else:
            rows[0] = {**rows[0], name: value}
    heads = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, heads)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(errors="surrogatepass")


def attempt(made: Made, folder: Path) -> Outcome:
    """Unpack a foreign report and do with it all that a command does with a report."""
    secret, theirs = folder / "secret.csv", folder / "theirs" / STUDY
    secret.write_text(SECRET)
    theirs.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(packed(made))) as archive:
        archive.extractall(theirs)
    for name, target in made.links:
        path = theirs / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(folder / target)
    ours = folder / "ours"
    for name, content in sound().items():
        (ours / name).parent.mkdir(parents=True, exist_ok=True)
        (ours / name).write_bytes(content)
    if made.true:
        _described(theirs)
    there = _state(folder)
    said = [_compared(ours, theirs, folder), _exported(theirs, folder)]
    if made.notebook or NOTEBOOK in dict(made.members):
        said.append(_shown(theirs))
    assert _state(folder).items() >= there.items(), "a file outside of the export was changed"
    return Outcome(any(said), " ".join(said))


def _described(theirs: Path) -> None:
    # the texts of notebooks that did not run take long, and nothing here is made of them
    with suppress(GliomaError), patch.object(entries, "texts", lambda *_: []):
        bundle.describe(report.collect(_study(), theirs), theirs)


def _state(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "site" not in path.parts)
    return {str(path): path.read_bytes() for path in paths}


def _compared(ours: Path, theirs: Path, folder: Path) -> str:
    try:
        path = compare.build(str(ours), str(theirs), folder / "none", folder / "site" / "c.html")
    except GliomaError as error:
        return sentence(error, folder)
    page = path.read_text(encoding="utf-8")
    check_harmless(page)
    assert SECRET not in page
    return "; ".join(compare.read("B", theirs).faults)


def _exported(theirs: Path, folder: Path) -> str:
    out = folder / "site" / "out"
    with patch.object(export.studies, "write", lambda _: None):
        try:
            export.write([STUDY], theirs.parent, out)
        except GliomaError as error:
            assert not out.exists()
            return sentence(error, folder)
    for path in out.rglob("*"):
        assert path.resolve().is_relative_to(out), path
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    return ""


def _shown(theirs: Path) -> str:
    """Make the page of the executed notebook."""
    try:
        executed = notebooks.read(theirs / NOTEBOOK)
        body = notebooks.body(executed, "05", [RUN], "make report")
    except GliomaError as error:
        return sentence(error, theirs)
    body.encode()
    check_harmless(body)
    entries.texts(RUN, executed)
    return ""


def check_harmless(page: str) -> None:
    """Fail where a page has anything that acts, beside the scripts of our own templates."""
    soup = BeautifulSoup(page, "html.parser")
    for tag in soup.find_all(["script", "iframe", "object", "embed", "base", "form"]):
        # the field in which a report is searched asks a page of its own
        searches = tag.name == "form" and tag.get("action", "search.html").endswith("search.html")
        assert searches or (tag.name == "script" and tag.get_text().strip() in own_scripts()), tag
    for tag in soup.find_all(True):
        for name, value in tag.attrs.items():
            plain = re.sub(r"\s", "", str(value)).lower()
            assert not name.lower().startswith("on"), tag
            if name in ("href", "src", "xlink:href", "action", "style"):
                assert not plain.startswith(("javascript:", "data:text", "vbscript:")), tag


LINK = st.sampled_from(
    [
        *("html/x.html", "tables/x.csv", VERDICTS, "summary.pdf", RECORD, NOTEBOOK, "index.html"),
        *("figures/x.png", bundle.CRATE, "html", "tables", "records"),
    ]
)
TARGET = st.sampled_from(["secret.csv", "nowhere", ".", "ours/index.html", "ours/tables", "theirs"])
NAMES = st.sampled_from(
    [
        *(
            "../../secret.csv",
            "/../../../secret.csv",
            "html/../../../secret.csv",
            "tables/a.csv.gz",
        ),
        *("html/\u202e.html", "records/x.json", "records/.json", "records/05_fusion.\n.json"),
        *(f"records/{'x' * 150}.json", "html/<script>plant()<", "records/y.json/z", "html/a/b"),
        *("tables/05_fusion.<img src=x onerror=plant()>.csv", f"{VERDICTS}.gz", VERDICTS),
        *(bundle.CRATE, NOTEBOOK, RECORD),
    ]
)
CONTENT = st.one_of(
    edits.RAW,
    st.sampled_from([text.encode() for text in edits.ACTING]),
    st.sampled_from(
        [b"a,b\n1\n", b"a\n1,2\n", b"claim\nC1\n", b'"', gzip.compress(b"a\n1\n")[:-3]]
    ),
)
CELLS = st.tuples(
    st.sampled_from(["claim", "statement", "obtained", "verdict", "reason", "notebook", "x", ""]),
    st.one_of(st.just(edits.GONE), edits.TEXTS),
)


@st.composite
def zips(draw: st.DrawFn) -> Made:
    """Return reports with a fault in one or two of their parts."""
    notebook = _json(NOTEBOOK)
    parts: dict[str, st.SearchStrategy[Any]] = {
        "record": edits.edits(_json(RECORD)),
        "notebook": edits.edits(notebook),
        "crate": edits.edits(_json(bundle.CRATE)),
        "cells": st.lists(CELLS, min_size=1, max_size=2).map(tuple),
        "members": st.lists(st.tuples(NAMES, CONTENT), min_size=1, max_size=2).map(tuple),
        "links": st.lists(st.tuples(LINK, TARGET), min_size=1, max_size=1).map(tuple),
    }
    some = draw(st.lists(st.sampled_from(sorted(parts)), max_size=2, unique=True))
    return Made(**{name: draw(parts[name]) for name in some}, true=draw(st.booleans()))


LEADS_OUT = ("leads out of the report",)
AT = ("cells", 3, "outputs", 1, "data", "text/html")
DOOR = Door(
    "reports",
    12,
    zips(),
    attempt,
    (
        Known("a sound report", Made()),
        *(
            Known(f"a notebook with {text}", Made(notebook=((AT, text),), true=True))
            for text in edits.ACTING
        ),
        *(
            Known(f"a record with {text}", Made(record=((("conclusion",), text),), true=True))
            for text in edits.ACTING
        ),
        Known("a table that leads out", Made(links=(("tables/x.csv", "secret.csv"),)), LEADS_OUT),
        Known("a page that leads out", Made(links=(("html/x.html", "secret.csv"),)), LEADS_OUT),
        Known("a folder that leads out", Made(links=(("tables", "ours/tables"),)), ("damaged",)),
        Known("members above the folder", Made(members=(("../../secret.csv", b"x"),), true=True)),
        Known(
            "metadata of a file elsewhere",
            Made(crate=((("@graph", _file(), "@id"), "../../secret.csv"),)),
            ("missing or damaged",),
        ),
        Known("metadata of no text", Made(crate=((("@graph", _file(), "@id"), 5),)), ("damaged",)),
        Known(
            "verdicts without a column",
            Made(cells=(("statement", edits.GONE),)),
            ("verdicts.csv cannot be read",),
        ),
        Known(
            "verdicts with a cell too many",
            Made(members=((VERDICTS, sound()[VERDICTS] + b"C9,,,,,,,,,,\n"),)),
            ("verdicts.csv cannot be read",),
        ),
        Known("half a character", Made(notebook=((AT, "\ud800"),)), ("the file is damaged",)),
        Known(
            "metadata of a notebook in no form",
            Made(notebook=((("cells", 3, "metadata", "papermill"), 3),)),
            ("the file is damaged",),
        ),
    ),
)
