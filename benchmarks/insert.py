"""One-offs inserted a second, one by one and in bulk.

    python -m benchmarks.insert [--quick] [--json]

One by one with durability="power" is beside the rate at which this disk syncs appended pages; with
durability="process" beside huey with `fsync=False`, which survives the process but not the power, too. In bulk it is
beside `executemany` on a bare table of the same columns, both synced, 10,000 rows a transaction; the payload's
encoding and the ids are rota's alone.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from datetime import datetime
from pathlib import Path
from time import perf_counter

from benchmarks.place import directory, fdatasyncs
from benchmarks.report import QUICK, in_turn, show, versions
from huey import SqliteHuey

from rota.app import App
from rota.wiring import connect

SYNCED, WRITERS, UNSYNCED, BULK = (200, 16, 2_000, 20_000) if QUICK else (400, 16, 20_000, 300_000)
PAYLOAD = {"order": 1}
app = App("bench")
names = itertools.count()


@app.task
def work(payload: object) -> None:
    pass


def one_by_one(folder: Path, durability: str, n: int, threads: int = 1) -> float:
    with connect(f"sqlite:///{folder}/rota-{next(names)}.db", app, durability=durability) as client:
        soon = time.time() + 3600

        def insert() -> None:
            for number in range(n):
                client.at(soon + number, work, PAYLOAD)

        client.at(soon, work, PAYLOAD)
        workers = [threading.Thread(target=insert) for _ in range(threads)]
        begin = perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return threads * n / (perf_counter() - begin)


def huey_one_by_one(folder: Path, n: int) -> float:
    huey = SqliteHuey(filename=str(folder / f"huey-{next(names)}.db"), fsync=False, cache_mb=64, journal_mode="wal")
    task = huey.task()(lambda _payload: None)
    eta = datetime.fromtimestamp(time.time() + 3600)
    begin = perf_counter()
    for _ in range(n):
        task.schedule((PAYLOAD,), eta=eta)
    took = perf_counter() - begin
    huey.storage.close()
    return n / took


def in_bulk(folder: Path) -> float:
    with connect(f"sqlite:///{folder}/rota-{next(names)}.db", app) as client:
        soon = time.time() + 3600
        begin = perf_counter()
        for at in range(0, BULK, 10_000):
            client.at_many([(soon + at + number, PAYLOAD) for number in range(10_000)], work)
        return BULK / (perf_counter() - begin)


def sqlite_bulk(folder: Path) -> float:
    connection = sqlite3.connect(folder / f"bare-{next(names)}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE pending (due INTEGER, id TEXT, scheduled INTEGER, spec INTEGER, payload BLOB, attempt INTEGER,"
        " recurring INTEGER, moved INTEGER, PRIMARY KEY (due, id, scheduled)) STRICT, WITHOUT ROWID"
    )
    soon = round(time.time() * 1000) + 3_600_000
    begin = perf_counter()
    for at in range(0, BULK, 10_000):
        rows = [
            (soon + 1000 * n, f"once-0123456789ab-{n}", soon + 1000 * n, 1, b'{"order":1}', 0, 0, 0)
            for n in range(at, at + 10_000)
        ]
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    took = perf_counter() - begin
    connection.close()
    return BULK / took


def main() -> None:
    versions("huey")
    with directory() as folder:
        synced = in_turn(
            {
                "rota": lambda: one_by_one(folder, "power", SYNCED),
                "rota, 16 threads": lambda: one_by_one(folder, "power", SYNCED // 4, WRITERS),
                "fdatasync of this disk": lambda: fdatasyncs(folder, SYNCED),
            },
            15,
        )
        disk, many = synced["fdatasync of this disk"], synced.pop("rota, 16 threads")
        show("one-offs one by one, synced", "a second", synced)
        show("one-offs from 16 threads, synced", "a second", {"rota": many, "fdatasync of this disk": disk})
        loose = {
            "rota": lambda: one_by_one(folder, "process", UNSYNCED),
            "huey, fsync=False": lambda: huey_one_by_one(folder, UNSYNCED),
        }
        show('one-offs one by one, durability="process"', "a second", in_turn(loose, 5))
        bulk = {"rota": lambda: in_bulk(folder), "sqlite3 executemany": lambda: sqlite_bulk(folder)}
        show("one-offs in bulk, synced", "a second", in_turn(bulk, 5))


if __name__ == "__main__":
    main()
