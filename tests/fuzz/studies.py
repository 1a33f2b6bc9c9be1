"""Study files of every kind: what stands in them is what the study has, or they are refused."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from gliomalib import settings
from gliomalib.runner import jobs
from gliomalib.schema import GliomaError, SettingsError
from gliomalib.settings import Study
from tests.fuzz import shell
from tests.fuzz.doors import Door, Known, Outcome, sentence

BASE = """
study: toy
title: Toy
seed: 3
unet2d: {epochs: 1, batch_size: 1}
unet3d: {epochs: 1, batch_size: 1}
classifier: {epochs: 1, batch_size: 1, weights: random}
"""


@dataclass(frozen=True)
class Text:
    """A study file: the base with lines put over it, as bytes in an encoding, and what follows."""

    sets: tuple[tuple[str, Any], ...] = ()
    drops: tuple[str, ...] = ()
    lines: str = ""
    encoding: str = "utf-8"
    more: bytes = b""
    whole: bytes | None = None
    overrides: tuple[tuple[str, Any], ...] = ()


def content(text: Text) -> bytes:
    """Return the bytes of a study file."""
    if text.whole is not None:
        return text.whole
    made = yaml.safe_load(BASE)
    for name, value in text.sets:
        *sections, key = name.split(".")
        place = made
        for section in sections:
            if not isinstance(place.get(section), dict):
                place[section] = {}
            place = place[section]
        place[key] = value
    for name in text.drops:
        made.pop(name, None)
    written = yaml.safe_dump(made, allow_unicode=True, sort_keys=False) + text.lines
    return written.encode(text.encoding, errors="replace") + text.more


def keys(node: yaml.Node, seen: frozenset[int] = frozenset()) -> Iterator[str]:
    """Yield what is wrong with a YAML tree that safe loading passes over: a key given twice."""
    if id(node) in seen:
        return
    seen |= {id(node)}
    if isinstance(node, yaml.MappingNode):
        names = [name.value for name, _ in node.value if isinstance(name, yaml.ScalarNode)]
        yield from (name for name in set(names) if names.count(name) > 1)
        for name, value in node.value:
            yield from keys(name, seen)
            yield from keys(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from keys(value, seen)


def differences(said: Any, read: Any, place: str = "") -> Iterator[str]:
    """Yield each place where a study is not what its file says, however the file writes numbers."""
    if isinstance(said, Mapping):
        for key, value in said.items():
            if not isinstance(read, Mapping) or key not in read:
                yield f"{place}.{key} is lost"
            else:
                yield from differences(value, read[key], f"{place}.{key}")
    elif isinstance(said, list):
        if not isinstance(read, list | tuple) or len(read) != len(said):
            yield f"{place} is {read!r}, not {said!r}"
            return
        for n, (value, other) in enumerate(zip(said, read, strict=True)):
            yield from differences(value, other, f"{place}.{n}")
    elif not _same(said, read):
        yield f"{place} is {read!r}, not {said!r}"


def _same(said: Any, read: Any) -> bool:
    if isinstance(said, bool) or isinstance(read, bool):
        words = {True: ("true", "yes", "on", "1", "t", "y"), False: ("false", "no", "off", "0")}
        spelled = str(said).lower() in (*words.get(read, ()), *"fn"[: 2 * (read is False)])
        return said is read or (isinstance(read, bool) and spelled)
    if isinstance(read, float) and not math.isfinite(read):
        return False
    if isinstance(read, int | float):
        return float(said) == float(read)
    return bool(said == read)


def attempt(text: Text, folder: Path) -> Outcome:
    """Load the study in each way, and compare it with its file."""
    path = folder / "toy.yml"
    made = content(text)
    path.write_bytes(made)
    (folder / "good.yml").write_text(BASE.replace("study: toy", "study: good"))
    with _studies_in(folder):
        code, out, err = shell.run("studies")
        assert (code, err) == (0, ""), err
        assert any(line.startswith("good") and line.endswith(" Toy") for line in out.splitlines())
        try:
            study = settings.load("toy", dict(text.overrides))
        except SettingsError as error:
            said = sentence(error, folder)
            assert "toy.yml" in said or "settings" in said, said
            return Outcome(True, said)
        if not text.overrides:
            _compare(study, made)
        refused = _planned(folder)
    return Outcome(bool(refused), refused)


def _compare(study: Study, made: bytes) -> None:
    twice = sorted(set(keys(yaml.compose(made.decode(), Loader=yaml.SafeLoader))))
    assert not twice, f"given twice: {twice}"
    wrong = list(differences(yaml.safe_load(made.decode("utf-8-sig")), study.model_dump()))
    assert not wrong, "; ".join(wrong)
    json.dumps(study.model_dump(mode="json"), allow_nan=False)


def _planned(folder: Path) -> str:
    """Return why the study cannot be planned, empty where it can."""
    data = jobs.Folders.of(str(folder / "work"), str(folder / "reports"), str(folder))
    try:
        # the first notebook is read quickly; the plan of all checks every name before
        jobs.plan("toy", data, "01_data_exploration")
    except GliomaError as error:
        return sentence(error, folder)
    return ""


class _studies_in:  # noqa: N801
    """Take the studies of another folder for those of the project."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.before = folder, settings.STUDIES_DIR

    def __enter__(self) -> None:
        settings.STUDIES_DIR = self.folder

    def __exit__(self, *_: object) -> None:
        settings.STUDIES_DIR = self.before


