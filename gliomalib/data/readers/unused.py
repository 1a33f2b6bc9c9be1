"""What lies below a folder and is not used: it is what remains.

Every file is listed but those of cases, the tables that were read, documents and what systems
leave behind. So a reader that forgets a file cannot hide it. ``data/names.yml`` knows many of them
by name; the others are compared with the names of cases. Many of one kind are one line.
"""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gliomalib.data.readers import layout, names
from gliomalib.data.readers.layout import Naming, Tree
from gliomalib.schema import Case, Fault

FEW = 5
"""More than so many of a kind below one folder are one line."""

MOSTLY_UNMASKED = ("upenn_gbm",)
"""Releases that have an expert's mask of some cases only."""

_COPY = re.compile(
    r"^(?:copy|kopie|copie|copia) (?:of|von|de) |[ _-]*\(\d+\)$| \d+$"
    r"|[ _.–-]+(?:copy|kopie|copie|copia|backup|bak|old|orig)(?:[ _-]*\(?\d+\)?)?$",
    re.IGNORECASE,
)
_MASK = re.compile(r"seg|mask|label|annot", re.IGNORECASE)
_NO_EXPERT = re.compile(r"pred|auto|nnu|output|result|brain|bet|skull|healthy|void", re.IGNORECASE)
_VALIDATION = re.compile(r"valid|testing|imagesTs|(?<![a-z])(val|test)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Unused:
    """Files that are not used: where, how many, of what kind, and a sentence that says why."""

    path: Path
    kind: str
    files: int
    message: str


@dataclass(frozen=True)
class _Line:
    path: Path
    kind: str
    because: str
    advice: str = ""
    files: int = 0
    names: tuple[Path, ...] = ()

    @property
    def sort(self) -> tuple[str, str]:
        return self.kind, self.because

    @property
    def message(self) -> str:
        names = _first([str(name.relative_to(self.path)) for name in self.names])
        where = f" ({names})" if names else ""
        files = f"{self.files} files are " if self.files > 1 else ""
        advice = f"; {self.advice}" if self.advice else ""
        return f"{self.path}: {files}not used{where}, because {self.because}{advice}"


@dataclass(frozen=True)
class _Known:
    """A folder's tree, how all families name things, the folders of cases, the places of faults."""

    tree: Tree
    namings: Sequence[Naming]
    examples: Sequence[str]
    folders: set[Path]
    faulty: set[Path]


def find(
    tree: Tree, entries: Sequence[Case | Fault], namings: Sequence[Naming], examples: Sequence[str]
) -> list[Unused]:
    """Return what is not used below a folder, by path; ``entries`` are what the readers found.

    ``namings`` and ``examples`` are those of all families. Cases without a mask are listed too,
    unless their release has few masks, or a name or folder says that they validate.
    """
    cases = [entry for entry in entries if isinstance(entry, Case)]
    faulty = {entry.path for entry in entries if isinstance(entry, Fault)}
    folders = {path.parent for case in cases for path in case.images.values()}
    used = {*tree.read, *faulty, *(path for case in cases for path in case.files.values())}
    lines = _gathered(_lines(_Known(tree, namings, examples, folders, faulty), used), tree.root)
    unused = [Unused(line.path, line.kind, line.files, line.message) for line in lines]
    return sorted([*unused, *_unmasked(cases, tree.root)], key=lambda entry: str(entry.path))


def _lines(known: _Known, used: set[Path]) -> list[_Line]:
    """Return a line for everything that is left; a folder of which nothing is used is one."""
    tree = known.tree
    alive = {tree.root, *tree.root.parents, *(up for path in used for up in (path, *path.parents))}
    lines: dict[tuple[Path, str, str], _Line] = {}
    for path in _left(tree, used):
        line = _reason(path, known)
        if line.path == path:
            line = replace(line, path=[path, *(p for p in path.parents if p not in alive)][-1])
        before = lines.get((line.path, *line.sort), line)
        lines[line.path, *line.sort] = replace(
            before, files=before.files + (path not in tree.files)
        )
    because = "its name begins with a dot; rename it if it is to be read"
    return [*lines.values(), *(_Line(path, "hidden", because, files=1) for path in tree.hidden)]


def _left(tree: Tree, used: set[Path]) -> Iterator[Path]:
    """Yield every file that is not used and says something, and folders that are empty."""
    full = {folder.parent for folder in tree.files}
    for folder, files in tree.files.items():
        if not files and folder not in full | used | {tree.root}:
            yield folder
        yield from (path for path in files if path not in used and not names.is_document(path.name))


def _reason(path: Path, known: _Known) -> _Line:
    """Return why a file, or a folder without files, is not used: a line without numbers."""
    if layout.leads_nowhere(path):
        return _Line(path, "dangling link", "it is a link that leads nowhere; mount its disk")
    parts = path.relative_to(known.tree.root).parts
    places = [known.tree.root.joinpath(*parts[: n + 1]) for n in range(len(parts))]
    for place in places:
        case = _COPY.sub("", place.name)
        if case != place.name and any(naming.case_of(case) for naming in known.namings):
            here = any(folder.name == case for folder in known.folders | known.faulty)
            advice = f"{case} is here too, so delete the copy" if here else f"did you mean {case}?"
            return _Line(place, "copy of a case", "its name is that of a copy", advice)
    if rule := names.rule_of("/".join(parts)):
        n_parts, kind, because = rule
        return _Line(places[n_parts - 1], kind, because)
    return _of_case(path, known) or _near(path, known)


def _of_case(path: Path, known: _Known) -> _Line | None:
    """Return the reason for an image in the folder of a case, or with a case's name."""
    folder, stem = path.parent, _COPY.sub("", layout.stem(path))
    for naming in known.namings if layout.images_in([path]) else ():
        begins = naming.case.match(stem)
        case = _owner(stem, naming) or naming.case_of(folder.name) or (begins and begins[0])
        if not case:
            continue
        stems = {name.lower(): name for name in naming.all_stems(case)}
        if stem.lower() in stems:
            if folder in known.faulty and stem == layout.stem(path):
                return _Line(
                    path, "file of a faulty case", "its case is at fault, as is said there"
                )
            return _elsewhere(path, Path(case + naming.suffix, stems[stem.lower()]), known)
        here = {layout.stem(file).lower() for file in known.tree.files[folder] if file != path}
        absent = stems.keys() - here if folder in known.folders | known.faulty else set()
        near = difflib.get_close_matches(stem.lower(), absent, 1, 0.85)
        if _MASK.search(stem.removeprefix(case)):
            near = [name for name in absent if name == (case + naming.mask).lower()]
        if _NO_EXPERT.search(stem.removeprefix(case)):
            near = []
        if near:
            meant = f"did you mean {stems[near[0]]}.nii.gz?"
            return _Line(path, "nearly a name", "no file of a case is called so", meant)
        because = "its name is none of a sequence or of an expert's mask"
        return _Line(path, "other image", because)
    return None


def _owner(stem: str, naming: Naming) -> str | None:
    """Return the case of which a file is called so, None where no ending is known."""
    ends = (end for end in (*naming.endings.values(), naming.mask) if stem.endswith(end))
    cases = (stem.removesuffix(end) for end in ends)
    return next((case for case in cases if naming.case.fullmatch(case)), None)


def _elsewhere(path: Path, wanted: Path, known: _Known) -> _Line:
    """Return the line of a file that has the name of a case's file, ``wanted`` in its folder."""
    beside = [
        known.tree.files[folder] for folder in known.folders if folder.name == wanted.parent.name
    ]
    there = any(
        layout.stem(file) == wanted.name for files in beside for file in files if file != path
    )
    advice = f"{wanted} is read instead" if there else f"did you mean {wanted}.nii.gz?"
    because = "a file of a case counts in that case's folder only, and once"
    return _Line(path, "file elsewhere", because, advice)


def _near(path: Path, known: _Known) -> _Line:
    empty = path in known.tree.files
    place = path if empty or path.parent == known.tree.root else path.parent
    name = place.name if place != path or empty else layout.stem(path)
    files = {name for name in known.examples if any(_owner(name, n) for n in known.namings)}
    of_folder = [example for example in known.examples if example not in files]
    if like := _similar(name, of_folder if empty or place != path else known.examples):
        return _Line(place, "nearly a name", "no case is called so", f"did you mean {like}?")
    if empty:
        return _Line(path, "empty folder", "it is empty")
    return _Line(path, "other file", "no release that is known has such a file")


def _similar(name: str, examples: Iterable[str]) -> str:
    """Return the example of the same release and year that a name is nearly like, or ""."""
    kin = {_shape(example): example for example in examples if _kin(example) == _kin(name)}
    nearest = difflib.get_close_matches(_shape(name), kin, 1, 0.8)
    return kin[nearest[0]] if nearest and name not in kin.values() else ""


def _shape(name: str) -> str:
    # which number a patient has says nothing about how a release names its folders
    return re.sub(r"\d", "0", name.lower())


def _kin(name: str) -> tuple[str, ...]:
    """Return the words by which a name is of a release: the first, and the year or the second."""
    match = re.match(r"([a-z]+)[-_ .]*((?:20)?[12]\d(?!\d)|[a-z]*)", name.lower())
    return (match[1], match[2].removeprefix("20") or match[2]) if match else ()


def _gathered(lines: Sequence[_Line], root: Path) -> list[_Line]:
    """Return lines of which each folder, with all below it, has few of a kind."""
    waiting: dict[Path, list[_Line]] = defaultdict(list)
    for line in lines:
        waiting[line.path.parent].append(line)
    for depth in range(
        max((len(folder.parts) for folder in waiting), default=0), len(root.parts), -1
    ):
        for folder in [folder for folder in waiting if len(folder.parts) == depth]:
            waiting[folder.parent] += _merged(waiting.pop(folder), folder)
    return _merged(waiting[root], root)


def _merged(lines: Sequence[_Line], folder: Path) -> list[_Line]:
    sorts: dict[tuple[str, str], list[_Line]] = defaultdict(list)
    for line in lines:
        sorts[line.sort].append(line)
    merged = []
    for group in sorts.values():
        every = tuple(name for line in group for name in line.names or (line.path,))
        files = sum(line.files for line in group)
        whole = replace(group[0], path=folder, files=files, names=every)
        merged += [whole] if len(group) > FEW else group
    return merged


def _unmasked(cases: Sequence[Case], root: Path) -> Iterator[Unused]:
    groups: dict[tuple[str, Path], list[Case]] = defaultdict(list)
    few = {case.release for case in cases if case.segmentation} & {*MOSTLY_UNMASKED}
    for case in cases:
        if case.images and case.release not in few:
            above = next(iter(case.images.values())).parent.parent
            place = above if above.is_relative_to(root) else root
            groups[case.release, place].append(case)
    for (release, place), group in groups.items():
        bare = [case for case in group if not case.segmentation and not _validates(case, root)]
        if bare:
            message = (
                f"{place}: {len(bare)} of {len(group)} cases of {release} take no part, because "
                f"they have no mask ({_first([case.case_id for case in bare])}); unless this is a "
                "validation set, fetch them again"
            )
            yield Unused(place, "no mask", sum(len(case.files) for case in bare), message)


def _validates(case: Case, root: Path) -> bool:
    folder = next(iter(case.images.values())).parent
    below = folder.relative_to(root).parts if folder.is_relative_to(root) else ()
    told = any(_VALIDATION.search(name) for name in (*below, case.case_id))
    return told or "valid" in root.name.lower()


def _first(words: Sequence[str]) -> str:
    more = f" and {len(words) - FEW} more" if len(words) > FEW else ""
    return ", ".join(words[:FEW]) + more
