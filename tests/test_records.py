"""A notebook begins with checked parameters and ends with a record that reads back the same."""

import gzip
import json
import logging
import math
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomalib import records
from gliomalib.provenance import PROJECT_DIR, file_digest
from gliomalib.records import NotebookResult, Run
from gliomalib.schema import Exclusion, Record, RecordError, SettingsError, Value

DICE = Value("wt_dice", 0.8, ci95=(0.7, 0.9), n_patients=8, n_missed=1, rule="mean over patients")


@pytest.fixture
def namespace(tmp_path: Path) -> dict[str, Any]:
    """Return what ``globals()`` of a notebook holds after its parameters cell."""
    return {
        "study": "smoke",
        "seed": None,
        "device": None,
        "data_dir": str(tmp_path / "data"),
        "report_dir": str(tmp_path / "reports"),
        "alpha": 0.25,
        "In": ["", "study = 'smoke'"],
        "other": object(),
    }


@pytest.fixture
def run(namespace: dict[str, Any]) -> Run:
    return records.begin("05_fusion", namespace)


def test_begin_takes_parameters_and_folders(run: Run, tmp_path: Path) -> None:
    assert run.name == "05_fusion"
    assert run.study.fusion.alpha == 0.25
    assert run.work_dir == tmp_path / "data" / "smoke"
    assert run.report_dir == tmp_path / "reports" / "smoke"
    assert run.source_dir is None
    assert "other" not in run.parameters


def test_a_notebook_that_needs_images_ends_cleanly_where_there_are_none(
    namespace: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as stopped:
        records.begin("05_fusion", namespace | {"study": "smoke-masks"})
    assert stopped.value.code == 0, "papermill takes no other end for a clean one"
    record = records.read(records.record_path(tmp_path / "reports" / "smoke-masks", "05_fusion"))
    assert record.conclusion == records.NO_IMAGES
    assert [(value.name, value.value) for value in record.values] == [("images", 0)]
    run = records.begin("07_baselines", namespace | {"study": "smoke-masks"})
    with pytest.raises(SystemExit):
        records.end_without_images(run, [DICE])
    part = records.read(records.record_path(run.report_dir, "07_baselines"))
    assert [value.name for value in part.values] == ["images", "wt_dice"]


def test_a_study_with_images_goes_on(run: Run) -> None:
    records.end_without_images(run, [DICE])
    assert not records.record_path(run.report_dir, run.name).exists()


def test_folders_are_those_of_the_project_unless_told(namespace: dict[str, Any]) -> None:
    namespace |= {"data_dir": None, "report_dir": None, "study": "smoke"}
    assert records.begin("05_fusion", namespace).work_dir == PROJECT_DIR / "data" / "smoke"


def test_relative_folders_are_seen_from_the_notebook(
    namespace: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace |= {"source_dir": "patients", "data_dir": "../x"}
    run = records.begin("01_data_exploration", namespace)
    assert run.source_dir == tmp_path / "patients"
    assert run.work_dir == tmp_path.parent / "x" / "smoke"


def test_a_misspelt_injected_parameter_stops_with_the_right_ones(namespace: dict[str, Any]) -> None:
    namespace["In"].append("# Parameters\nalfa = 0.5\nseed = 3\n")
    with pytest.raises(
        SettingsError, match=r"05_fusion has no parameter alfa: .*, alpha, real_volumes$"
    ):
        records.begin("05_fusion", namespace)


def test_other_cells_may_have_any_names(namespace: dict[str, Any]) -> None:
    namespace["In"] += [
        "alfa = 0.5",
        "# Parameters of the figure\nalfa = 1",
        "# Parameters\nalpha = 1",
    ]
    assert records.begin("05_fusion", namespace).study.fusion.alpha == 0.25


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("alpha", "much", "alpha"),
        ("alpha", 2, "alpha"),
        ("seed", -1, "seed"),
        ("data_dir", 3, "data_dir: text was expected, found 3"),
    ],
)
def test_a_wrong_value_stops(
    namespace: dict[str, Any], name: str, value: object, said: str
) -> None:
    namespace[name] = value
    with pytest.raises(SettingsError, match=said):
        records.begin("05_fusion", namespace)


