"""huey over the same items: SQLite storage, synced, a thousand items a task, a worker process a core.

A task has the lines of its items in it and answers the lines of their results, which huey keeps in its database until
they are fetched into one file at the end. Nothing else is proven or kept: no totals, no failures by item.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from itertools import islice
from pathlib import Path
from time import perf_counter

import msgspec
from benchmarks.batch_app import double
from huey import SqliteHuey

CHUNK = 1000
CORES = os.cpu_count() or 1
_decode = msgspec.json.Decoder().decode
_encoder = msgspec.json.Encoder()


def doubled(lines: bytes) -> bytes:
    return _encoder.encode_lines(list(map(double.function, map(_decode, lines.splitlines()))))


def with_huey(folder: Path, source: Path, _chunk: int) -> dict[str, float]:
    multiprocessing.set_start_method("fork")
    huey = SqliteHuey(filename=str(folder / "huey.db"), fsync=True, cache_mb=64)
    task = huey.task()(doubled)
    items = 0
    begin = perf_counter()
    consumer = huey.create_consumer(
        workers=CORES, worker_type="process", periodic=False, initial_delay=0.001, max_delay=0.01
    )
    consumer.start()
    with source.open("rb") as lines:
        waiting = []
        while block := list(islice(lines, CHUNK)):
            waiting.append(task(b"".join(block)))
    with (folder / "results").open("wb") as out:
        for answer in waiting:
            while (result := answer.get()) is None:
                time.sleep(0.001)
            out.write(result)
            items += result.count(b"\n")
    took = perf_counter() - begin
    consumer.stop(graceful=True)
    return {"items": items, "seconds": took}
