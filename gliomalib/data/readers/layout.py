"""What readers share: one walk through a folder, tables of names, and a case from its files."""

import csv
import itertools
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gliomalib.schema import SEQUENCES, Case, DataError, Fault

Row = TypeVar("Row")
Names = TypeVar("Names")

MISSING = "missing sequence"
"""The kind of fault of a case that lacks an image; where only masks count it is none."""

TABLE = "table of names"
"""The kind of fault of a table that says who is who; leaving out a case does not mend it."""


@dataclass(frozen=True)
class Tree:
    """Every folder at or below ``root`` with its files, and the folders that may not be read."""

    root: Path
    files: Mapping[Path, tuple[Path, ...]]
    closed: tuple[Path, ...]

    @property
    def paths(self) -> list[Path]:
        """All files, folder by folder."""
        return [path for files in self.files.values() for path in files]

    def named(self, pattern: re.Pattern[str]) -> list[Path]:
        """Return the files whose whole name matches."""
        return [path for path in self.paths if pattern.fullmatch(path.name)]


@dataclass(frozen=True)
class CaseInfo:
    """What the names of files and the tables of a release say of a case; see ``schema.Case``."""

    case_id: str
    patient_id: str
    release: str
    folder: Path
    grade: str | None = None
    channels: tuple[str, ...] = ()

    def fault(self, kind: str, sentence: str, path: Path | None = None) -> Fault:
        """Return a fault of this case, at its folder unless ``path`` is given."""
        place = path or self.folder
        message = f"{place}: case {self.case_id}: {sentence}"
        return Fault(self.case_id, self.patient_id, self.release, place, kind, message)


@dataclass(frozen=True)
class Naming:
    """How a release names the folder of a case and its sequences.

    The group ``case`` of ``folder`` is the name with which every file begins, ``endings`` is what
    follows it (sequence → ending without .nii or .nii.gz).
    """

    folder: re.Pattern[str]
    endings: Mapping[str, str]

    def stems(self, case: str) -> dict[str, str]:
        """Return what the files of a case are called: sequence → name without ending."""
        return {sequence: case + ending for sequence, ending in self.endings.items()}


def scan(root: str | Path) -> Tree:
    """Return what lies at or below ``root``, sorted, but hidden names, __MACOSX and lost+found.

    Links to folders are followed, as large releases often lie on another disk, but each once.
    """
    root = Path(root)
    files: dict[Path, tuple[Path, ...]] = {}
    closed: list[Path] = []
    seen: set[Path] = set()
    walk = os.walk(root, True, lambda error: closed.append(Path(error.filename)), followlinks=True)
    for place, below, names in walk:
        folder = Path(place)
        # a link may lead back to a folder above it: emptying ``below`` in place ends the walk here
        if folder.resolve() in seen:
            below.clear()
            continue
        seen.add(folder.resolve())
        below[:] = sorted(name for name in below if not _hidden(name))
        files[folder] = tuple(folder / name for name in sorted(names) if not _hidden(name))
    return Tree(root, files, tuple(closed))


def read_tables(
    tree: Tree,
    pattern: re.Pattern[str],
    read: Callable[[Path], list[Row]],
    join: Callable[[list[Row]], Names],
    release: str,
) -> tuple[Names, list[Fault]]:
    """Return what the tables whose name matches say together, and the faults of tables.

    ``read`` gives the rows of one, ``join`` puts the rows of all together; where rows contradict
    one another, none of them counts.
    """
    rows: list[Row] = []
    faults = []
    for path in tree.named(pattern):
        try:
            rows += read(path)
        except DataError as error:
            faults.append(fault_of(path, TABLE, str(error), release))
    try:
        return join(rows), faults
    except DataError as error:
        message = f"{tree.root}: {error}"
        return join([]), [*faults, fault_of(tree.root, TABLE, message, release)]


def case_folders(tree: Tree, naming: Naming) -> Iterator[tuple[Path, str]]:
    """Yield each folder that holds a case, and the name with which its files begin.

    Releases repeat the name of a case's folder for masks, diffusion and the like. So of the
    folders of one name those count that hold a sequence, or the first one where none does: a case
    without any file is a faulty case, not nothing.
    """
    by_case: dict[str, list[Path]] = {}
    for folder in tree.files:
        if match := naming.folder.fullmatch(folder.name):
            by_case.setdefault(match["case"], []).append(folder)
    for case, folders in by_case.items():
        wanted = set(naming.stems(case).values())
        full = [path for path in folders if wanted & {stem(file) for file in tree.files[path]}]
        yield from ((folder, case) for folder in full or folders[:1])


