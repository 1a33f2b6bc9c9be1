"""Begin a notebook with checked parameters and end it with a record on disk."""

import ast
import gzip
import json
import logging
import math
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from gliomalib import digits, inputs, provenance, settings
from gliomalib.parameters import NEED_IMAGES, check_names, from_parameters, parameters_of
from gliomalib.schema import SEQUENCES, Exclusion, Named, Record, RecordError, Value

NO_IMAGES = "No images in this study: what needs them was not asked."
"""What a notebook says that ends early because the cases are nothing but masks."""

PACKED_FROM = 100_000
"""Bytes from which on a table is packed."""

NO_RECORD = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
_RECORD, _TEXTS = TypeAdapter(Record), TypeAdapter(dict[str, Any])

LARGEST_TABLE = 500_000_000  # bytes, unpacked: above it a table is taken for a damaged one

MAKE_NO_NUMBERS = ("commands", "report", "runner")
"""Rooms whose code is not in the digest of a record: they start notebooks and show results."""


@dataclass(frozen=True)
class Run(Named):
    """One execution of one notebook: its settings and the folders it reads and writes."""

    notebook: str
    variant: str
    study: settings.Study
    parameters: Mapping[str, Any]
    work_dir: Path
    report_dir: Path
    source_dir: Path | None
    date: str
    started: float  # by a clock that nobody sets


@dataclass(frozen=True, kw_only=True)
class NotebookResult:
    """What a notebook found: values, claims it speaks to, caveats and one sentence.

    The caveats of the study are put before ``caveats`` in the record; ``exclusions`` are the
    examinations that were left out, by the notebook that decides on them.
    """

    values: Sequence[Value]
    claims: Sequence[str] = ()
    caveats: Sequence[str] = ()
    conclusion: str = ""
    device: str = "cpu"
    exclusions: Sequence[Exclusion] = ()


def begin(notebook: str, namespace: Mapping[str, Any]) -> Run:
    """Check the parameters of a notebook (its ``globals()``) and return its run.

    Raises ``SettingsError`` for a parameter that the notebook does not take, also for one that
    papermill injected under a misspelt name, and for a value of the wrong type. What an earlier
    run left, its record and its tables, is deleted: this one need not write the same. A notebook
    that needs images ends here in a study that has none, see `end_without_images`.
    """
    check_names(notebook, _injected(namespace.get("In", ())))
    parameters = {name: namespace[name] for name in parameters_of(notebook) if name in namespace}
    study = from_parameters(notebook, parameters)
    source = parameters.get("source_dir")
    run = Run(
        notebook=notebook,
        variant=parameters.get("variant") or "",
        study=study,
        parameters=parameters,
        work_dir=_folder(parameters.get("data_dir"), "data") / study.study,
        report_dir=_folder(parameters.get("report_dir"), "reports") / study.study,
        source_dir=inputs.absolute(source) if source else None,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        started=time.monotonic(),
    )
    for path in (record_path(run.report_dir, run.name), *tables_of(run.report_dir, run.name)):
        path.unlink(missing_ok=True)
    if "get_ipython" in namespace:
        _show_in_cells()
    if notebook in NEED_IMAGES:
        end_without_images(run)
    return run


def end_without_images(run: Run, values: Sequence[Value] = ()) -> None:
    """End a notebook of a study of masks with what was found so far; others go on.

    Its record says that there are no images. Raises ``SystemExit`` with 0, which Jupyter and
    papermill take for a clean end: no later cell runs.
    """
    if run.study.data.extent != "masks":
        return
    images = Value("images", 0.0, rule="sequences of a patient, which this notebook needs")
    finish(run, NotebookResult(values=[images, *values], conclusion=NO_IMAGES))
    logging.getLogger("gliomalib").info(NO_IMAGES)
    sys.exit(0)


def in_force(run: Run) -> pd.DataFrame:
    """Return the settings of a run that its notebook can override: parameter, value, from.

    ``from`` is "given" where the run was started with a value of its own, else the study's file,
    or "default" where that file does not name the setting.
    """
    rows = []
    for name, path in parameters_of(run.notebook).items():
        override = run.parameters.get(name)
        if path is None and override is None:
            continue
        value = override if path is None else attrgetter(path)(run.study)
        source = "given"
        if path and (override is None or name == "study"):
            section, _, key = path.rpartition(".")
            model = attrgetter(section)(run.study) if section else run.study
            source = f"{run.study.study}.yml" if key in model.model_fields_set else "default"
        rows.append({"parameter": name, "value": str(value), "from": source})
    return pd.DataFrame(rows)


