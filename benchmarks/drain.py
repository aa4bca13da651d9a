"""No-op runs a second, from 50,000 queued until every outcome is recorded.

    python -m benchmarks.drain [--quick] [--json]

rota records start, end, attempt and outcome of every run, synced. huey runs with two threads, `fsync=False` and
results kept, which is its record of an outcome, and is timed over fewer tasks because it is slower. The hand-written
queue is the limit: one thread and one SQLite file, synced, which claims, calls and finishes 1,000 jobs a transaction
each, and has no policies to look at.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import time
from pathlib import Path
from time import perf_counter

from benchmarks.place import directory
from benchmarks.report import QUICK, in_turn, show, versions
from huey import SqliteHuey

from rota.app import App
from rota.wiring import connect, engine

QUEUED, HUEYS = (5_000, 2_000) if QUICK else (50_000, 20_000)
PAYLOAD = {"order": 1}
names = itertools.count()


def with_rota(folder: Path) -> float:
    app = App("bench")
    task = app.task(name="work")(lambda _payload: None)
    url = f"sqlite:///{folder}/rota-{next(names)}.db"
    with connect(url, app) as client:
        past = time.time() - 1
        for _ in range(0, QUEUED, 5_000):
            client.at_many([(past, PAYLOAD)] * 5_000, task)
    serving = engine(url, app)
    begin = perf_counter()
    with serving as client:
        while client.runs.list(state="pending", limit=1) or client.runs.list(state="running", limit=1):
            time.sleep(0.005)
        return QUEUED / (perf_counter() - begin)


def with_huey(folder: Path) -> float:
    huey = SqliteHuey(filename=str(folder / f"huey-{next(names)}.db"), fsync=False, cache_mb=64, store_none=True)
    task = huey.task()(lambda _payload: None)
    for _ in range(HUEYS):
        task(PAYLOAD)
    consumer = huey.create_consumer(workers=2, periodic=False, initial_delay=0.001, max_delay=0.001)
    begin = perf_counter()
    consumer.start()
    while huey.storage.queue_size() or huey.storage.result_store_size() < HUEYS:
        time.sleep(0.02)
    took = perf_counter() - begin
    consumer.stop(graceful=True)
    return HUEYS / took


def by_hand(folder: Path) -> float:
    connection = sqlite3.connect(folder / f"hand-{next(names)}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE queued (id INTEGER PRIMARY KEY, payload TEXT) STRICT")
    connection.execute("CREATE TABLE running (id INTEGER PRIMARY KEY, payload TEXT) STRICT")
    connection.execute("CREATE TABLE done (id INTEGER PRIMARY KEY, began INTEGER, ended INTEGER) STRICT")
    body = json.dumps(PAYLOAD)
    with connection:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO queued VALUES (?, ?)", ((n, body) for n in range(QUEUED)))
    done = 0
    begin = perf_counter()
    while done < QUEUED:
        connection.execute("BEGIN IMMEDIATE")
        jobs = connection.execute("SELECT id, payload FROM queued ORDER BY id LIMIT 1000").fetchall()
        connection.executemany("INSERT INTO running VALUES (?, ?)", jobs)
        connection.execute("DELETE FROM queued WHERE id <= ?", (jobs[-1][0],))
        connection.execute("COMMIT")
        rows = []
        for id, text in jobs:
            began = time.time_ns()
            json.loads(text)
            rows.append((id, began, time.time_ns()))
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO done VALUES (?, ?, ?)", rows)
        connection.execute("DELETE FROM running WHERE id BETWEEN ? AND ?", (rows[0][0], rows[-1][0]))
        connection.execute("COMMIT")
        done += len(jobs)
    took = perf_counter() - begin
    connection.close()
    return QUEUED / took


def main() -> None:
    versions("huey")
    with directory() as folder:
        ways = {
            "rota": lambda: with_rota(folder),
            "huey, fsync=False": lambda: with_huey(folder),
            "a queue by hand, the limit": lambda: by_hand(folder),
        }
        show(f"no-op runs drained from {QUEUED:,}", "a second", in_turn(ways, 3))


if __name__ == "__main__":
    main()