def test_begin_removes_the_record_of_an_earlier_run(run: Run, namespace: dict[str, Any]) -> None:
    records.finish(run, NotebookResult(values=[DICE]))
    path = records.record_path(run.report_dir, run.name)
    assert path.is_file()
    records.begin("05_fusion", namespace)
    assert not path.exists(), "a run that fails must not leave an old result standing"


def test_begin_removes_the_tables_of_an_earlier_run_alone(
    run: Run, namespace: dict[str, Any]
) -> None:
    table = pd.DataFrame({"x": [1.0]})
    many = pd.DataFrame({"x": np.arange(records.PACKED_FROM)})
    gone = [records.write_table(run, "scores", table), records.write_table(run, "large", many)]
    others = [
        records.write_table(replace(run, variant="seed2"), "scores", table),
        records.write_table(replace(run, notebook="05_fusion_again"), "scores", table),
    ]
    assert records.tables_of(run.report_dir, run.name) == sorted(gone)
    records.begin("05_fusion", namespace)
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in others)


def test_finish_writes_what_reads_back(run: Run) -> None:
    outcome = NotebookResult(
        values=[DICE], claims=["fusion"], caveats=["small"], conclusion="It fuses."
    )
    record = records.finish(run, outcome)
    assert records.read(records.record_path(run.report_dir, run.name)) == record
    assert record.values == (DICE,)
    assert record.parameters["fusion"]["alpha"] == 0.25
    assert (record.seed, record.device) == (run.study.seed, "cpu")
    assert record.peak_memory_bytes > 10_000_000
    assert record.wall_s >= 0


def test_a_clock_that_is_set_back_makes_no_run_shorter(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    record = records.finish(run, NotebookResult(values=[DICE]))
    assert record.wall_s >= 0 and record.provenance["date"] == run.date > "2026"


def test_provenance_names_lock_code_and_data(run: Run) -> None:
    first = records.finish(run, NotebookResult(values=[DICE])).provenance
    assert first["lock_sha256"] == file_digest(PROJECT_DIR / "requirements.lock")
    assert first["data_digest"] == "no data"
    assert first["tolerance"].startswith("none with the same seed, threads and processor")
    assert {"python", "torch", "scipy", "scikit-learn"} <= set(first["versions"])
    assert date.fromisoformat(first["date"]) <= datetime.now(UTC).date()
    run.work_dir.mkdir(parents=True)
    (run.work_dir / "cases.csv").write_text("case_id\na\n")
    second = records.finish(run, NotebookResult(values=[DICE])).provenance
    assert len(second["data_digest"]) == 16
    assert first["code_digest"] == second["code_digest"]


def test_a_variant_has_its_own_record(namespace: dict[str, Any]) -> None:
    del namespace["alpha"]
    main = records.begin("03_train_unet2d", namespace)
    records.finish(main, NotebookResult(values=[DICE]))
    other = records.begin("03_train_unet2d", {**namespace, "variant": "alt", "epochs": 1})
    records.finish(other, NotebookResult(values=[DICE]))
    found = records.read_all(main.report_dir)
    assert list(found) == ["03_train_unet2d", "03_train_unet2d.alt"]
    assert found["03_train_unet2d.alt"].variant == "alt"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "a record without a value says nothing"),
        ([replace(DICE, rule="")], "the value 'wt_dice' has no rule"),
        ([DICE, DICE], "wt_dice is not unique"),
    ],
)
def test_a_record_that_says_too_little_is_refused(run: Run, values: list[Value], said: str) -> None:
    with pytest.raises(RecordError, match=said):
        records.finish(run, NotebookResult(values=values))
    assert records.read_all(run.report_dir) == {}


