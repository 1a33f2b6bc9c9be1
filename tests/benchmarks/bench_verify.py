"""How fast `verify` is, beside decompressing the same files and doing nothing with them.

Run by ``make bench`` with GLIOMA_REAL_DATA set; the tests leave it out, as timing needs a quiet
machine.
"""

import gzip
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gliomalib.data import verification

RUNS = 5


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@pytest.mark.parametrize("workers", [1, 2])
def bench_verify_keeps_up_with_decompression(
    workers: int, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted(real_data.rglob("*.nii.gz"))
    stored = sum(path.stat().st_size for path in files) / 1e6

    def decompress() -> None:
        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(lambda path: gzip.decompress(path.read_bytes()), files):
                pass

    def verify() -> None:
        assert verification.verify(real_data, workers=workers).sound

    decompress()
    verify()
    # in turn, so that a machine that slows down slows both
    pairs = [(seconds(decompress), seconds(verify)) for _ in range(RUNS)]
    ratio = statistics.median(baseline / ours for baseline, ours in pairs)
    baseline, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{len(files)} files, {stored:.0f} MB, {workers} at once: decompression "
            f"{stored / baseline:.0f} MB/s, verify {stored / ours:.0f} MB/s, ratio {ratio:.2f}"
        )
    assert ratio >= 1