def finish(run: Run, result: NotebookResult) -> Record:
    """Write the record of a run, whole or not at all, and return it.

    Raises ``RecordError`` when the run found no value or a value without a rule.
    """
    _check(run, result)
    record = Record(
        notebook=run.notebook,
        study=run.study.study,
        variant=run.variant,
        claims=tuple(result.claims),
        values=tuple(result.values),
        parameters=run.study.model_dump(mode="json"),
        seed=run.study.seed,
        device=result.device,
        wall_s=round(time.monotonic() - run.started, 1),
        peak_memory_bytes=provenance.peak_memory(),
        provenance=_provenance(run),
        caveats=(*run.study.caveats, *result.caveats),
        conclusion=result.conclusion,
        exclusions=tuple(result.exclusions),
    )
    write(record, run.report_dir)
    return record


def value_table(values: Sequence[Value]) -> pd.DataFrame:
    """Return values as a table to read: name, value, interval, counts, rule with its note."""
    rows = []
    for value in values:
        ends = value.ci95
        row = {"value of": value.name, "is": digits.number(value.value, ends)}
        row["95 % interval"] = "none" if ends is None else digits.interval(value.value, ends)
        counts = {"patients": value.n_patients, "empty": value.n_empty, "missed": value.n_missed}
        rule = f"{value.note}; {value.rule}" if value.note else value.rule
        rows.append({**row, **counts, "trainings": value.n_seeds or "", "rule": rule})
    return pd.DataFrame(rows)


def record_path(report_dir: str | Path, name: str) -> Path:
    """Return where the record called ``name`` lies."""
    return Path(report_dir) / "records" / f"{name}.json"


def write(record: Record, report_dir: str | Path) -> Path:
    """Write a record as JSON; numbers that are not finite become null."""
    plain = to_jsonable_python(record, inf_nan_mode="null", fallback=lambda number: number.item())
    text = json.dumps(plain, indent=1, sort_keys=True, allow_nan=False)
    return provenance.write_atomic(record_path(report_dir, record.name), text + "\n")


def read(path: str | Path) -> Record:
    """Read one record; raises ``RecordError`` where the file is missing or is not a record."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        # JSON can hold half a character, which no page can
        json.dumps(content, ensure_ascii=False).encode()
        content["values"] = tuple(_value(entry) for entry in content["values"])
        content["exclusions"] = tuple(Exclusion(**row) for row in content.get("exclusions", ()))
        # every page tells these two; a record without them is of an earlier state of the project
        for part in itemgetter("versions", "hardware")(content["provenance"]):
            _TEXTS.validate_python(part)
        # the first refuses other keys, the second other types
        return _RECORD.validate_python(asdict(Record(**content)))
    except FileNotFoundError:
        raise RecordError(f"{path}: this record is missing; run its notebook first") from None
    except (*NO_RECORD, RecursionError) as error:
        fault = " ".join(str(error).split())[:300]
        raise RecordError(f"{path}: not a record ({fault}); delete it and run again") from None


def read_all(report_dir: str | Path) -> dict[str, Record]:
    """Return every record of a study by name, in the order of the notebooks."""
    paths = sorted((Path(report_dir) / "records").glob("*.json"), key=lambda path: path.stem)
    return {path.stem: read(path) for path in paths}


def write_table(run: Run, name: str, table: pd.DataFrame) -> Path:
    """Write a table of a run as CSV under ``tables/`` of the report, whole or not at all.

    One of ``PACKED_FROM`` bytes or more is packed by gzip, so that a report stays small.
    """
    plain, packed = _table_paths(run.report_dir, f"{run.name}.{name}")
    content = table.to_csv(index=False, float_format="%.6g").encode()
    is_large = len(content) >= PACKED_FROM
    # the other one is of an earlier run; neither of them is better than both
    (plain if is_large else packed).unlink(missing_ok=True)
    if is_large:
        return provenance.write_atomic(packed, gzip.compress(content, mtime=0))
    return provenance.write_atomic(plain, content)


def table_path(report_dir: Path, table: str) -> Path:
    """Return where a table, ``05_fusion.scores``, lies, packed or plain, or would lie."""
    plain, packed = _table_paths(report_dir, table)
    return packed if packed.is_file() else plain


def tables_of(report_dir: Path, run: str) -> list[Path]:
    """Return the tables that a run left, packed or plain, in order of name."""
    found = sorted((report_dir / "tables").glob(f"{run}.*.csv*"))
    # those of a variant, NN_name.variant.table.csv, are not those of the notebook itself
    return [path for path in found if path.name.split(".csv")[0].rpartition(".")[0] == run]


def table_text(path: Path) -> str:
    """Return the text of a table, packed or plain. Raises ``ValueError`` for one that is none."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            content = stream.read(LARGEST_TABLE + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(str(error)) from None
    # a few bytes can be packed that fill any memory
    if len(content) > LARGEST_TABLE:
        raise ValueError(f"more than {LARGEST_TABLE} bytes")
    return content.decode()


