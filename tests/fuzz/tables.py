"""Tables of names in every form that programs write: who is one patient is what the rows say."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import openpyxl
from hypothesis import strategies as st

from gliomalib.data.readers import survey, tables
from tests.fuzz import trees
from tests.fuzz.doors import Door, Known, Outcome
from tests.fuzz.tree_files import Placed

YEARS = {"2018": "Brats18_TCIA_{:03d}_1", "2019": "BraTS19_TMC_{:05d}_1"}
YEARS |= {"2020": "BraTS20_Training_{:03d}", "2021": "BraTS2021_{:05d}"}
COLUMNS = {"2018": "BraTS_2018_subject_ID", "2019": "BraTS_2019_subject_ID"}
COLUMNS |= {"2020": "BraTS_2020_subject_ID", "2021": "BraTS2021"}
Row = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Table:
    """Rows of year → number of a patient's ID, and how a program writes them."""

    rows: tuple[Row, ...]
    grades: tuple[str, ...] = ()
    name: str = "name_mapping.csv"
    delimiter: str = ","
    encoding: str = "utf-8"
    newline: str = "\r\n"
    quoting: int = csv.QUOTE_MINIMAL
    extra: tuple[str, ...] = ()
    order: int = 0
    empty: str = "NA"
    more: bytes = b""
    cut: int | None = None

    @property
    def damaged(self) -> bool:
        """Whether it is no longer the table that was written."""
        return bool(self.more) or self.cut is not None


def cells(table: Table) -> list[list[str]]:
    """Return the lines of a table, the names of its columns first."""
    years = sorted({year for row in table.rows for year, _ in row})
    names = [*table.extra, *(COLUMNS[year] for year in years), *(["Grade"] * bool(table.grades))]
    lines = [names]
    for n, row in enumerate(table.rows):
        ids = {year: YEARS[year].format(number) for year, number in row}
        line = ['ü, "x"; y' for _ in table.extra] + [ids.get(y, table.empty) for y in years]
        lines.append(line + ([table.grades[n % len(table.grades)]] if table.grades else []))
    turn = table.order % len(names)
    return [line[turn:] + line[:turn] for line in lines]


def write(table: Table, folder: Path) -> Path:
    """Write a table as a program would."""
    path = folder / table.name
    if path.suffix.lower() == ".xlsx":
        book = openpyxl.Workbook()
        for line in cells(table):
            book.active.append(line)
        book.save(path)
        made = path.read_bytes()
    else:
        text = io.StringIO(newline="")
        writer = csv.writer(
            text, delimiter=table.delimiter, lineterminator=table.newline, quoting=table.quoting
        )
        writer.writerows(cells(table))
        made = text.getvalue().encode(table.encoding, errors="replace")
    path.write_bytes(made[: table.cut] + table.more)
    return path


def joined(rows: Iterable[Row]) -> list[set[tuple[str, int]]]:
    """Return the IDs that rows with one in common join."""
    groups: list[set[tuple[str, int]]] = []
    for row in rows:
        # every group before that shares an ID with this row becomes one with it
        near = [group for group in groups if group & set(row)]
        apart = [group for group in groups if not group & set(row)]
        groups = [*apart, set(row).union(*near)]
    return groups


def contradicts(rows: Sequence[Row]) -> bool:
    """Tell whether rows give one patient two IDs of one year."""
    return any(len({year for year, _ in g}) < len(g) for g in joined(rows))


