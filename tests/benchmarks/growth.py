"""How time and memory grow with the number of patients: a callable in a process of its own."""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from gliomalib import provenance

PATIENTS = (10, 40, 160, 640)
"""Sizes of a study for which growth is looked at."""

ORDER = (*PATIENTS, min(PATIENTS), max(PATIENTS), min(PATIENTS), max(PATIENTS))
"""Sizes in the order in which they are measured: the ends decide, so they come three times."""


def turns(patients: int) -> int:
    """Return how many studies of this size are measured at once, each of other patients.

    All sizes work on as many patients: what is over sooner would be the faster the luckier, and
    the same few patients again would be in the caches of the processor.
    """
    return max(PATIENTS) // patients


@dataclass(frozen=True)
class Grown:
    """Seconds of the work on so many patients, and the most memory that its process held."""

    patients: int
    seconds: float
    peak_bytes: int


def measured(
    works: Sequence[Callable[[Any], object]], setup: Callable[[int], Any], patients: int
) -> list[Grown]:
    """Run every ``work(setup(patients))`` in one fresh process; only the works are timed.

    All are of ``turns(patients)`` studies, the seconds of one. A peak is that of the process during
    the work, set-up and imports included. All callables must be known to a fresh process: functions
    of a module, or partials of such.
    """
    # a fork would begin with the memory of this process as its own peak
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(theirs, works, setup, patients))
    process.start()
    theirs.close()
    try:
        answers = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the process ended with status {process.exitcode}") from None
    process.join()
    return [Grown(patients, took / turns(patients), peak) for took, peak in answers]


def time_growth(grown: Sequence[Grown]) -> float:
    """Return seconds a patient of the most patients as a multiple of those of the fewest.

    Of several runs of a size the fastest counts, as in all benchmarks.
    """
    return _times(grown, min, lambda run: run.seconds / run.patients)


def memory_growth(grown: Sequence[Grown]) -> float:
    """Return the peak of memory of the most patients as a multiple of that of the fewest."""
    return _times(grown, max, lambda run: run.peak_bytes)


def _times(
    grown: Sequence[Grown],
    chosen: Callable[[Iterable[float]], float],
    measure: Callable[[Grown], float],
) -> float:
    sizes = [run.patients for run in grown]
    few, many = (
        chosen(measure(run) for run in grown if run.patients == size)
        for size in (min(sizes), max(sizes))
    )
    return many / few


def _run(
    answer: Connection,
    works: Sequence[Callable[[Any], object]],
    setup: Callable[[int], Any],
    patients: int,
) -> None:
    ready, answers = setup(patients), []
    for work in works:
        # the kernel's word for "forget the peak": what an earlier work took is none of this one's
        Path("/proc/self/clear_refs").write_text("5")
        started = time.perf_counter()
        work(ready)
        answers.append((time.perf_counter() - started, provenance.peak_memory()))
    answer.send(answers)