def read_table(run: Run, notebook: str, name: str) -> pd.DataFrame:
    """Return a table that another run of this study wrote; ``notebook`` with ``.variant`` if any.

    Raises ``RecordError`` where it is missing.
    """
    path = table_path(run.report_dir, f"{notebook}.{name}")
    if not path.is_file():
        raise RecordError(f"{path}: this table is missing; run {notebook} first")
    return pd.read_csv(path, dtype={"patient_id": str})


def versions_of(record: Record) -> pd.DataFrame:
    """Return what a record says of its provenance as a table for the end of a notebook."""
    flat = {**record.provenance, **record.provenance["versions"], **record.provenance["hardware"]}
    del flat["versions"], flat["hardware"]
    flat |= {"seed": record.seed, "device": record.device, "wall_s": record.wall_s}
    flat["limits"] = " ".join(record.caveats)
    return pd.DataFrame({"of": list(flat), "is": [str(value) for value in flat.values()]})


def _table_paths(report_dir: Path, table: str) -> tuple[Path, Path]:
    plain = report_dir / "tables" / f"{table}.csv"
    return plain, plain.with_name(f"{plain.name}.gz")


def _show_in_cells() -> None:
    """Let a notebook show progress and whole sentences in tables; a process of its own is set so.

    Only a kernel gets here: a program that imports the library keeps its own logging and options.
    """
    pd.set_option("display.max_colwidth", None)
    pd.set_option("display.max_rows", None)
    log = logging.getLogger("gliomalib")
    # in place of the former one: a cell that runs again must not say everything twice
    log.handlers[:] = [logging.StreamHandler(sys.stdout)]
    log.setLevel(logging.INFO)
    log.propagate = False


def _injected(cells: Sequence[str]) -> list[str]:
    given = (ast.parse(source) for source in cells if source.startswith("# Parameters\n"))
    names = (node for cell in given for node in ast.walk(cell) if isinstance(node, ast.Name))
    return [node.id for node in names if isinstance(node.ctx, ast.Store)]


def _folder(folder: str | None, default: str) -> Path:
    return inputs.absolute(folder) if folder else provenance.PROJECT_DIR / default


def _check(run: Run, result: NotebookResult) -> None:
    if not result.values:
        raise RecordError(f"{run.name}: a record without a value says nothing; add what was found")
    names = [value.name for value in result.values]
    lacking = [value.name for value in result.values if not value.rule]
    if lacking:
        raise RecordError(f"{run.name}: the value {lacking[0]!r} has no rule; say how it is made")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RecordError(f"{run.name}: {', '.join(twice)} is not unique; name each value once")


def _provenance(run: Run) -> dict[str, Any]:
    lock = provenance.PROJECT_DIR / "requirements.lock"
    table = run.work_dir / "cases.csv"
    return {
        "date": run.date,
        "commit": provenance.commit(),
        "lock_sha256": provenance.file_digest(lock) if lock.is_file() else "no lock",
        "code_digest": provenance.package_digest(without=MAKE_NO_NUMBERS),
        "data_digest": _data_digest(table) if table.is_file() else "no data",
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
        "tolerance": provenance.TOLERANCE,
    }


def _data_digest(table: Path) -> str:
    """Return the digest of the table of cases, of their files' digests, not of where they lie."""
    cases = pd.read_csv(table, dtype=str).drop(columns=[*SEQUENCES, "seg"], errors="ignore")
    return provenance.digest_of(cases.fillna("").to_dict("records"))


def _value(entry: Mapping[str, Any]) -> Value:
    interval = entry["ci95"]
    ends = tuple(map(_number, interval)) if interval else None
    spreads = {name: _number(entry.get(name)) for name in ("sd_patients", "sd_trainings")}
    return Value(**{**entry, **spreads, "value": _number(entry["value"]), "ci95": ends})


def _number(stored: float | None) -> float:
    if stored is not None and not math.isfinite(stored):
        raise ValueError(f"{stored} is no number of a record")
    return math.nan if stored is None else stored
