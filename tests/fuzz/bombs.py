"""What acts when it is unpickled or run: each leaves a folder behind, by which it is found out."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

FIRED = "fired"


class Bomb:
    """An object that makes the folder ``place`` as soon as somebody unpickles it."""

    def __init__(self, place: Path) -> None:
        self.place = str(place)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.place,)


def pickled(place: Path) -> bytes:
    """Return a plain pickle that acts, as ``np.load`` and ``pd.read_pickle`` would take it."""
    return pickle.dumps(Bomb(place))


def checkpoint(place: Path, content: dict[str, Any], *, legacy: bool = False) -> bytes:
    """Return a checkpoint of torch with all of ``content`` that acts before any of it is read."""
    stream = io.BytesIO()
    torch.save({"bomb": Bomb(place), **content}, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def replaced(whole: bytes, ending: str, by: bytes) -> bytes:
    """Return a zip in which the members whose names end so hold other bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(made, "w") as after:
        for name in before.namelist():
            after.writestr(name, by if name.endswith(ending) else before.read(name))
    return made.getvalue()
