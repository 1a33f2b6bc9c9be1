"""What readers share: one walk through a folder, names of files, and a case from its files."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gliomalib.data.readers import names
from gliomalib.schema import SEQUENCES, Case, Fault

_ENDING = re.compile(r"(\.nii)?(\.gz)?$", re.IGNORECASE)

NOBODY = "–"
"""Stands for case, patient and release in a fault of the whole folder."""

MISSING = "missing sequence"
"""The kind of fault of a case that lacks an image; where only masks count it is none."""


@dataclass(frozen=True)
class Tree:
    """Every folder at or below ``root`` with its files, and the folders that may not be read.

    ``hidden`` are names that begin with a dot and are no noise: nobody looks into them.
    ``read`` grows: each reader adds the tables and descriptions that it has read.
    """

    root: Path
    files: Mapping[Path, tuple[Path, ...]]
    closed: tuple[Path, ...]
    hidden: tuple[Path, ...] = ()
    read: list[Path] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        """All files, folder by folder."""
        return [path for files in self.files.values() for path in files]


@dataclass(frozen=True)
class Naming:
    """How a release names the folder of a case, its sequences and its mask.

    ``case`` is the name with which every file begins, ``endings`` is what follows it (sequence →
    ending without .nii or .nii.gz), ``mask`` the same of the mask, ``suffix`` of the folder.
    """

    case: re.Pattern[str]
    endings: Mapping[str, str]
    mask: str
    suffix: str = ""

    def case_of(self, folder: str) -> str | None:
        """Return the case whose folder has this name, None for another folder."""
        name = folder.removesuffix(self.suffix)
        return name if name + self.suffix == folder and self.case.fullmatch(name) else None

    def stems(self, case: str) -> dict[str, str]:
        """Return what the sequences of a case are called: sequence → name without ending."""
        return {sequence: case + ending for sequence, ending in self.endings.items()}


def scan(root: str | Path) -> Tree:
    """Return what lies at or below ``root``, sorted, but noise and hidden names.

    Links to folders are followed, as large releases often lie on another disk, but each once.
    """
    root = Path(root)
    files: dict[Path, tuple[Path, ...]] = {}
    closed: list[Path] = []
    hidden: list[Path] = []
    seen: set[Path] = set()
    walk = os.walk(root, True, lambda error: closed.append(Path(error.filename)), followlinks=True)
    for place, below, inside in walk:
        folder = Path(place)
        # a link may lead back to a folder above it: emptying ``below`` in place ends the walk here
        if folder.resolve() in seen:
            below.clear()
            continue
        seen.add(folder.resolve())
        clean = {name for name in (*below, *inside) if not names.pattern("noise").fullmatch(name)}
        hidden += [folder / name for name in sorted(clean) if name.startswith(".")]
        shown = {name for name in clean if not name.startswith(".")}
        files[folder] = tuple(folder / name for name in sorted(shown.intersection(inside)))
        below[:] = sorted(shown.intersection(below))
    return Tree(root, files, tuple(closed), tuple(hidden))


def case_folders(tree: Tree, naming: Naming) -> Iterator[tuple[Path, str]]:
    """Yield each folder that holds a case, and the name with which its files begin.

    Releases repeat the name of a case's folder for masks, diffusion and the like. So of the
    folders of one name those count that hold a sequence, where none does those with a mask, or the
    first one: a case without any file is a faulty case, not nothing.
    """
    by_case: dict[str, list[Path]] = {}
    for folder in tree.files:
        if case := naming.case_of(folder.name):
            by_case.setdefault(case, []).append(folder)
    for case, folders in by_case.items():
        stems = {place: {stem(file).lower() for file in tree.files[place]} for place in folders}
        wanted = {name.lower() for name in naming.stems(case).values()}
        full = [place for place in folders if wanted & stems[place]]
        masks = [place for place in folders if (case + naming.mask).lower() in stems[place]]
        yield from ((place, case) for place in full or masks or folders[:1])


def fault_of(path: Path, kind: str, message: str, release: str = "unknown") -> Fault:
    """Return a fault of a file or folder that is not one case's."""
    return Fault(plain(path.name), plain(path.name), release, path, kind, plain(message))