def attempt(made: tuple[Table, ...], folder: Path) -> Outcome:
    """Write a case of each year and number with the tables; compare who is who."""
    root = folder / "data"
    (folder / "elsewhere").mkdir()
    root.mkdir()
    placed = tuple(Placed(f"brats{year}", n, mask=False) for year in YEARS for n in (1, 2))
    trees.write(placed, root, folder / "elsewhere")
    paths = [write(table, root) for table in made]
    surveyed = survey.look(root)
    assert len(surveyed.cases) == len(placed)
    trees.check_nothing_is_left_out(root, _without(surveyed, paths))
    said = " ".join(fault.message for fault in surveyed.faults)
    assert all("\n" not in fault.message for fault in surveyed.faults)
    unread = {fault.path for fault in surveyed.faults} | {
        place for entry in surveyed.unused for place in (entry.names or (entry.path,))
    }
    sound = [t for t, path in zip(made, paths, strict=True) if path not in unread]
    if any(table.damaged for table in sound):
        return Outcome(False, said)
    rows = [row for table in sound for row in table.rows]
    if len({table.name for table in made}) == len(made) and not any(t.damaged for t in made):
        whole = [table for table in made if any(table.rows)]
        assert set(map(id, whole)) <= set(map(id, sound)), f"not read: {unread}: {said}"
    if contradicts(rows):
        assert tables.KIND in {fault.kind for fault in surveyed.faults}, "no contradiction"
        rows = []
    patients = {case.case_id: case.patient_id for case in surveyed.cases}
    groups = [*joined(rows), *({(y, n)} for y in YEARS for n in (1, 2))]
    for first, patient in patients.items():
        for other, same in patients.items():
            wanted = any({first, other} <= {YEARS[y].format(n) for y, n in g} for g in groups)
            assert (patient == same) == wanted, f"{first} and {other} are {patient} and {same}"
    return Outcome(bool(surveyed.faults), said)


def _without(surveyed: survey.Survey, paths: Sequence[Path]) -> survey.Survey:
    """Return the survey as if the tables that were read were faults, which names them too."""
    listed = {place for entry in surveyed.unused for place in (entry.names or (entry.path,))}
    read = [trees.explained(path) for path in paths if path not in listed]
    return survey.Survey(surveyed.cases, (*surveyed.faults, *read), surveyed.unused)


ROWS = st.lists(
    st.dictionaries(st.sampled_from(sorted(YEARS)), st.integers(1, 3), min_size=1, max_size=3).map(
        lambda row: tuple(sorted(row.items()))
    ),
    min_size=1,
    max_size=4,
).map(tuple)
DAMAGE = st.one_of(
    *[st.just({})] * 5,
    st.fixed_dictionaries({"more": st.binary(min_size=1, max_size=20)}),
    st.fixed_dictionaries({"cut": st.integers(0, 120)}),
)


@st.composite
def several(draw: st.DrawFn) -> tuple[Table, ...]:
    """Return one table or two, of different names."""
    names = ["name_mapping.csv", "name_mapping (1).csv", "names.tsv", "IDs.CSV", "a.xlsx"]
    some = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return tuple(
        Table(
            rows=draw(ROWS),
            grades=draw(st.sampled_from([(), ("HGG",), ("LGG", "NA"), ("",)])),
            name=name,
            delimiter=draw(st.sampled_from(",;\t")),
            encoding=draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])),
            newline=draw(st.sampled_from(["\n", "\r\n", "\r"])),
            quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
            extra=draw(st.sampled_from([(), ("Note",), ("Site", "Größe, mm")])),
            order=draw(st.integers(0, 3)),
            empty=draw(st.sampled_from(["NA", "", "N/A", " NA "])),
            **draw(DAMAGE),
        )
        for name in some
    )


ONE: tuple[Row, ...] = ((("2018", 1), ("2020", 2)),)
DOOR = Door(
    "tables",
    15,
    several(),
    attempt,
    (
        Known("a second download", (Table(ONE, name="name_mapping (1).csv"),)),
        Known("another name", (Table(ONE, name="IDs.csv", delimiter=";", encoding="cp1252"),)),
        Known("a sheet", (Table(ONE, name="names.xlsx"),)),
        Known("Excel's text", (Table(ONE, delimiter="\t", encoding="utf-16", name="x.tsv"),)),
        Known(
            "two tables that contradict one another",
            (Table(ONE), Table(((("2018", 1), ("2020", 1)),), name="name_mapping (1).csv")),
            ("keep only the organisers' newest table",),
        ),
        Known("zero bytes", (Table(ONE, more=b"\0" * 9),), ("zero bytes",)),
        Known("no row", (Table(ONE, cut=0),), ("no column",)),
    ),
)
