"""Checkpoints, weights and arrays of every kind: read as they were written, or refused.

Nothing that stands in one is ever run. Each attempt plants what would show it: see ``bombs``.
"""

import io
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from gliomalib.data.arrays import ArrayFile
from gliomalib.networks import models, predict, training
from gliomalib.pipeline.store import Store
from gliomalib.schema import GliomaError, SliceSet
from gliomalib.settings import Classifier
from tests.fuzz import bombs
from tests.fuzz.doors import Door, Known, Outcome, sentence
from tests.networks import toys

BOMBS = ("pickle", "member", "legacy", "object")
"""Ways in which a whole file acts."""

BOMB = "a bomb"
"""Stands for an object that acts; it is made when the folder of an attempt is known."""


@dataclass(frozen=True)
class Made:
    """A file of one of ``KINDS`` that was sound, and what was done to it.

    ``sets`` puts values at dotted places of its content, ``drops`` takes some away. Then its bytes
    are cut, one is turned over, some are added before it, or all are others.
    """

    kind: str
    sets: tuple[tuple[str, Any], ...] = ()
    drops: tuple[str, ...] = ()
    cut: float | None = None
    flip: float | None = None
    before: bytes = b""
    whole: bytes | None = None
    bomb: str = ""

    @property
    def sound(self) -> bool:
        """Whether nothing was done to it."""
        return self == Made(self.kind)


