"""What a study says while it runs, from events that a test writes and at times that it gives."""

import errno
import fcntl
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from gliomalib import records
from gliomalib.runner.jobs import Job, RunError
from gliomalib.runner.watch import EVENTS, Watch, tell, telling
from gliomalib.schema import Record
from tests.toy_project import FIFTH, FIRST, FOURTH, SECOND, THIRD, Project

ALL = [FIRST, SECOND, THIRD, FOURTH, FIFTH]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def line(self) -> str:
        """What stands in the last line, which begins anew at each return."""
        return self.getvalue().rpartition("\r\x1b[K")[2]


def plugged_in(patch: pytest.MonkeyPatch, columns: int) -> Terminal:
    screen = Terminal()
    patch.setattr("sys.stdout", screen)
    patch.setenv("COLUMNS", str(columns))
    return screen


@pytest.fixture
def jobs(toy: Project) -> dict[str, Job]:
    planned = toy.planned()
    for job in planned.values():
        job.attempt.parent.mkdir(parents=True, exist_ok=True)
        job.attempt.with_suffix(".txt").touch()
    return planned


ORIGIN: dict[str, Any] = {"versions": {}, "hardware": {}}


def took(job: Job, seconds: float) -> None:
    """Leave a record of an earlier run."""
    record = Record(job.notebook, "toy", "", (), (), {}, 1, "cpu", seconds, 0, ORIGIN)
    records.write(record, job.report_dir)


def followed(watch: Watch, job: Job, now: float) -> None:
    with (job.work_dir / EVENTS).open("rb") as log:
        watch.follow(log, now)