def plain(text: str) -> str:
    """Return a name or a sentence as UTF-8 can hold it, other bytes by their numbers."""
    return text.encode(errors="backslashreplace").decode()


def images_in(files: Sequence[Path]) -> list[Path]:
    """Return the files that call themselves NIfTI."""
    return [path for path in files if path.name.lower().endswith((".nii", ".nii.gz"))]


def stem(path: Path) -> str:
    """Return the name of a file without .nii or .nii.gz."""
    return _ENDING.sub("", path.name)


def named(files: Sequence[Path], wanted: str) -> list[Path]:
    """Return the files called ``wanted`` with .nii or .nii.gz.

    Where there is none, a name that differs in upper and lower case only will do: on the disks of
    Windows and macOS it is the same name, so it can mean nothing else.
    """
    exact = [path for path in files if path.name in (f"{wanted}.nii", f"{wanted}.nii.gz")]
    return exact or [p for p in images_in(files) if stem(p).lower() == wanted.lower()]


def listed(paths: Sequence[Path]) -> str:
    """Return the names of files, to stand in a sentence."""
    return ", ".join(path.name for path in paths)


def assemble(
    case: Case,
    folder: Path,
    files: Sequence[Path],
    stems: Mapping[str, str],
    mask: Path | Fault | None,
) -> list[Case | Fault]:
    """Return a case with its files, which are called ``stems`` (sequence → name without ending).

    ``case`` is what names and tables say of it, faults are said to be at ``folder``: one for each
    sequence that is missing or duplicated, and one that stands in place of the mask. Beside them
    a case that has a mask comes without images: whether that will do is for the study to say.
    A name that is not UTF-8 is a fault: no table and no notebook can hold it.
    """
    for path in (folder, mask):
        if isinstance(path, Path) and plain(str(path)) != str(path):
            place = next(above for above in path.parents if plain(str(above)) == str(above))
            sentence = f"case {case.case_id}: {plain(str(path))} is not UTF-8; rename it"
            return [case.fault(place, "name not UTF-8", sentence)]
    paths = {sequence: named(files, stems[sequence]) for sequence in SEQUENCES}
    faults: list[Case | Fault] = [mask] if isinstance(mask, Fault) else []
    for sequence, candidates in paths.items():
        if len(candidates) != 1:
            what = f"is duplicated ({listed(candidates)})" if candidates else "is missing"
            kind = "duplicate sequence" if candidates else MISSING
            wanted = f"expected one file {stems[sequence]}.nii or .nii.gz"
            sentence = f"case {case.case_id}: sequence {sequence} {what}; {wanted}"
            faults.append(case.fault(folder, kind, sentence))
    if faults or isinstance(mask, Fault):
        bare = replace(case, segmentation=mask, channels=()) if isinstance(mask, Path) else None
        return [*faults, bare] if bare else faults
    images = {sequence: path for sequence, (path,) in paths.items()}
    return [replace(case, images=images, segmentation=mask)]


def one_mask(case: Case, folder: Path, files: Sequence[Path], wanted: str) -> Path | Fault | None:
    """Return the mask called ``wanted``, None where there is none, a fault where there are two."""
    paths = named(files, wanted)
    if len(paths) > 1:
        both = " and ".join(map(str, paths))
        sentence = f"case {case.case_id}: the mask is duplicated ({both}); remove one"
        return case.fault(folder, "duplicate mask", sentence)
    return paths[0] if paths else None


def closed_faults(tree: Tree) -> Iterator[Fault]:
    """Yield a fault for every folder that may not be read, and for links that lead to none."""
    for folder in tree.closed:
        message = f"{folder}: this folder may not be read; change its permissions (chmod u+rx)"
        yield fault_of(folder, "no permission", message)
    for link in tree.paths:
        # a file of a case says so itself; without an ending it is a case, or a whole release
        if not link.suffix and leads_nowhere(link):
            message = f"{link}: this link leads nowhere; mount the disk of its target or remove it"
            yield fault_of(link, "dangling link", message)


def leads_nowhere(path: Path) -> bool:
    """Tell whether a path is a link without a target."""
    try:
        return path.is_symlink() and not path.exists()
    except OSError:
        return False