@cache
def places() -> tuple[str, ...]:
    """Return the dotted names of all settings."""

    def below(model: Any, prefix: str = "") -> Iterator[str]:
        for name, value in model.items():
            yield prefix + name
            if isinstance(value, dict):
                yield from below(value, f"{prefix}{name}.")

    return tuple(below(Study.model_validate(yaml.safe_load(BASE)).model_dump()))


VALUES = st.one_of(
    st.sampled_from([0, 1, -1, 2, 64, 1e-3, 0.5, 1.5, 1e400, math.nan, -0.0, 10**40, True, False]),
    st.sampled_from([None, "", "x", "1", "0.5", "yes", "auto", "cpu", "random", "~", "A", " toy"]),
    st.sampled_from([[], [1], [1, 2], [1, 2, 3], [[1]], {}, {"a": 1}, ["t1"], ["t1", "t1"]]),
    st.sampled_from(["unet2d", ["unet2d", "unet3d"], ["unet3d.x", "unet2d.y"], {"x": {"y": {}}}]),
    st.dictionaries(
        st.sampled_from(["03_train_unet2d", "06_train_resnet50", "01_data_exploration", "x"]),
        st.dictionaries(
            st.sampled_from(["a", "", "../x", "a b", "v1"]),
            st.dictionaries(
                st.sampled_from(["seed", "loss", "branches", "variant", "epochs", "x"]),
                st.sampled_from([1, "focal", None, ["unet2d"], {"a": 1}, "2025-01-31"]),
                max_size=2,
            ),
            max_size=2,
        ),
        max_size=2,
    ),
    st.text(max_size=8),
    st.integers(),
    st.floats(),
)
SOUND = st.sampled_from(
    [
        *(("fusion.alpha", 1), ("fusion.alpha", "0.5"), ("seed", 0), ("seed", "12"), ("seed", 2.0)),
        *(
            ("pseudonyms", "yes"),
            ("pseudonyms", 1),
            ("threads", 4),
            ("title", "Größe: 日本 #1 {x}"),
        ),
        *(("preprocessing.spacing_mm", [1, 2.5, "3"]), ("preprocessing.crop_mm", None)),
        *(("unet2d.channels", [4, 8]), ("unet3d.patch", [8, 8, 8]), ("unet2d.class_weights", None)),
        *(("data.mask_pattern", "*[x]'"), ("split.folds", 5), ("split.by", "site")),
        *(("variants", {"03_train_unet2d": {"a-b": {"seed": 4}}}), ("leakage.epochs", None)),
        *(("data.internal_releases", ["brats2020"]), ("classifier.image_size", 32)),
    ]
)
PLACES = st.one_of(
    st.sampled_from(places()),
    st.sampled_from(places()),
    st.text("abcxyz_ü0", min_size=1, max_size=6),
    st.sampled_from(places()).map(lambda name: f"{name}x"),
    st.sampled_from(places()).map(lambda name: f"{name}.x"),
)
LINES = st.one_of(
    st.sampled_from(
        [
            *("seed: 2\n", "title: 2025-01-31\n", "x: !!python/object/apply:os.system [ls]\n"),
            *("title: !!binary aGk=\n", "seed: !!int x\n", "threads: 0x10\n", "threads: 1_000\n"),
            *(
                "threads: 010\n",
                "threads: 1:30\n",
                "threads: 1e3\n",
                "device: no\n",
                "? [a]\n: b\n",
            ),
            *("<<: {seed: 9}\n", "<<: 5\n", "data: &a {b: *a}\n", "report: &a\n  - *a\n", "\t\n"),
            *("---\nstudy: other\n", "...\n", "- a\n", "a: [\n", "'", "%TAG\n", "# only words\n"),
            *("fusion: {alpha: 0.5, alpha: 0.6}\n", "5: x\n", "null: x\n", "true: 1\n", "title:\n"),
            *("threads: 2025-01-31\n", "threads: .inf\n", "threads: '1'\n", "threads: 1.0\n"),
        ]
    ),
    st.text(max_size=20),
    st.text("{}[]:-?!&*|>'\"#%@`,\n ab1\t", max_size=16),
)


