"""SIGHUP: a server takes up its changed module, and keeps the old one if the new one cannot be loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import rota

MODULE = """
import rota
app = rota.App("shop")
@app.task
def nothing() -> None: ...
app.schedule("first", rota.Every(0.2), nothing)
"""
PATIENCE = 120.0
SECOND = 'app.schedule("second", rota.Every(0.2), nothing)\n'


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_reload(tmp_path: Path) -> None:
    module, log = tmp_path / "shop.py", tmp_path / "log"
    module.write_text(MODULE)
    command = [sys.executable, "-m", "rota", "serve", "shop.py", "--db", "rota.db"]
    with log.open("wb") as stream:
        server = subprocess.Popen(
            command, cwd=tmp_path, stderr=stream, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        )
    try:
        until(lambda: "serving" in log.read_text())
        module.write_text(MODULE + "raise RuntimeError('half saved')\n")
        server.send_signal(signal.SIGHUP)
        until(lambda: "not reloaded" in log.read_text())
        assert "half saved" in log.read_text()

        module.write_text(MODULE + SECOND)
        server.send_signal(signal.SIGHUP)
        until(lambda: log.read_text().count("serving") == 2)
        with rota.connect(f"sqlite:///{tmp_path / 'rota.db'}") as client:
            until(lambda: any(tick.outcome == "fired" for tick in client.schedules.ticks("second")))
            ticks = client.schedules.ticks("first", limit=10_000)
    finally:
        server.terminate()
        assert server.wait(PATIENCE) == 0
    covered = sorted((tick.scheduled, tick.until, tick.count) for tick in ticks)
    assert all(last + 200 == following for (_, last, _), (following, _, _) in pairwise(covered))
