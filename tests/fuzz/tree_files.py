"""Folders of cases as people have them: as distributed, renamed, cut, linked, with other things."""

import gzip
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from gliomalib.schema import SEQUENCES
from tests import layouts

PARTS = (*SEQUENCES, "seg")


@dataclass(frozen=True)
class Placed:
    """One examination, the folders around it, and what is done to it: (part or folder, what)."""

    release: str
    number: int = 1
    visit: int = 0
    above: tuple[str, ...] = ()
    suffix: str = ".nii.gz"
    mask: bool = True
    changes: tuple[tuple[str, str], ...] = ()

    @property
    def case_id(self) -> str:
        return layouts.case_id(self.release, self.number, self.visit)


@dataclass(frozen=True)
class Loose:
    """Something that is of no case: its place, and a file, a folder or a link to what."""

    parts: tuple[str, ...]
    kind: str = "file"


Tree = tuple[Placed | Loose, ...]

RENAMED: Mapping[str, Callable[[str], str]] = {
    "copy": lambda name: f"{name} (1)",
    "copy of": lambda name: f"Copy of {name}",
    "backup": lambda name: f"{name}.bak",
    "small": str.lower,
    "great": str.upper,
    "title": str.title,
    "hyphens": lambda name: name.replace("_", "-"),
    "underscores": lambda name: name.replace("-", "_"),
    "shorter": lambda name: name[:-1],
    "longer": lambda name: f"{name}0",
    "blank": lambda name: f"{name} ",
    "blank before": lambda name: f" {name}",
    "hidden": lambda name: f".{name}",
    "litter": lambda name: f"._{name}",
    "editor": lambda name: f"{name}~",
    "two lines": lambda name: f"{name}\nx",
    "quote": lambda name: f"O'{name}\"",
    "letters": lambda name: f"{name}ü日",
    "no letters": lambda name: os.fsdecode(os.fsencode(name) + b"\xff"),
    "prediction": lambda name: f"{name}_nnunet_pred_seg",
    "mask": lambda name: f"{name}_mask",
    "another": lambda name: name.replace("1", "2"),
    "twice": lambda name: f"{name}_{name}",
    "pediatric": lambda name: name.replace("GLI", "PED"),
    "end of line": lambda name: f"{name}\n",
}
"""What people, systems and mistakes do to the name of a file (without its ending) or folder."""

ENDINGS = (
    ".nii",
    ".NII.GZ",
    ".gz",
    ".nii.gz.gz",
    ".nii.nii.gz",
    "",
    ".mha",
    ".nii.zip",
    ".nii.gz~",
)
STATES = ("missing", "empty", "cut", "twin", "nowhere", "linked", "folder", "in a folder", "closed")


@cache
def image(release: str, number: int, visit: int, part: str) -> np.ndarray:
    """Return voxels that no other case and no other part of this one has."""
    if part == "seg":
        return layouts.raw_mask(release)
    k = SEQUENCES.index(part)
    rng = np.random.default_rng([number, visit, k, *release.encode()])
    return (100 * k + rng.integers(1, 90, layouts.SHAPE)).astype(np.int16)


@cache
def content(release: str, number: int, visit: int, part: str, packed: bool) -> bytes:
    """Return the bytes of a file of a case."""
    values = image(release, number, visit, part)
    if release == "msd_task01" and part != "seg":
        order = ("flair", "t1", "t1ce", "t2")
        values = np.stack([image(release, number, visit, name) for name in order], axis=-1)
    made = nib.Nifti1Image(values, layouts.AFFINE)
    made.header.set_xyzt_units("mm")
    return gzip.compress(made.to_bytes(), 1, mtime=0) if packed else made.to_bytes()


def write(tree: Tree, root: Path, elsewhere: Path) -> None:
    """Write a tree; what the disk does not take (a name that is there, or too long) is left out."""
    for entry in tree:
        if isinstance(entry, Placed):
            _write_case(entry, root, elsewhere)
        else:
            _tried(lambda entry=entry: _write_loose(entry, root, elsewhere))


def _tried(work: Callable[[], object]) -> None:
    try:
        work()
    except (OSError, ValueError):
        return


def _write_case(placed: Placed, root: Path, elsewhere: Path) -> None:
    layout, case = layouts.LAYOUTS[placed.release], placed.case_id
    changes = dict(placed.changes)
    for part in PARTS:
        if part not in layout.files or (part == "seg" and not placed.mask):
            continue
        below = Path(layout.folder) / layout.files[part].format(case=case)
        folders = [*placed.above, *below.parent.parts]
        if how := changes.get("folder"):
            folders[-1:] = [case, case] if how == "nested" else [RENAMED[how](folders[-1])]
        place = root.joinpath(*folders)
        packed = placed.suffix.lower().endswith(".gz")
        made = content(placed.release, placed.number, placed.visit, part, packed)
        how = changes.get(part, "")
        name = RENAMED[how](below.name) if how in RENAMED else below.name
        ending = how if how in ENDINGS and part in changes else placed.suffix
        state = how if how in STATES else ""
        path = place / f"{name}{ending}"
        _tried(lambda path=path, made=made, how=state: _put(path, made, how, elsewhere))


def _put(path: Path, made: bytes, how: str, elsewhere: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "missing" or path.exists():
        return
    if how == "nowhere":
        path.symlink_to(elsewhere / "gone")
    elif how == "linked":
        target = elsewhere / path.name
        target.write_bytes(made)
        path.symlink_to(target)
    elif how == "folder":
        path.mkdir()
    elif how == "in a folder":
        path.mkdir()
        (path / path.name).write_bytes(made)
    else:
        path.write_bytes({"empty": b"", "cut": made[: len(made) // 2]}.get(how, made))
    if how == "twin":
        other = ".nii" if path.name.endswith(".gz") else ".nii.gz"
        twin = gzip.decompress(made) if other == ".nii" else gzip.compress(made)
        path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + other).write_bytes(twin)
    if how == "closed":
        path.chmod(0)


def _write_loose(loose: Loose, root: Path, elsewhere: Path) -> None:
    path = root.joinpath(*loose.parts)
    if not path.is_relative_to(root) or ".." in loose.parts:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if loose.kind == "file":
        path.write_bytes(b"something") if not path.exists() else None
    elif loose.kind == "image":
        if not path.exists():
            path.write_bytes(content("brats2020", 9, 0, "t1", path.name.endswith(".gz")))
    elif loose.kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"root": root, "itself": path}.get(loose.kind, elsewhere / loose.kind))
