"""How late runs begin: 1,000 one-offs spread over 20 s, with nothing else to do and beside many stored schedules.

    python -m benchmarks.lateness [--quick] [--json]

Each way runs in a process of its own. APScheduler 3 keeps its jobs in SQLite, unsynced, with no misfire limit; rota
syncs. The bare timer is a thread that sleeps until each time and calls the function: what this machine allows. The
second table stores daily schedules first, a thousand to a million of them, which are due some other time: the far tier
must not be felt. A run that begins before its time counts as early; one that does is a defect.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.place import directory
from benchmarks.report import QUICK, Figures, show, tell, versions

from rota.app import App
from rota.core.schedule import Schedule, new_schedule
from rota.core.target import parse_target
from rota.core.triggers import Cron
from rota.wiring import connect, database, engine

COUNT, SPREAD = (100, 2.0) if QUICK else (1_000, 20.0)
STORED = (1_000, 10_000) if QUICK else (1_000, 100_000, 1_000_000)
ROUNDS = 1 if QUICK else 3
late: list[float] = []


def note(due: float) -> None:
    late.append((time.time() - due) * 1000)


def times() -> list[float]:
    begin = time.time() + 2
    return [round(begin + SPREAD * n / COUNT, 3) for n in range(COUNT)]


def wait() -> list[float]:
    deadline = time.time() + 30
    while len(late) < COUNT and time.time() < deadline:
        time.sleep(0.2)
    return late


def with_rota(folder: Path) -> list[float]:
    app = App("bench")
    task = app.task(note)
    url = f"sqlite:///{folder}/rota.db"
    with engine(url, app):
        time.sleep(1)
        with connect(url, app) as client:
            client.at_many([(at, at) for at in times()], task)
        return wait()


def fill(folder: Path, stored: int) -> list[float]:
    """Store daily schedules that are due in six hours and later."""
    file = database(f"sqlite:///{folder}/rota.db", durability="process")
    now = time.time_ns() // 1_000_000
    away = datetime.fromtimestamp(time.time() + 6 * 3600, UTC).hour
    crons = [Cron(f"{n % 60} {n // 60 % 60} {(away + n // 3600 % 12) % 24} * * ?") for n in range(12 * 3600)]
    target = parse_target("task:note")
    for begin in range(0, stored, 10_000):
        numbers = range(begin, min(begin + 10_000, stored))
        file.schedules.create(
            [
                new_schedule(Schedule(id=f"daily-{n}", trigger=crons[n % len(crons)], target=target), now)
                for n in numbers
            ]
        )
    file.close()
    os.sync()  # else the disk would still be busy with them
    return []


def with_apscheduler(folder: Path) -> list[float]:
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
    from apscheduler.schedulers.background import BackgroundScheduler
    from sqlalchemy import create_engine, event

    made = create_engine(f"sqlite:///{folder}/aps.db")

    @event.listens_for(made, "connect")
    def tune(connection, _record) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")

    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    scheduler = BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(engine=made)},
        executors={"default": ThreadPoolExecutor(10)},
        job_defaults={"misfire_grace_time": None},
    )
    scheduler.start(paused=True)
    begin = time.time()
    due = [at + 3 for at in times()]
    for at in due:
        scheduler.add_job(note, "date", run_date=datetime.fromtimestamp(at, UTC), args=(at,))
    scheduler.resume()
    assert time.time() < begin + 5
    return wait()


def with_timer() -> list[float]:
    due = times()

    def call_each() -> None:
        for at in due:
            left = at - time.time()
            while left > 0:
                time.sleep(left)
                left = at - time.time()
            note(at)

    threading.Thread(target=call_each, daemon=True).start()
    return wait()


def apart(way: str, folder: Path) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.lateness", "--way", way, str(folder), *(["--quick"] if QUICK else [])]
    return [float(it) for it in json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)]


def run(way: str, folder: Path) -> None:
    if way == "apscheduler":
        found = with_apscheduler(folder)
    elif way == "timer":
        found = with_timer()
    else:
        found = with_rota(folder) if way == "rota" else fill(folder, int(way))
    print(json.dumps(found), flush=True)
    os._exit(0)  # peers leave threads behind


def percentiles(found: list[float]) -> dict[str, float]:
    ordered = sorted(found)
    return {"p50": ordered[len(ordered) // 2], "p99": ordered[int(len(ordered) * 0.99)], "latest": ordered[-1]}


def beside_others() -> None:
    names = {"rota": "rota", "apscheduler": "APScheduler 3, unsynced", "timer": "a bare timer"}
    figures: dict[str, Figures] = {key: {name: [] for name in names.values()} for key in ("p50", "p99", "latest")}
    early = dict.fromkeys(names.values(), 0)
    for _ in range(ROUNDS):
        for way, name in names.items():
            with directory() as folder:
                found = apart(way, folder)
            assert len(found) == COUNT, f"{name} ran {len(found)} of {COUNT}"
            early[name] += sum(it < 0 for it in found)
            for key, value in percentiles(found).items():
                figures[key][name].append(value)
    for key, both in figures.items():
        show(f"lateness of {COUNT:,} over {SPREAD:g} s, {key}", "ms", both, more_is_better=False)
    tell("began early, in all rounds", "runs", {name: float(n) for name, n in early.items()})


def beside_stored() -> None:
    with contextlib.ExitStack() as stack:
        folders = {stored: stack.enter_context(directory()) for stored in STORED}
        for stored, folder in folders.items():
            apart(str(stored), folder)
        rounds: dict[int, list[dict[str, float]]] = {stored: [] for stored in STORED}
        for _ in range(ROUNDS):
            for stored, folder in folders.items():
                rounds[stored].append(percentiles(apart("rota", folder)))
    for stored, found in rounds.items():
        middle = {key: median(it[key] for it in found) for key in found[0]}
        tell(f"lateness beside {stored:,} stored schedules", "ms", middle)


def main() -> None:
    if "--way" in sys.argv:
        at = sys.argv.index("--way")
        run(sys.argv[at + 1], Path(sys.argv[at + 2]))
    versions("apscheduler", "sqlalchemy")
    beside_others()
    beside_stored()


if __name__ == "__main__":
    main()
