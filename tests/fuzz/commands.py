"""Command lines of all verbs that end at once: exit code 0, or 1 or 2 and one sentence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from hypothesis import strategies as st

from gliomalib.data import download
from gliomalib.runner import execution, snakemake
from gliomalib.runner.jobs import RunError
from gliomalib.schema import DataError
from tests import layouts
from tests.fuzz import shell
from tests.fuzz.doors import Door, Known, Outcome
from tests.nasty import NAMES

WORLD = ("good", "empty", "file", "gone", "circle", "notes.yml", "bad.yml")


@dataclass(frozen=True)
class Line:
    """Words after ``python -m gliomalib``; ``@name`` is a path in a small folder of files."""

    words: tuple[str, ...]


def _no_network(*_: object, **__: object) -> Path:
    raise DataError("a fuzz test: nothing is fetched")


def _no_run(*_: object, **__: object) -> float:
    raise RunError("a fuzz test: nothing is run")


def make_world(folder: Path) -> None:
    """Write what a command line may point at."""
    layouts.write(folder / "good", "brats2020", 1)
    (folder / "empty").mkdir()
    (folder / "file").write_bytes(b"x")
    (folder / "circle").symlink_to("circle")
    (folder / "gone").symlink_to("nowhere")
    (folder / "notes.yml").write_text("seed: 3\n")
    (folder / "bad.yml").write_bytes("a: [ü".encode("utf-16"))


@contextmanager
def standing_in(folder: Path) -> Iterator[None]:
    """Stand in a folder, with neither a network nor a notebook to run."""
    before = Path.cwd()
    (folder / "here").mkdir()
    os.chdir(folder / "here")
    try:
        with (
            patch.object(download, "fetch", _no_network),
            patch.object(snakemake, "snakemake_command", lambda _: ["false"]),
            patch.object(execution, "execute", _no_run),
            patch.dict(os.environ, {"HOME": str(folder)}),
        ):
            yield
    finally:
        os.chdir(before)


def attempt(line: Line, folder: Path) -> Outcome:
    """Give a command line to the program and look at what it says and how it ends."""
    make_world(folder)
    before = _files(folder)
    words = [_word(word, folder) for word in line.words]
    with standing_in(folder):
        code, out, err = shell.run(*words)
    assert code in (0, 1, 2), f"exit code {code}"
    assert "Traceback" not in out + err
    assert _files(folder).items() >= before.items(), "a file of the user's was changed"
    if code == 0:
        return Outcome(False, out)
    if code == 1 and err:
        said = err
        for word in filter(lambda word: "\n" in word, words):
            said = said.replace(word, "…")
        said = said.replace(str(folder), "…")
        sentences = [text for text in said.split("\n") if text.startswith("error: ")]
        assert len(sentences) == 1 and len(sentences[0]) > 15, f"no sentence: {said!r}"
    if code == 1 and not err:
        assert out.rstrip().splitlines()[-1].strip(), "an error without a word"
    if code == 2:
        assert "error: " in err and "usage: " in err, err
    return Outcome(True, out + err)


def _word(word: str, folder: Path) -> str:
    return str(folder / word[1:]) if word.startswith("@") else word


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


PATHS = st.one_of(
    st.sampled_from([f"@{name}" for name in WORLD]),
    st.sampled_from(["good", "empty", "nowhere", ".", "..", "~", "~nobody", "", "/dev/null", "-"]),
    st.sampled_from([f"@{name.replace('/', '')}" for name in NAMES]),
    # below a small folder: who gives the root of a disk waits long
    st.binary(max_size=12).map(lambda name: os.fsdecode(b"x" + name.replace(b"..", b""))),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(
        lambda name: name.replace("..", "").lstrip("/")
    ),
)
STRANGE = st.one_of(
    st.sampled_from(
        ["-1", "0", "1", "2", "1e9", "nan", "inf", "two", "", " ", "--", "-x", "٣", "²"]
    ),
    st.sampled_from(
        ["A", "B", "C", "demo", "smoke", "../x", "cpu", "tpu", "brats2020", "msd_task01"]
    ),
    PATHS,
)
STUDIES = st.one_of(st.sampled_from(["smoke", "brats", "demo", "nothing", "../smoke", ""]), STRANGE)
NOTEBOOKS = st.one_of(st.sampled_from(["01_data_exploration", "05_fusion", "01", ""]), STRANGE)
FOLDERS = {"--source": PATHS, "--data-dir": PATHS, "--report-dir": PATHS, "--folders": PATHS}
VERBS = {
    ("data", "list"): ([STRANGE], {}),
    ("data", "download"): ([STRANGE], {"--to": PATHS}),
    ("data", "verify"): (
        [PATHS],
        {"--json": None, "--workers": STRANGE, "--mask-pattern": STRANGE, "--study": STUDIES}
        | {"--data-dir": PATHS},
    ),
    ("data", "cubes"): ([PATHS, PATHS], {}),
    ("data", "masks"): ([PATHS, PATHS], {}),
    # a site that is none, or no voxel, so that no patient is made
    ("data", "phantoms"): ([PATHS], {"--count": STRANGE, "--seed": STRANGE, "--spacing": STRANGE}),
    ("run",): ([NOTEBOOKS], {"--study": STUDIES, "--variant": STRANGE, "-f": PATHS, **FOLDERS}),
    ("study",): ([STUDIES], {"--cores": STRANGE, "--until": NOTEBOOKS, **FOLDERS}),
    ("studies",): ([], {}),
    ("compare",): ([STUDIES, STUDIES], {"--report-dir": PATHS, "--out": PATHS}),
    ("predict",): (
        [PATHS],
        {"--t1": PATHS, "--case": STRANGE, "--study": STUDIES, "--out": PATHS, "--fold": STRANGE}
        | {"--device": STRANGE, "--convention": STRANGE, "--force": None}
        | {"--data-dir": PATHS, "--report-dir": PATHS},
    ),
    ("nothing",): ([STRANGE], {}),
    (): ([], {"--help": None}),
}


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """Return command lines of all verbs, most of them with a mistake."""
    verb = draw(st.sampled_from(sorted(VERBS)))
    places, options = VERBS[verb]
    words = [*verb, *(draw(place) for place in places[: draw(st.integers(-1, 2)) % 4])]
    if verb == ("data", "phantoms"):
        words += ["--site", "none"]
    if options:
        for name in draw(st.lists(st.sampled_from(sorted(options)), max_size=3, unique=True)):
            kind = options[name]
            words += [name] if kind is None else [name, draw(kind)]
    if verb in (("run",), ("study",)):
        words += ["--data-dir", "@work", "--report-dir", "@reports"]
    if verb in (("predict",), ("compare",)) and draw(st.integers(0, 9)):
        words += ["--report-dir", "@reports"] + ["--out", "@out"] * (verb == ("predict",))
    return Line(tuple(word.replace("\0", "") for word in words))


DOOR = Door(
    "commands",
    5,
    lines(),
    attempt,
    (
        Known("nothing", Line(()), ("error: ",)),
        Known("a path with a quote", Line(("data", "verify", "@O'Brien")), ("no such folder",)),
        Known("a path with a sign", Line(("data", "verify", "@a #b: {c}")), ("no such folder",)),
        Known("a leading dash", Line(("data", "verify", "--", "-rf")), ("no such folder",)),
        Known("a circle", Line(("data", "verify", "@circle")), ("leads nowhere",)),
        Known("no UTF-8", Line(("data", "verify", "\udcff")), ("not UTF-8",)),
        Known("a study in UTF-16", Line(("run", "05_fusion", "-f", "@bad.yml")), ("not UTF-8",)),
        Known("folders that are no JSON", Line(("run", "05_fusion", "--folders", "@file"))),
        Known("no folders", Line(("study", "smoke", "--folders", "@nowhere"))),
        Known(
            "an unknown device",
            Line(("predict", "@good", "--out", "@o", "--device", "tpu", "--data-dir", "@empty")),
        ),
    ),
)