def test_elsewhere_a_notebook_has_a_line_at_its_start_and_its_end(
    jobs: dict[str, Job], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = jobs[FIRST], jobs[SECOND]
    watch = Watch([first, second, jobs[THIRD]], [SECOND], 1)
    tell(first, "running")
    tell(second, "running")
    tell(second, "done", 65.2)
    followed(watch, first, 3.0)
    assert capsys.readouterr().out.splitlines() == [
        f"{SECOND}: running, 1 of 2",
        f"{SECOND}: done in 0:01:05, time left unknown",
    ], "a run that is up to date, or another's, is not counted"


def test_half_a_line_is_passed_over(
    jobs: dict[str, Job], capsys: pytest.CaptureFixture[str]
) -> None:
    first = jobs[FIRST]
    tell(first, "running")
    with (first.work_dir / EVENTS).open("a") as log:
        log.write('{"time": "2026')  # the disk was full
    tell(first, "failed", 3.0, "lost")
    tell(first, "done", 4.0)
    watch = Watch([first], ALL, 1)
    followed(watch, first, 5.0)
    assert capsys.readouterr().out.splitlines() == [
        f"{FIRST}: running, 1 of 1",
        f"{FIRST}: done in 0:00:04, about 0:00:00 left",
    ]


def test_the_time_left_is_that_of_earlier_runs_one_after_the_other(jobs: dict[str, Job]) -> None:
    seconds = {FIRST: 10.0, SECOND: 20.0, THIRD: 60.0, FOURTH: 40.0, FIFTH: 5.0}
    for name, each in seconds.items():
        took(jobs[name], each)
    watch = Watch([*jobs.values()], ALL, 2, quiet=True)
    assert watch.left(0.0) == "about 0:01:35 left", "01, 02, 03 and 05 wait for one another"
    tell(jobs[FIRST], "running")
    followed(watch, jobs[FIRST], 100.0)
    assert watch.left(104.0) == "about 0:01:31 left", "4 of its 10 seconds are over"
    assert watch.left(200.0) == "about 0:01:25 left", "what takes longer is about to end"
    alone = Watch([*jobs.values()], ALL, 1, quiet=True)
    assert alone.left(0.0) == "about 0:02:15 left", "one after the other"
    jobs[FOURTH].record.write_text("{")
    assert Watch([*jobs.values()], ALL, 2, quiet=True).left(0.0) == "time left unknown"


def test_a_terminal_has_one_line_with_what_was_printed_last(
    jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = plugged_in(monkeypatch, 200)
    watch = Watch([*jobs.values()], ALL, 2)
    tell(jobs[FIRST], "running")
    tell(jobs[FIRST], "done", 1)
    tell(jobs[SECOND], "running")
    jobs[SECOND].attempt.with_suffix(".txt").write_text("epoch 1 of 2\nepoch 2 of 2\n\n")
    followed(watch, jobs[FIRST], 61.0)
    assert terminal.line == (
        f"1 of 5 done, 0:01:01 elapsed, time left unknown · {SECOND} epoch 2 of 2"
    )
    assert "\n" not in terminal.getvalue()
    tell(jobs[SECOND], "failed", 1, "why")
    followed(watch, jobs[FIRST], 62.0)
    assert terminal.line == "1 of 5 done, 1 failed, 0:01:02 elapsed, time left unknown"
    watch.show("")
    assert terminal.line == ""


@pytest.mark.parametrize("columns", [1, 2, 20, 40])
def test_the_line_is_cut_to_a_narrow_terminal(
    columns: int, jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = plugged_in(monkeypatch, columns)
    tell(jobs[FIRST], "running")
    followed(Watch([*jobs.values()], ALL, 2), jobs[FIRST], 1.0)
    assert len(terminal.line) == max(columns - 1, 1)
    assert terminal.line.endswith("…")
    assert "0 of 5 done, 0:00:01 elapsed, time left unknown".startswith(terminal.line[:-1])


@pytest.mark.parametrize("quiet", [True, False])
def test_a_failure_is_told_once_and_always(
    quiet: bool, jobs: dict[str, Job], capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Watch([*jobs.values()], ALL, 2, quiet)
    tell(jobs[FIRST], "running")
    tell(jobs[FIRST], "failed", 1, "why\n  log: here")
    with (jobs[FIRST].work_dir / EVENTS).open("rb") as log:
        watch.follow(log, 1.0)
        watch.follow(log, 2.0)
    assert watch.failed
    said = capsys.readouterr()
    assert said.err == "error: why\n  log: here\n"
    assert said.out == ("" if quiet else f"{FIRST}: running, 1 of 5\n")


def test_half_an_event_waits_for_its_end(
    jobs: dict[str, Job], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tell(jobs[FIRST], "running")
    whole, part = (jobs[FIRST].work_dir / EVENTS).read_bytes(), tmp_path / "part.jsonl"
    part.write_bytes(whole[:20])
    watch = Watch([*jobs.values()], ALL, 2)
    with part.open("rb") as log:
        watch.follow(log, 1.0)
        assert capsys.readouterr().out == ""
        part.write_bytes(whole)
        watch.follow(log, 2.0)
    assert capsys.readouterr().out == f"{FIRST}: running, 1 of 5\n"


def test_an_event_of_a_node_may_be_here_before_what_it_printed(
    jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = plugged_in(monkeypatch, 200)
    tell(jobs[FIRST], "running")
    jobs[FIRST].attempt.with_suffix(".txt").unlink()
    followed(Watch([*jobs.values()], ALL, 2), jobs[FIRST], 1.0)
    assert terminal.line.endswith(f" · {FIRST}")


def test_a_full_disk_hides_no_reason(jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(job: Job, event: str, *_: object) -> None:
        if event == "failed":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("gliomalib.runner.watch.tell", full)
    with pytest.raises(RunError, match="why it failed"), telling(jobs[FIRST]):
        raise RunError("why it failed")


def test_an_event_that_cannot_be_written_names_its_file(
    jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fcntl, "flock", full)
    with pytest.raises(OSError, match="No space left") as caught:
        tell(jobs[FIRST], "running")
    assert caught.value.filename == str(jobs[FIRST].work_dir / EVENTS)


def test_the_log_is_for_machines(jobs: dict[str, Job]) -> None:
    tell(jobs[FIRST], "failed", 1.23456, "two\nlines")
    path = jobs[FIRST].work_dir / EVENTS
    (event,) = map(json.loads, path.read_text().splitlines())
    assert event.pop("time").endswith("+00:00")
    assert event == {"run": FIRST, "event": "failed", "seconds": 1.235, "text": "two\nlines"}
    assert jobs[FIRST].report_dir not in path.parents
