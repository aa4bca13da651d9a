"""10,000 due at the same instant: how long until the last has begun.

    python -m benchmarks.same_second [--quick] [--json]

Each way runs in a process of its own. One-offs are runs without a schedule (`client.at_many`); schedules are declared
by an app and stored when it is served, each with its own state and a row in the tick ledger before it fires, both
synced. huey runs with `fsync=False`; APScheduler 3 with SQLite unsynced, no misfire limit and a thread per core,
which is how each of them is fastest.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.place import directory
from benchmarks.report import QUICK, in_turn, show, versions

from rota.app import App
from rota.core.triggers import At, Cron, Every
from rota.wiring import engine

COUNT = 1_000 if QUICK else 10_000
PATIENCE = 60.0
begun: list[int] = []


def note(_payload: object = None) -> None:
    begun.append(time.time_ns())


def soon(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(time.time() + seconds + 1), UTC)


def spread(at: datetime) -> float:
    """Seconds from `at` until the last began."""
    deadline = at.timestamp() + PATIENCE
    while len(begun) < COUNT and time.time() < deadline:
        time.sleep(0.05)
    if len(begun) < COUNT:
        print(f"only {len(begun)} of {COUNT} began in {PATIENCE:g} s", file=sys.stderr)
        return float("inf")
    if min(begun) < at.timestamp() * 1e9:
        print("some began early", file=sys.stderr)
    return max(begun) / 1e9 - at.timestamp()


def one_offs(folder: Path) -> float:
    app = App("bench")
    task = app.task(note)
    with engine(f"sqlite:///{folder}/rota.db", app) as client:
        at = soon(3)
        client.at_many([(at, None)] * COUNT, task)
        return spread(at)


def schedules(folder: Path, kind: str) -> float:
    app = App("bench")
    task = app.task(note)
    at = soon(8)
    local = f"{at.second} {at.minute} {at.hour} * * ?"
    trigger = {"at": At(at), "every": Every(3600, anchor=at), "cron": Cron(local)}[kind]
    for number in range(COUNT):
        app.schedule(f"job-{number}", trigger, task)
    with engine(f"sqlite:///{folder}/rota.db", app):
        if time.time() > at.timestamp() - 1:
            print("storing took too long", file=sys.stderr)
        return spread(at)


def with_huey(folder: Path) -> float:
    from huey import SqliteHuey

    huey = SqliteHuey(filename=str(folder / "huey.db"), fsync=False, cache_mb=64, journal_mode="wal")
    task = huey.task()(note)
    at = soon(6)
    for _ in range(COUNT):
        made = task.s()
        made.eta = at.replace(tzinfo=None)
        huey.add_schedule(made)
    consumer = huey.create_consumer(
        workers=2, periodic=False, initial_delay=0.001, max_delay=0.001, scheduler_interval=1
    )
    consumer.start()
    try:
        return spread(at)
    finally:
        consumer.stop()


def with_apscheduler(folder: Path) -> float:
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
    from apscheduler.schedulers.background import BackgroundScheduler
    from sqlalchemy import create_engine, event

    made = create_engine(f"sqlite:///{folder}/aps.db")

    @event.listens_for(made, "connect")
    def tune(connection, _record) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")

    scheduler = BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(engine=made)},
        executors={"default": ThreadPoolExecutor(2)},
        job_defaults={"misfire_grace_time": None},
    )
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    scheduler.start(paused=True)
    at = soon(COUNT / 400)
    for number in range(COUNT):
        scheduler.add_job(note, "date", run_date=at, id=str(number))
    scheduler.resume()
    try:
        return spread(at)
    finally:
        scheduler.shutdown(wait=False)


WAYS = {
    "one-offs": one_offs,
    "at": lambda folder: schedules(folder, "at"),
    "every": lambda folder: schedules(folder, "every"),
    "cron": lambda folder: schedules(folder, "cron"),
    "huey": with_huey,
    "apscheduler": with_apscheduler,
}


def apart(way: str) -> float:
    """The figure of a way, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.same_second", "--way", way, *(["--quick"] if QUICK else [])]
    return float(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def main() -> None:
    if "--way" in sys.argv:
        with directory() as folder:
            took = WAYS[sys.argv[sys.argv.index("--way") + 1]](folder)
        print(json.dumps(took), flush=True)
        os._exit(0)  # peers leave threads behind
    versions("huey", "apscheduler", "sqlalchemy")
    figures = in_turn({way: lambda way=way: apart(way) for way in WAYS}, 3)
    peers = {"huey, fsync=False": figures.pop("huey"), "APScheduler 3, unsynced": figures.pop("apscheduler")}
    for way, found in figures.items():
        name = {
            "one-offs": "one-offs",
            "at": "`At` schedules",
            "every": "`Every` schedules",
            "cron": "`Cron` schedules",
        }[way]
        show(
            f"{COUNT:,} {name} due at once, the last begun after",
            "seconds",
            {"rota": found, **peers},
            more_is_better=False,
        )


if __name__ == "__main__":
    main()
