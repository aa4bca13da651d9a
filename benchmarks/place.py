"""Where benchmarks write: a directory of their own on a disk, not in memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """/var/tmp is a disk where /tmp may be memory; $ROTA_BENCH_DIR says otherwise."""
    made = Path(tempfile.mkdtemp(prefix="rota-bench-", dir=os.environ.get("ROTA_BENCH_DIR", "/var/tmp")))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def fdatasyncs(folder: Path, n: int) -> float:
    """How often a second this disk takes an appended page and a sync: the limit of synced writes one by one."""
    path = folder / "fdatasync"
    file = os.open(path, os.O_CREAT | os.O_RDWR)
    page = os.urandom(4096)
    begin = perf_counter()
    for number in range(n):
        os.pwrite(file, page, number * 4096)
        os.fdatasync(file)
    took = perf_counter() - begin
    os.close(file)
    path.unlink()
    return n / took