def rows_of(path: str | Path) -> list[dict[str, str | None]]:
    """Return the rows of a table by column name; a cell that a row lacks is None.

    Raises ``DataError`` as `cells_of` does, and if a row has more cells than there are names.
    """
    lines = cells_of(path)
    names = lines[0][1] if lines else []
    for line, cells in lines[1:]:
        # a comma too many at the end does no harm
        if any(cells[len(names) :]):
            reason = f"line {line} has more cells than the first line"
            raise DataError(f"{path}: cannot be read ({reason}); fetch the table again")
    return [dict(itertools.zip_longest(names, cells[: len(names)])) for _, cells in lines[1:]]


def cells_of(path: str | Path) -> list[tuple[int, list[str]]]:
    """Return the lines of a CSV table or of the first sheet of an .xlsx that are not empty.

    Each with its number. Raises ``DataError`` for a file that cannot be read.
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".xlsx":
            return [(n, cells) for n, cells in enumerate(_sheet(path), 1) if any(cells)]
        with path.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.reader(stream, strict=True)
            return [(table.line_num, cells) for cells in table if cells]
    except (OSError, ValueError, csv.Error, KeyError, zipfile.BadZipFile, SyntaxError) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch the table again") from None


def fault_of(path: Path, kind: str, message: str, release: str = "unknown") -> Fault:
    """Return a fault of a file or folder that is not one case's."""
    return Fault(path.name, path.name, release, path, kind, message)


def images_in(files: Sequence[Path]) -> list[Path]:
    """Return the files that call themselves NIfTI."""
    return [path for path in files if path.name.endswith((".nii", ".nii.gz"))]


def stem(path: Path) -> str:
    """Return the name of a file without .nii or .nii.gz."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def named(files: Sequence[Path], wanted: str) -> list[Path]:
    """Return the files called ``wanted`` with .nii or .nii.gz."""
    return [path for path in files if path.name in (f"{wanted}.nii", f"{wanted}.nii.gz")]


def listed(paths: Sequence[Path]) -> str:
    """Return the names of files, to stand in a sentence."""
    return ", ".join(path.name for path in paths)


def assemble(
    info: CaseInfo, files: Sequence[Path], stems: Mapping[str, str], mask: Path | Fault | None
) -> list[Case | Fault]:
    """Return the case whose files are called ``stems`` (sequence → name without ending).

    Where a sequence is missing or duplicated, return a fault for each such sequence instead; a
    fault in place of the mask is one more. A case that has a mask comes without images beside
    these faults: whether that will do is for the study to say.
    """
    paths = {sequence: named(files, stems[sequence]) for sequence in SEQUENCES}
    faults: list[Case | Fault] = [mask] if isinstance(mask, Fault) else []
    for sequence, candidates in paths.items():
        if len(candidates) != 1:
            what = f"is duplicated ({listed(candidates)})" if candidates else "is missing"
            kind = "duplicate sequence" if candidates else MISSING
            wanted = f"expected one file {stems[sequence]}.nii or .nii.gz"
            faults.append(info.fault(kind, f"sequence {sequence} {what}; {wanted}"))
    whose = (info.case_id, info.patient_id, info.release)
    if faults or isinstance(mask, Fault):
        bare = [Case(*whose, {}, mask, grade=info.grade)] if isinstance(mask, Path) else []
        return [*faults, *bare]
    images = {sequence: path for sequence, (path,) in paths.items()}
    return [Case(*whose, images, mask, grade=info.grade, channels=info.channels)]


def one_mask(info: CaseInfo, files: Sequence[Path], wanted: str) -> Path | Fault | None:
    """Return the mask called ``wanted``, None where there is none, a fault where there are two."""
    paths = named(files, wanted)
    if len(paths) > 1:
        both = " and ".join(map(str, paths))
        return info.fault("duplicate mask", f"the mask is duplicated ({both}); remove one")
    return paths[0] if paths else None


def closed_faults(tree: Tree) -> Iterator[Fault]:
    """Yield a fault for every folder that may not be read, and for links that lead to none."""
    for folder in tree.closed:
        message = f"{folder}: this folder may not be read; change its permissions (chmod u+rx)"
        yield fault_of(folder, "no permission", message)
    for link in tree.paths:
        # a file of a case says so itself; without an ending it is a case, or a whole release
        if not link.suffix and _leads_nowhere(link):
            message = f"{link}: this link leads nowhere; mount the disk of its target or remove it"
            yield fault_of(link, "dangling link", message)


def _sheet(path: Path) -> list[list[str]]:
    # imported where it is used: few folders hold such a table
    import openpyxl  # noqa: PLC0415

    with path.open("rb") as stream:
        book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
        return [[_text(cell) for cell in row] for row in book.worksheets[0].values]


def _text(cell: Any) -> str:
    # a sheet keeps whole numbers as floats
    whole = isinstance(cell, float) and cell.is_integer()
    return "" if cell is None else str(int(cell) if whole else cell)


def _leads_nowhere(path: Path) -> bool:
    try:
        return path.is_symlink() and not path.exists()
    except OSError:
        return False


def _hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX")) or name == "lost+found"
