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

UNKNOWN = ("other file", "other table", "other image", "empty folder", "hidden")
"""Kinds that do not say what a folder is."""

MOSTLY_UNMASKED = ("upenn_gbm",)
"""Releases that have an expert's mask of some cases only."""


@dataclass(frozen=True)
class Unused:
    """What is not used: where, of what kind, why, what to do, how many files, which of ``path``."""

    path: Path
    kind: str
    because: str
    advice: str = ""
    files: int = 0
    names: tuple[Path, ...] = ()

    @property
    def message(self) -> str:
        """All of it as a sentence."""
        first = [str(name.relative_to(self.path)) for name in self.names[:FEW]]
        more = f" and {len(self.names) - FEW} more" if len(self.names) > FEW else ""
        where = f" ({', '.join(first)}{more})" if first else ""
        files = f"{self.files} files are " if self.files > 1 else ""
        advice = f"; {self.advice}" if self.advice else ""
        message = f"{self.path}: {files}not used{where}, because {self.because}{advice}"
        return layout.plain(message)


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
    rest = _gathered(_rest(_Known(tree, namings, examples, folders, faulty), used), tree.root)
    return sorted([*rest, *_unmasked(cases, tree.root)], key=lambda entry: str(entry.path))


def _rest(known: _Known, used: set[Path]) -> list[Unused]:
    """Return all that is left; a folder of which nothing is used is one."""
    tree = known.tree
    alive = {tree.root, *tree.root.parents, *(up for path in used for up in (path, *path.parents))}
    rest: dict[tuple[Path, str, str], Unused] = {}
    for path in _left(tree, used):
        entry = _reason(path, known)
        if entry.path == path:
            entry = replace(entry, path=[path, *(p for p in path.parents if p not in alive)][-1])
        key = (entry.path, entry.kind, entry.because)
        before = rest.get(key, entry)
        rest[key] = replace(before, files=before.files + (path not in tree.files))
    because = "its name begins with a dot; rename it if it is to be read"
    return [*rest.values(), *(Unused(path, "hidden", because, files=1) for path in tree.hidden)]


def _left(tree: Tree, used: set[Path]) -> Iterator[Path]:
    """Yield every file that is not used and says something, and folders that are empty."""
    full = {folder.parent for folder in tree.files}
    for folder, files in tree.files.items():
        if not files and folder not in full | used | {tree.root}:
            yield folder
        is_document = names.pattern("documents").fullmatch
        yield from (path for path in files if path not in used and not is_document(path.name))


def _reason(path: Path, known: _Known) -> Unused:
    """Return why a file, or a folder without files, is not used: a line without numbers."""
    if layout.leads_nowhere(path):
        return Unused(path, "dangling link", "it is a link that leads nowhere; mount its disk")
    parts = path.relative_to(known.tree.root).parts
    places = [known.tree.root.joinpath(*parts[: n + 1]) for n in range(len(parts))]
    for place in places:
        case = names.pattern("copies").sub("", place.name)
        if case != place.name and any(naming.case_of(case) for naming in known.namings):
            here = any(folder.name == case for folder in known.folders | known.faulty)
            advice = f"{case} is here too, so delete the copy" if here else f"did you mean {case}?"
            return Unused(place, "copy of a case", "its name is that of a copy", advice)
    if rule := names.rule_of("/".join(parts)):
        n_parts, kind, because = rule
        return Unused(places[n_parts - 1], kind, because)
    return _of_case(path, known) or _near(path, known)


