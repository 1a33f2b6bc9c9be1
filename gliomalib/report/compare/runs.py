"""One of two runs that are set side by side: what its folder of results holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from gliomalib import records
from gliomalib.report import entries, notebooks
from gliomalib.schema import Record, RecordError, SettingsError, split_run_name


@dataclass(frozen=True)
class Side:
    """Run ``letter`` (A or B) as it was found, by the names of its records and notebooks.

    ``verdicts`` are the rows of the verdict table by claim and its sentence, which another
    version may number otherwise. ``faults`` says in a sentence each what cannot be read.
    """

    letter: str
    folder: Path
    records: Mapping[str, Record]
    notebooks: Mapping[str, NotebookNode]
    verdicts: Mapping[str, Mapping[str, str]]
    faults: tuple[str, ...]

    @property
    def label(self) -> str:
        """The folder; what is above it on this machine says nothing where the page is read."""
        return "/".join(["…", *self.folder.parts[-2:]])

    @property
    def studies(self) -> tuple[str, ...]:
        """The studies that its records name; more than one where somebody mixed them."""
        return tuple(sorted({record.study for record in self.records.values()}))


def find(given: str, report_dir: Path) -> Path:
    """Return the folder of a report: of a study in ``report_dir``, or the folder ``given``.

    Raises ``SettingsError`` where there are records in neither.
    """
    for folder in (report_dir / given, Path(given).expanduser()):
        if any(folder.glob("records/*.json")):
            return folder.resolve()
    known = sorted(path.parent.name for path in report_dir.glob("*/records"))
    raise SettingsError(
        f"there is no report {given!r} with records: take one of "
        f"{', '.join(known) or 'those to be made'} in {report_dir}, or the folder of a report"
    )


def read(letter: str, folder: Path) -> Side:
    """Read what is there of a run; what is damaged is named in its ``faults``.

    Raises ``RecordError`` where not one record can be read.
    """
    made, faults = entries.readable(folder, "records/*.json", records.read)
    if not made:
        raise RecordError(f"{folder}: not one record can be read: {faults[0]}")
    copies, damaged = entries.readable(folder, "notebooks/*.ipynb", notebooks.read)
    faults += damaged
    verdicts = _verdicts(folder, faults)
    return Side(letter, folder, made, copies, verdicts, tuple(faults))


def in_order(names: Sequence[str]) -> list[str]:
    """Return the names of runs as a study runs them, each notebook before its variants."""
    return sorted(set(names), key=split_run_name)


def _verdicts(folder: Path, faults: list[str]) -> dict[str, dict[str, str]]:
    try:
        rows = entries.rows(folder, entries.VERDICTS)
    except RecordError as error:
        faults.append(str(error))
        return {}
    return {f"{row['claim']} {row['statement']}": row for row in rows}
