"""A million pending one-offs: memory that stays resident, and the time from starting Python to the first firing.

    python -m benchmarks.pending [--quick] [--json]

One process stores them, one due at once and the rest an hour from now and later; another is started, imports, opens
the file, serves, and says when its first run began and what it holds a second after that. "bare" opens no file: it is
Python with the same imports, the floor. Peers get a tenth, because storing more takes them minutes; huey, which first
moves what is delayed from its queue to its schedule, is given twenty seconds.
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
from benchmarks.report import QUICK, Figures, show, versions

PENDING, THEIRS = (20_000, 2_000) if QUICK else (1_000_000, 100_000)
PATIENCE = 20.0
first: list[float] = []


def note(_payload: object = None) -> None:
    if not first:
        first.append(time.time())


def rota_app():
    from rota.app import App

    app = App("bench")
    return app, app.task(note)


def store_rota(folder: Path) -> None:
    from rota.wiring import connect

    app, task = rota_app()
    with connect(f"sqlite:///{folder}/rota.db", app) as client:
        later = time.time() + 3600
        for begin in range(0, PENDING, 10_000):
            client.at_many([(later + n / 10, None) for n in range(begin, begin + 10_000)], task)
        client.at(time.time() - 1, task)


def serve_rota(folder: Path) -> None:
    from rota.wiring import engine

    app, _ = rota_app()
    with engine(f"sqlite:///{folder}/rota.db", app):
        report()


def serve_bare(_folder: Path) -> None:
    import rota.embedded.engine
    import rota.embedded.sqlite.file
    import rota.wiring

    assert rota.wiring
    note()
    report()


def huey(folder: Path):
    from huey import SqliteHuey

    made = SqliteHuey(filename=str(folder / "huey.db"), fsync=False, cache_mb=8)
    return made, made.task(name="note")(note)


def store_huey(folder: Path) -> None:
    _, task = huey(folder)
    later = datetime.fromtimestamp(time.time() + 3600)
    for _ in range(THEIRS):
        task.schedule(eta=later)
    task()


def serve_huey(folder: Path) -> None:
    made, _ = huey(folder)
    made.create_consumer(workers=2, periodic=False, initial_delay=0.001, max_delay=0.001).start()
    report()


def apscheduler(folder: Path):
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
    return BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(engine=made)},
        executors={"default": ThreadPoolExecutor(2)},
        job_defaults={"misfire_grace_time": None},
    )


def store_apscheduler(folder: Path) -> None:
    scheduler = apscheduler(folder)
    scheduler.start(paused=True)
    later = time.time() + 3600
    for n in range(THEIRS):
        scheduler.add_job("benchmarks.pending:note", "date", run_date=datetime.fromtimestamp(later + n / 10, UTC))
    scheduler.add_job("benchmarks.pending:note", "date", run_date=datetime.now(UTC))


def serve_apscheduler(folder: Path) -> None:
    import benchmarks.pending as here

    here.first = first
    apscheduler(folder).start()
    report()


def report() -> None:
    """Print when the first run began and the resident MiB, and end at once: peers leave threads behind."""
    deadline = time.time() + PATIENCE
    while not first and time.time() < deadline:
        time.sleep(0.01)
    time.sleep(1)
    status = Path("/proc/self/status").read_text().split("VmRSS:")[1].split()
    print(json.dumps([first[0] if first else None, int(status[0]) / 1024]), flush=True)
    os._exit(0)


DOES = {name: globals()[name] for name in list(globals()) if name.startswith(("store_", "serve_"))}


def apart(does: str, folder: Path) -> tuple[float, float]:
    """Seconds from start to first firing, and MiB."""
    begin = time.time()
    command = [sys.executable, "-m", "benchmarks.pending", "--do", does, str(folder), *(["--quick"] if QUICK else [])]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    if does.startswith("store_"):
        return 0, 0
    at, mebibytes = json.loads(out)
    return (float("inf") if at is None else at - begin), mebibytes


def main() -> None:
    if "--do" in sys.argv:
        at = sys.argv.index("--do")
        DOES[sys.argv[at + 1]](Path(sys.argv[at + 2]))
        os._exit(0)
    versions("huey", "apscheduler", "sqlalchemy")
    names = {
        "rota": "rota",
        "bare": "bare: rota's imports alone",
        "huey": f"huey with {THEIRS:,}",
        "apscheduler": f"APScheduler 3 with {THEIRS:,}",
    }
    seconds: Figures = {name: [] for name in names.values()}
    memory: Figures = {name: [] for name in names.values()}
    for _ in range(1 if QUICK else 3):
        for key, name in names.items():
            with directory() as folder:
                if key != "bare":
                    apart(f"store_{key}", folder)
                took, held = apart(f"serve_{key}", folder)
            seconds[name].append(took)
            memory[name].append(held)
    show(f"{PENDING:,} pending, start of Python to first firing", "seconds", seconds, more_is_better=False)
    show(f"{PENDING:,} pending, resident", "MiB", memory, more_is_better=False)


if __name__ == "__main__":
    main()
