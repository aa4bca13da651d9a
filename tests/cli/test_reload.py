"""SIGHUP: a server takes up its changed module, and keeps the old one if the new one cannot be loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

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


@contextmanager
def serving(folder: Path, text: str = MODULE) -> Iterator[subprocess.Popen[bytes]]:
    """A server of a module with this text; what it says is in `log`. It ends gracefully at the latest."""
    (folder / "shop.py").write_text(text)
    command = [sys.executable, "-m", "rota", "serve", "shop.py", "--db", "rota.db"]
    with (folder / "log").open("wb") as stream:
        server = subprocess.Popen(
            command, cwd=folder, stderr=stream, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        )
    try:
        yield server
        server.terminate()
        assert server.wait(PATIENCE) == 0
        assert "rota: stopped" in (folder / "log").read_text()
    finally:
        server.kill()
        server.wait()


def lives_through_hangups(server: subprocess.Popen[bytes]) -> bool:
    """Whether the process holds SIGHUP back, or handles it."""
    masks = dict(line.split(":\t") for line in Path(f"/proc/{server.pid}/status").read_text().splitlines())
    return bool((int(masks["SigBlk"], 16) | int(masks["SigCgt"], 16)) & 1 << signal.SIGHUP - 1)


def test_reload(tmp_path: Path) -> None:
    module, log = tmp_path / "shop.py", tmp_path / "log"
    with serving(tmp_path) as server:
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
    covered = sorted((tick.scheduled, tick.until, tick.count) for tick in ticks)
    assert all(last + 200 == following for (_, last, _), (following, _, _) in pairwise(covered))


def test_hangups_never_end_it(tmp_path: Path) -> None:
    log, reloaded = tmp_path / "log", threading.Event()
    with serving(tmp_path) as server:
        until(lambda: lives_through_hangups(server))

        def wait() -> None:
            until(lambda: log.read_text().count("serving") >= 3)
            reloaded.set()

        asked = threading.Thread(target=wait)
        asked.start()
        sent = 0
        while not reloaded.is_set():
            assert lives_through_hangups(server)
            sent += 1
            if sent % 20 == 0:
                server.send_signal(signal.SIGHUP)
            time.sleep(0.001)
        asked.join()
        assert server.poll() is None


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.5, 0.8])
def test_a_signal_to_stop_right_after_a_hangup_is_heard(tmp_path: Path, delay: float) -> None:
    with serving(tmp_path) as server:
        until(lambda: "serving" in (tmp_path / "log").read_text())
        server.send_signal(signal.SIGHUP)
        time.sleep(delay)


@pytest.mark.slow
def test_a_signal_to_stop_is_heard_at_any_moment_of_a_reload(tmp_path: Path) -> None:
    for step in range(60):
        test_a_signal_to_stop_right_after_a_hangup_is_heard(tmp_path, step / 40)


def test_a_module_that_never_loads_can_be_stopped(tmp_path: Path) -> None:
    with serving(tmp_path, 'import time; open("loading", "w").close(); time.sleep(600)'):
        until((tmp_path / "loading").exists)


CHILD = """
import subprocess, sys
from pathlib import Path
import rota
app = rota.App("shop")
@app.task
def child() -> None:
    program = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    Path("blocked").write_text(said)
"""


def test_what_a_task_starts_after_a_reload_can_be_told_to_stop(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    with serving(tmp_path, CHILD) as server:
        until(lambda: "serving" in (tmp_path / "log").read_text())
        server.send_signal(signal.SIGHUP)
        until(lambda: (tmp_path / "log").read_text().count("serving") == 2)
        with rota.connect(f"sqlite:///{tmp_path / 'rota.db'}") as client:
            client.at(time.time(), "task:child")
        until(lambda: blocked.exists() and blocked.read_text() != "")
    assert blocked.read_text() == "[]\n"


LONG = """
import time
from pathlib import Path
import rota
app = rota.App("shop")
@app.task
def long() -> None:
    Path("running").touch()
    while not Path("go").exists():
        time.sleep(0.01)
"""


def test_it_says_what_a_reload_waits_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(tmp_path, LONG) as server:
        until(lambda: "serving" in log.read_text())
        with rota.connect(f"sqlite:///{tmp_path / 'rota.db'}") as client:
            client.at(time.time(), "task:long")
        until((tmp_path / "running").exists)
        server.send_signal(signal.SIGHUP)
        until(lambda: "reloading: waiting for 1 run, 30 s at most" in log.read_text())
        (tmp_path / "go").touch()
        until(lambda: log.read_text().count("serving") == 2)
