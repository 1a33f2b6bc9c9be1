"""How fast ``data verify`` is, beside decompressing the same files and doing nothing with them."""

import gzip
from pathlib import Path

from gliomalib.data import verification
from tests.benchmarks.ledger import Ledger, in_turn


def bench_verify(real_data: Path, ledger: Ledger) -> None:
    files = sorted(real_data.rglob("*.nii.gz"))

    def decompress() -> None:
        for path in files:
            gzip.decompress(path.read_bytes())

    def verify() -> None:
        assert verification.verify(real_data, workers=1).sound

    ledger.compared("verify_reading", in_turn(verify, decompress, runs=3))
