"""A line now and then for whatever takes longer than ten seconds: how far, and how long still."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context, resource_tracker
from typing import Any, TypeVar, cast

log = logging.getLogger("gliomalib")

SECONDS_BETWEEN_LINES = 10.0

T = TypeVar("T")
R = TypeVar("R")


def steps(items: Sequence[T], title: str) -> Iterator[T]:
    """Yield the items to be worked on one by one, and log how many are done and the seconds left.

    A line comes every ten seconds at most, and none where all is done sooner. The time left is
    that of the mean item so far.
    """
    return told(items, len(items), title, 0)


def mapped(work: Callable[[T], R], items: Sequence[T], workers: int, title: str) -> Iterator[R]:
    """Yield what ``work`` makes of each item, in order, in so many processes, with those lines."""
    if workers <= 1 or len(items) <= 1:
        yield from map(work, steps(items, title))
        return
    # fork would copy locks that other threads of this process may hold
    try:
        with ProcessPoolExecutor(min(workers, len(items)), mp_context=get_context("spawn")) as pool:
            yield from told(pool.map(work, items), len(items), title, 1)
    finally:
        # Python's helper of these processes would live on; as it ignores every request to end, a
        # kernel waited for it ten seconds and was then killed
        cast(Any, resource_tracker)._resource_tracker._stop()


def in_threads(work: Callable[[T], R], items: Sequence[T], workers: int, title: str) -> list[R]:
    """Return what ``work`` makes of each item, in order, in so many threads, with those lines.

    It is for what leaves Python free meanwhile: reading, inflating, hashing, loops of NumPy.
    """
    with ThreadPoolExecutor(max(1, min(workers, len(items)))) as pool:
        return list(told(pool.map(work, items), len(items), title, 1))


def told(items: Iterable[T], total: int, title: str, done: int) -> Iterator[T]:
    """Yield items, ``total`` in all, with the lines of ``steps``.

    When the first of them comes, ``done`` are done: 1 where workers hand back what they made.
    """
    started = last = time.monotonic()
    for n_done, item in enumerate(items, done):
        now = time.monotonic()
        if n_done < total and now - last >= SECONDS_BETWEEN_LINES:
            last, left = now, (now - started) / n_done * (total - n_done)
            log.info("%s: %d of %d, %.0f s left", title, n_done, total, left)
        yield item
