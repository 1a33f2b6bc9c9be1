"""A line now and then for whatever takes longer than ten seconds: how far, and how long still."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

log = logging.getLogger("gliomalib")

SECONDS_BETWEEN_LINES = 10.0

T = TypeVar("T")


def steps(items: Sequence[T], title: str) -> Iterator[T]:
    """Yield the items, and log how many are done and the seconds left, every ten seconds at most.

    Nothing is logged where all is done sooner. The time left is that of the mean item so far.
    """
    started = line = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - line >= SECONDS_BETWEEN_LINES:
            line = now
            left = (now - started) / done * (len(items) - done)
            log.info("%s: %d of %d, %.0f s left", title, done, len(items), left)
        yield item