def _of_case(path: Path, known: _Known) -> Unused | None:
    """Return the reason for an image in the folder of a case, or with a case's name."""
    folder, stem = path.parent, names.pattern("copies").sub("", layout.stem(path))
    for naming in known.namings if layout.images_in([path]) else ():
        begins = naming.case.match(stem)
        case = _owner(stem, naming) or naming.case_of(folder.name) or (begins and begins[0])
        if not case:
            continue
        called = (*naming.stems(case).values(), case + naming.mask)
        stems = {name.lower(): name for name in called}
        if stem.lower() in stems:
            if folder in known.faulty and stem == layout.stem(path):
                return Unused(path, "file of a faulty case", "its case is at fault")
            there = f"there it is {case}{naming.suffix}/{stems[stem.lower()]}.nii.gz"
            because = "a file of a case counts in that case's folder only, and once"
            return Unused(path, "file elsewhere", because, there)
        here = {layout.stem(file).lower() for file in known.tree.files[folder] if file != path}
        absent = stems.keys() - here if folder in known.folders | known.faulty else set()
        near = difflib.get_close_matches(stem.lower(), absent, 1, 0.85)
        if names.pattern("masks").search(stem.removeprefix(case)):
            near = [name for name in absent if name == (case + naming.mask).lower()]
        if near and not names.pattern("no_expert").search(stem.removeprefix(case)):
            meant = f"did you mean {stems[near[0]]}.nii.gz?"
            return Unused(path, "nearly a name", "no file of a case is called so", meant)
        return Unused(path, "other image", "its name is none of a sequence or of an expert's mask")
    return None


def _owner(stem: str, naming: Naming) -> str | None:
    """Return the case of which a file is called so, None where no ending is known."""
    ends = (end for end in (*naming.endings.values(), naming.mask) if stem.endswith(end))
    cases = (stem.removesuffix(end) for end in ends)
    return next((case for case in cases if naming.case.fullmatch(case)), None)


def _near(path: Path, known: _Known) -> Unused:
    empty = path in known.tree.files
    place = path if empty or path.parent == known.tree.root else path.parent
    name = place.name if place != path or empty else layout.stem(path)
    files = {name for name in known.examples if any(_owner(name, n) for n in known.namings)}
    of_folder = [example for example in known.examples if example not in files]
    if like := _similar(name, of_folder if empty or place != path else known.examples):
        return Unused(place, "nearly a name", "no case is called so", f"did you mean {like}?")
    if empty:
        return Unused(path, "empty folder", "it is empty")
    return Unused(path, "other file", "no release that is known has such a file")


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


def _gathered(rest: Sequence[Unused], root: Path) -> list[Unused]:
    """Return entries of which each folder, with all below it, has few of a kind."""
    waiting: dict[Path, list[Unused]] = defaultdict(list)
    for entry in rest:
        waiting[entry.path.parent].append(entry)
    deepest = max((len(folder.parts) for folder in waiting), default=0)
    for depth in range(deepest, len(root.parts), -1):
        for folder in [folder for folder in waiting if len(folder.parts) == depth]:
            waiting[folder.parent] += _merged(waiting.pop(folder), folder)
    return _merged(waiting[root], root)


def _merged(entries: Sequence[Unused], folder: Path) -> list[Unused]:
    kinds: dict[tuple[str, str], list[Unused]] = defaultdict(list)
    for entry in entries:
        kinds[entry.kind, entry.because].append(entry)
    merged = []
    for group in kinds.values():
        every = tuple(name for entry in group for name in entry.names or (entry.path,))
        files = sum(entry.files for entry in group)
        whole = replace(group[0], path=folder, files=files, names=every)
        merged += [whole] if len(group) > FEW else group
    return merged


def _unmasked(cases: Sequence[Case], root: Path) -> Iterator[Unused]:
    few = {case.release for case in cases if case.segmentation} & {*MOSTLY_UNMASKED}
    groups: dict[tuple[str, Path], list[Case]] = defaultdict(list)
    for case in cases:
        if case.images and case.release not in few:
            groups[case.release, _folder(case).parent].append(case)
    for (release, above), group in groups.items():
        bare = [case for case in group if not case.segmentation and not _validates(case, root)]
        place = above if above.is_relative_to(root) else root
        because = f"{len(bare)} of {len(group)} cases of {release} have no mask"
        advice = "unless this is a validation set, fetch them again"
        files = sum(len(case.files) for case in bare)
        if bare:
            yield Unused(place, "no mask", because, advice, files, tuple(map(_folder, bare)))


def _folder(case: Case) -> Path:
    return next(iter(case.images.values())).parent


def _validates(case: Case, root: Path) -> bool:
    below = _folder(case).relative_to(root).parts
    validation = names.pattern("validation")
    told = any(validation.search(name) for name in (*below, case.case_id))
    return told or "valid" in root.name.lower()
