"""An app for stacks that really run. What its tasks did stands in the file that their payload names."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import msgspec

import rota

app = rota.App("shop")


def _note(to: str) -> str:
    run = rota.current_run()
    line = msgspec.json.encode([run.id, run.attempt, time.time()]) + b"\n"
    # One write to the end of a file is whole, whoever else writes.
    file = os.open(to, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(file, line)
    os.close(file)
    return run.id


@app.task
def note(order: dict[str, str]) -> str:
    return _note(order["to"])


@app.task
def slow(order: dict[str, str]) -> str:
    done = _note(order["to"])
    time.sleep(2.5)
    return done


@app.task
def linger(order: dict[str, str]) -> str:
    done = _note(order["to"])
    while not Path(order["until"]).exists():
        time.sleep(0.05)
    return done


@app.task
def die_once(order: dict[str, str]) -> str:
    """Kills its function, once, as one that ran out of memory is killed."""
    first = not Path(order["to"]).exists()
    done = _note(order["to"])
    if first:
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
    return done


@app.task(retry=rota.Retry(attempts=3, initial=0.2, jitter="none"))
def flaky(order: dict[str, str]) -> int:
    _note(order["to"])
    if rota.current_run().attempt < 3:
        raise ConnectionError("not yet")
    return rota.current_run().attempt


@app.task
def once_mended(order: dict[str, str]) -> str:
    if not Path(order["mended"]).exists():
        raise ValueError("it is broken")
    return _note(order["to"])


app.schedule("declared", rota.Cron("0 0 0 1 1 ?"), "queue:orders")