def record_of(*values: Value) -> Record:
    rest: dict[str, Any] = {"claims": (), "parameters": {}, "seed": 1}
    rest |= {"provenance": {"versions": {}, "hardware": {}}}
    rest |= {"device": "cpu", "wall_s": 1.0, "peak_memory_bytes": 1}
    return Record(notebook="n", study="s", variant="", values=values, **rest)


def test_a_record_that_does_not_say_on_what_it_ran_is_refused(tmp_path: Path) -> None:
    old = replace(record_of(), provenance={"versions": {}})
    with pytest.raises(RecordError, match=r"not a record \('hardware'\); delete it and run again"):
        records.read(records.write(old, tmp_path))


numbers = st.floats(allow_nan=True, allow_infinity=False)


@given(st.lists(st.tuples(numbers, st.none() | st.tuples(numbers, numbers)), max_size=4))
def test_numbers_survive_the_file(
    tmp_path_factory: pytest.TempPathFactory, found: list[tuple[float, Any]]
) -> None:
    values = [Value(f"v{i}", number, ci95=ends) for i, (number, ends) in enumerate(found)]
    path = records.write(record_of(*values), tmp_path_factory.mktemp("records"))
    # repr, because NaN is not equal to itself
    assert repr(records.read(path).values) == repr(tuple(values))


@pytest.mark.parametrize(
    ("number", "stored"),
    [(math.nan, None), (math.inf, None), (np.float32("nan"), None), (np.float64(0.5), 0.5)],
)
def test_a_number_that_is_none_is_stored_as_null(
    tmp_path: Path, number: float, stored: float | None
) -> None:
    path = records.write(record_of(Value("v", number, ci95=(number, 1.0))), tmp_path)
    (value,) = json.loads(path.read_text())["values"]
    assert value["value"] == stored
    assert value["ci95"] == [stored, 1.0]


def test_numpy_counts_are_plain_numbers(tmp_path: Path) -> None:
    count: Any = np.int64(3)
    path = records.write(record_of(Value("v", 1.0, n_patients=count)), tmp_path)
    assert records.read(path).values[0].n_patients == 3


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", '{"values": [], "claims": [], "caveats": [], "more": 1}', '{"values": 3}'],
)
def test_a_file_that_is_no_record_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=r"x.json: not a record .* delete it and run again"):
        records.read(path)


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"x.json: this record is missing; run its notebook"):
        records.read(tmp_path / "x.json")


def test_tables_carry_the_name_of_the_run(run: Run) -> None:
    path = records.write_table(run, "patients", pd.DataFrame({"a": [1 / 3], "b": ["x"]}))
    assert path == run.report_dir / "tables" / "05_fusion.patients.csv"
    assert path.read_text() == "a,b\n0.333333,x\n"


def test_a_large_table_is_packed_and_read_back(run: Run) -> None:
    rows = records.PACKED_FROM // 4
    large = pd.DataFrame({"patient_id": ["001"] * rows, "dice": [0.5] * rows})
    path = records.write_table(run, "scores", large)
    assert path.name == "05_fusion.scores.csv.gz"
    assert path.stat().st_size < records.PACKED_FROM / 10
    pd.testing.assert_frame_equal(records.read_table(run, "05_fusion", "scores"), large)
    assert records.table_text(path) == large.to_csv(index=False)
    first = path.read_bytes()
    assert records.write_table(run, "scores", large).read_bytes() == first


def test_of_a_plain_and_a_packed_table_only_the_last_is_there(run: Run) -> None:
    small = pd.DataFrame({"patient_id": ["001"]})
    large = pd.DataFrame({"patient_id": ["001"] * records.PACKED_FROM})
    for table in (small, large, small):
        path = records.write_table(run, "scores", table)
        assert [path] == sorted(path.parent.iterdir())
        assert path == records.table_path(run.report_dir, "05_fusion.scores")
        assert len(records.read_table(run, "05_fusion", "scores")) == len(table)


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"a,b", mtime=0)[:-6]])
def test_a_damaged_table_is_no_text(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"\w"):
        records.table_text(tmp_path / "x.csv.gz")