@st.composite
def texts(draw: st.DrawFn) -> Text:
    """Return study files that are right, nearly right or nothing of the kind."""
    if draw(st.integers(0, 9)) == 0:
        return Text(whole=draw(st.binary(max_size=60)))
    sets = draw(st.lists(st.one_of(SOUND, SOUND, st.tuples(PLACES, VALUES)), max_size=3))
    some = [("fusion.alpha", 0.4), ("data.on_bad_case", "stop"), ("seed.x", 1), ("a.b", 2)]
    return Text(
        sets=tuple(sets),
        drops=draw(st.sampled_from([*[()] * 9, ("title",), ("unet2d",), ("study",)])),
        lines=draw(LINES) if draw(st.integers(0, 5)) == 0 else "",
        encoding=draw(
            st.sampled_from(["utf-8"] * 20 + ["utf-8-sig", "cp1252", "utf-16", "utf-32", "utf-7"])
        ),
        more=draw(st.sampled_from([b""] * 24 + [b"\xff", b"\0", b"title: \xe4\n", b"\x80"])),
        overrides=draw(st.sampled_from([()] * 5 + [(pair,) for pair in some])),
    )


DOOR = Door(
    "studies",
    15,
    texts(),
    attempt,
    (
        Known("cp1252", Text((("title", "Größe"),), encoding="cp1252"), ("not UTF-8",)),
        Known("UTF-16", Text(encoding="utf-16"), ("not UTF-8",)),
        Known("a byte order mark", Text(encoding="utf-8-sig")),
        Known("a key twice", Text(lines="seed: 9\n"), ("seed a second time",)),
        Known(
            "a key of a section twice",
            Text(lines="fusion: {alpha: 0.5, alpha: 0.6}\n"),
            ("second",),
        ),
        Known("true for a number", Text((("unet2d.epochs", True),)), ("unet2d.epochs",)),
        Known("no finite number", Text((("unet2d.learning_rate", math.inf),)), ("finite",)),
        Known("an infinite crop", Text((("preprocessing.crop_mm", [math.inf] * 2),)), ("finite",)),
        Known("a date", Text(lines="data: {mask_pattern: 2025-01-31}\n"), ("put dates in quotes",)),
        Known("a list that holds itself", Text(lines="report: &a\n  - *a\n")),
        Known("a section that is a number", Text((("data", 5),)), ("data",)),
        Known(
            "a parameter below a number", Text((("fusion", 5),), overrides=(("fusion.alpha", 1),))
        ),
        Known("a word too many", Text((("sed", 1),)), ("known keys are",)),
        Known("nothing", Text(whole=b""), ("Field required",)),
        Known("zero bytes", Text(whole=b"\0" * 30), ("not YAML",)),
    ),
)