class Small(nn.Module):
    """Stands in for torchvision's ResNet50, a ten-thousandth of its size, with its two ends."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, 2)
        self.fc = nn.Linear(4, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv1(images).mean((2, 3)))


def _small(identity_blocks: bool = False) -> models.Normalised:
    return models.Normalised(Small())


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="sound-"))


@cache
def _stopped() -> bytes:
    """Return the checkpoint of a training that was stopped in its second epoch."""
    with pytest.MonkeyPatch.context() as patched:
        toys.stop_at(patched, 25)
        with suppress(toys.StoppedError):
            toys.trained(_folder() / "stopped", epochs=2)
    return (_folder() / "stopped" / "last.ckpt").read_bytes()


@cache
def _sound(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "resume":
        return _stopped()
    if kind == "segmenter":
        return toys.trained(_folder() / "straight", epochs=1).checkpoint.read_bytes()
    if kind == "array":
        np.save(stream, np.ones((5, 2, 3, 4), np.float16))
    elif kind == "weights":
        torch.save(Small().state_dict(), stream)
    else:
        settings = toys.classify_job(Path()).settings.model_dump(mode="json")
        state = _small().state_dict()
        known = {"network": "resnet50", "settings": settings, "key": "k", "threads": 1}
        torch.save({**known, "state": state}, stream)
    return stream.getvalue()


def content(made: Made, place: Path) -> bytes:
    """Return the bytes of a file; what acts in it makes ``place``."""
    if made.whole is not None:
        return made.whole
    plain = _sound(made.kind)
    if made.sets or made.drops:
        plain = _edited(plain, made, place)
    if made.bomb:
        plain = _armed(plain, made, place)
    if made.cut is not None:
        plain = plain[: int(made.cut * len(plain))]
    if made.flip is not None:
        turned = bytearray(plain)
        turned[int(made.flip * (len(plain) - 1))] ^= 0xFF
        plain = bytes(turned)
    return made.before + plain


def _edited(plain: bytes, made: Made, place: Path) -> bytes:
    stream = io.BytesIO()
    if made.kind == "array":
        array = {name: value for name, value in made.sets}.get("array")
        value = np.array([bombs.Bomb(place)]) if isinstance(array, str) else array
        np.save(stream, np.zeros(3) if value is None else value, allow_pickle=True)
        return stream.getvalue()
    whole = torch.load(io.BytesIO(plain), weights_only=True)
    for name, value in made.sets:
        *above, key = name.split("/")
        inner = whole
        for section in above:
            if not isinstance(inner.get(section), dict):
                inner[section] = {}
            inner = inner[section]
        inner[key] = bombs.Bomb(place) if value == BOMB and isinstance(value, str) else value
    for name in made.drops:
        whole.pop(name, None)
    torch.save(whole, stream)
    return stream.getvalue()


def _armed(plain: bytes, made: Made, place: Path) -> bytes:
    if made.bomb == "pickle":
        return bombs.pickled(place)
    if made.kind == "array":
        zipped = io.BytesIO()
        np.savez(zipped, array=np.array([bombs.Bomb(place)], object))
        return zipped.getvalue()
    if made.bomb == "member":
        return bombs.replaced(plain, "data.pkl", bombs.pickled(place))
    whole = torch.load(io.BytesIO(plain), weights_only=True)
    return bombs.checkpoint(place, whole, legacy=made.bomb == "legacy")


def attempt(made: Made, folder: Path) -> Outcome:
    """Open a file as the project does; whatever it is, nothing of it has acted."""
    fired = folder / bombs.FIRED
    plain = content(made, fired)
    with (
        patch.object(models, "empty_resnet50", _small),
        patch.object(training, "log", _Silent()),
    ):
        try:
            said = OPENED[made.kind](plain, folder)
        except GliomaError as error:
            said = sentence(error, folder)
            assert not made.sound, said
    assert not fired.exists(), "what stands in the file was run"
    return Outcome(bool(said), said)


class _Silent:
    def info(self, *_: object) -> None:
        """Say nothing: the progress of a training is not what is tried here."""

    warning = info


def _resume(plain: bytes, folder: Path) -> str:
    """Go on with a training; a checkpoint that cannot be resumed from counts as none."""
    job = toys.job(folder, epochs=2)
    (folder / "last.ckpt").write_bytes(plain)
    done = training.train_segmenter(job, toys.CASES[:3], toys.CASES[3:])
    if plain == _sound("resume"):
        assert done.resumed_from == 1
    if not done.resumed_from:
        assert toys.same_training(done, _straight()), "a damaged checkpoint changed the result"
    return "" if done.resumed_from else "trained from the start"


@cache
def _straight() -> training.Trained:
    return toys.trained(_folder() / "two", epochs=2)


def _segmenter(plain: bytes, folder: Path) -> str:
    path = folder / "final.pt"
    path.write_bytes(plain)
    segmenter = predict.load_segmenter(path, "cpu")
    predict.segment(segmenter, toys.CASES[0])
    return ""


def _classifier(plain: bytes, folder: Path) -> str:
    path = folder / "final.pt"
    path.write_bytes(plain)
    images = np.zeros((2, 3, 16, 16), np.float16)
    slices = SliceSet(images, np.zeros(2, int), ("P1", "P1"), np.arange(2))
    predict.classify(predict.load_classifier(path, "cpu"), slices)
    return ""


def _weights(plain: bytes, folder: Path) -> str:
    path = folder / "weights.pth"
    path.write_bytes(plain)
    plan = {"epochs": 1, "batch_size": 2, "weights": "file", "weights_file": str(path)}
    network, _ = models.resnet50(Classifier(**plan))
    network(torch.zeros(1, 3, 16, 16))
    return ""


def _array(plain: bytes, folder: Path) -> str:
    """Read an array of the store, whose notes vouch for just these bytes."""
    store = Store(folder, "key")
    file = ArrayFile(store.folder / "P1.npy", "make it again")
    grid = toys.toy_case("P1", (16, 16, 6)).grid
    store.folder.mkdir()
    small = {"shape": (2, 3, 4)}
    file.write(np.ones((5, 2, 3, 4), np.float16), type(grid)(**{**vars(grid), **small}), {})
    file.path.write_bytes(plain)
    notes = json.loads(file.notes_path.read_text())
    file.notes_path.write_text(json.dumps({**notes, "array_bytes": len(plain)}))
    case = store.get("P1")
    # of a case without images the labels are all there is
    assert case.images.shape in ((4, 2, 3, 4), (0, 2, 3, 4)) and case.labels.dtype == np.uint8
    return ""


OPENED: dict[str, Callable[[bytes, Path], str]] = {
    "resume": _resume,
    "segmenter": _segmenter,
    "classifier": _classifier,
    "weights": _weights,
    "array": _array,
}
ODD = st.one_of(
    st.sampled_from([None, -1, 0, 2, 1.5, "", "x", [], {}, [1], {"a": 1}, True, BOMB]),
    st.sampled_from(
        [torch.zeros(()), torch.zeros(0), torch.zeros(2, 3), torch.full((4,), torch.nan)]
    ),
    st.sampled_from([torch.zeros(4, dtype=torch.complex64), torch.zeros(4, dtype=torch.bool)]),
)
PLACES = {
    "resume": [
        *("key", "rows", "network", "optimiser", "rates", "precision", "x"),
        *("network/x", "optimiser/state", "optimiser/param_groups", "rates/lr_lambdas"),
    ],
    "segmenter": [
        *("network", "settings", "state", "threads", "settings/channels", "settings/x"),
        *("settings/sequences", "settings/strides", "settings/loss", "state/x", "key"),
    ],
    "classifier": ["network", "settings", "state", "threads", "state/x", "state/network.fc.bias"],
    "weights": ["fc.weight", "fc.bias", "conv1.weight", "x", "conv1.bias"],
}
ARRAYS = st.sampled_from(
    [
        *(BOMB, None, np.zeros((5, 2, 3, 4)), np.zeros((5, 2, 3, 4), np.float16, order="F")),
        *(np.zeros((1, 2, 3, 4), np.float16), np.zeros((2, 2, 3, 4), np.float16), np.float16(0)),
        *(np.zeros((5, 2, 3), np.float16), np.zeros((0, 2, 3, 4), np.float16), np.array(["x"])),
        *(np.zeros((5, 2, 3, 4), [("a", "f2")]), np.full((5, 2, 3, 4), np.nan, np.float16)),
    ]
)


DAMAGE = st.one_of(
    *[st.just({})] * 4,
    st.fixed_dictionaries({"whole": st.binary(max_size=80)}),
    st.fixed_dictionaries({"cut": st.floats(0, 1)}),
    st.fixed_dictionaries({"flip": st.floats(0, 1)}),
    st.fixed_dictionaries({"before": st.binary(min_size=1, max_size=9)}),
    *[st.fixed_dictionaries({"bomb": st.sampled_from(BOMBS)})] * 2,
)


@st.composite
def files(draw: st.DrawFn) -> Made:
    """Return files of all kinds, most of them with a fault."""
    # a training that is gone on with takes longer than all others together
    kind = draw(st.sampled_from([*[*OPENED][1:]] * 3 + ["resume"]))
    if damage := draw(DAMAGE):
        return Made(kind, **damage)
    if kind == "array":
        return Made(kind, sets=(("array", draw(ARRAYS)),))
    place = st.sampled_from(PLACES[kind])
    return Made(
        kind,
        sets=tuple(draw(st.lists(st.tuples(place, ODD), max_size=2))),
        drops=tuple(draw(st.lists(place, max_size=1))),
    )


NO_WEIGHTS, NO_TRAINING, ANEW = "not a state dict", "not the result of a training", "from the start"
REFUSED = {"resume": ANEW, "segmenter": NO_TRAINING, "classifier": NO_TRAINING}
REFUSED |= {"weights": NO_WEIGHTS, "array": "is damaged"}
DOOR = Door(
    "checkpoints",
    8,
    files(),
    attempt,
    (
        *(Known(f"a sound {kind}", Made(kind)) for kind in OPENED),
        *(
            Known(f"a bomb ({bomb}) for a {kind}", Made(kind, bomb=bomb), (says,))
            for kind, says in REFUSED.items()
            for bomb in (BOMBS if kind != "array" else BOMBS[:2])
        ),
        Known("an array of objects", Made("array", (("array", BOMB),)), ("is damaged",)),
        Known("an empty array", Made("array", whole=b""), ("is damaged",)),
        *(
            Known(
                f"labels of {label}",
                Made("array", (("array", np.full((5, 2, 3, 4), label, np.float16)),)),
                ("labels other than 0 to 3",),
            )
            for label in (np.nan, np.inf, -1, 4)
        ),
        Known(
            "the largest label",
            Made("array", (("array", np.full((5, 2, 3, 4), 3, np.float16)),)),
        ),
        Known("an empty checkpoint", Made("resume", whole=b""), (ANEW,)),
        Known("half a checkpoint", Made("resume", cut=0.5), (ANEW,)),
        Known("no history", Made("resume", drops=("rows",)), (ANEW,)),
        Known(
            "a state that fits no network",
            Made("resume", (("network", {}),)),
            ("cannot be resumed from",),
        ),
        Known("no settings", Made("segmenter", drops=("settings",)), (NO_TRAINING,)),
        Known("no state", Made("classifier", drops=("state",)), (NO_TRAINING,)),
        Known("threads in words", Made("classifier", (("threads", "x"),)), (NO_TRAINING,)),
        Known("fewer than no threads", Made("segmenter", (("threads", -1),)), (NO_TRAINING,)),
        Known(
            "a head that is one number",
            Made("weights", (("fc.weight", torch.zeros(())),)),
            ("give another file",),
        ),
    ),
)