def test_versions_fit_a_table(run: Run) -> None:
    table = records.versions_of(records.finish(run, NotebookResult(values=[DICE])))
    assert list(table.columns) == ["of", "is"]
    assert {"commit", "lock_sha256", "torch", "seed", "device", "wall_s"} <= set(table["of"])
    assert "ResNet50 sees pictures of 32 × 32 pixels" in table.set_index("of")["is"]["limits"]


def test_a_table_of_another_run_is_read_back(run: Run) -> None:
    table = pd.DataFrame({"patient_id": ["001", "2"], "dice": [0.5, 1.0]})
    records.write_table(run, "scores", table)
    pd.testing.assert_frame_equal(records.read_table(run, "05_fusion", "scores"), table)
    with pytest.raises(RecordError, match=r"04_train_unet3d.x.scores.csv.*run 04_train_unet3d.x"):
        records.read_table(run, "04_train_unet3d.x", "scores")


def test_the_data_are_known_wherever_they_lie(run: Run) -> None:
    cases = pd.DataFrame(
        {"case_id": ["A"], "part": ["internal"], "t1": ["/one/t1.nii"], "seg": ["/one/seg.nii"],
         "digests": ["abc"]}
    )  # fmt: skip
    run.work_dir.mkdir(parents=True, exist_ok=True)
    path = run.work_dir / "cases.csv"

    def digest(table: pd.DataFrame) -> str:
        table.to_csv(path, index=False)
        found: str = records.finish(run, NotebookResult(values=[DICE])).provenance["data_digest"]
        return found

    first = digest(cases)
    assert digest(cases.assign(t1="/two/t1.nii", seg="/two/seg.nii")) == first
    assert digest(cases.assign(digests="abd")) != first
    assert digest(cases.assign(part="external")) != first


def test_a_table_to_read_names_a_missing_interval() -> None:
    table = records.value_table([Value("x", 0.5, None, 1, rule="r")])
    assert table.loc[0, "95 % interval"] == "none"


def test_what_is_in_force_says_whence_it_came(namespace: dict[str, Any]) -> None:
    run = records.begin("05_fusion", namespace)
    table = records.in_force(run).set_index("parameter")
    assert table.loc["alpha"].tolist() == ["0.25", "given"]
    assert table.loc["seed"].tolist() == [str(run.study.seed), "smoke.yml"]
    assert table.loc["real_volumes"].tolist() == ["False", "default"], "no line of the file"
    assert table.loc["data_dir", "from"] == "given"


def test_exclusions_are_kept_as_fields(namespace: dict[str, Any]) -> None:
    run = records.begin("01_data_exploration", {**namespace, "alpha": None})
    left_out = Exclusion("BraTS20_Training_007", "brats2020", "no mask", "it has no mask")
    made = records.finish(run, NotebookResult(values=[DICE], exclusions=[left_out]))
    assert records.read(records.record_path(run.report_dir, run.name)).exclusions == (left_out,)
    assert made.exclusions == (left_out,)


def test_only_a_notebook_changes_what_the_process_shows(namespace: dict[str, Any]) -> None:
    log, rows = logging.getLogger("gliomalib"), pd.get_option("display.max_rows")
    before, level, up = list(log.handlers), log.level, log.propagate
    records.begin("05_fusion", namespace)
    assert list(log.handlers) == before and pd.get_option("display.max_rows") == rows
    try:
        for _ in range(2):
            records.begin("05_fusion", {**namespace, "get_ipython": object()})
        assert len(log.handlers) == 1, "every line would be said twice"
        assert pd.get_option("display.max_rows") is None
    finally:
        log.handlers[:], log.propagate = before, up
        log.setLevel(level)
        pd.set_option("display.max_rows", rows)
        pd.reset_option("display.max_colwidth")
