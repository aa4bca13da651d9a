"""rota serve, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.cli.command import Command

PATIENCE = 120.0
"""Seconds; a deadline only ends a test that fails."""
SHOP = """
import time
from pathlib import Path
import rota
app = rota.App("shop")
@app.task
def hello(payload): return f"hello {payload}"
@app.task
def linger(file):
    while not Path(file).exists():
        time.sleep(0.01)
    return "done"
app.schedule("never", rota.Every("1d"), hello)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.py"
    path.write_text(SHOP)
    return path


@contextmanager
def serving(rota: Command, shop: Path | None, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A server of the module `shop`, or of none."""
    module = [] if shop is None else [shop.name]
    command = [sys.executable, "-m", "rota", "serve", *module, "--db", str(rota.database), "--json", *options]
    with subprocess.Popen(
        command,
        cwd=rota.database.parent if shop is None else shop.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    ) as server:
        try:
            yield server
        finally:
            server.kill()


def ready(server: subprocess.Popen[str]) -> dict[str, object]:
    """What the server says once it serves."""
    assert server.stdout is not None
    text = ""
    for line in server.stdout:
        text += line
        if line == "}\n":
            break
    assert text, server.stderr.read() if server.stderr else ""
    said: dict[str, object] = json.loads(text)["schedules"]
    return said


def state(rota: Command, run: str, wanted: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while rota.json("run", "show", run)["state"] != wanted:
        assert time.monotonic() < deadline, f"{run} never became {wanted}"
        time.sleep(0.02)


def end(server: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = server.communicate(timeout=PATIENCE)
    return server.returncode, errors


def test_it_serves_and_stops_when_told(rota: Command, shop: Path) -> None:
    with serving(rota, shop) as server:
        assert ready(server)["created"] == ["never"]
        run = rota("at", "1000000000", "task:hello", "--payload", '"you"').strip()
        state(rota, run, "succeeded")
        assert rota.json("run", "show", run)["value"] == "hello you"
        assert "is served already" in rota.refused(["serve", "--db", str(rota.database)], 1)
        server.send_signal(signal.SIGTERM)
        code, errors = end(server)
    assert code == 0
    assert "rota: stopped" in errors
    assert "Traceback" not in errors


def test_stopping_waits_for_what_runs(rota: Command, shop: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with serving(rota, shop, "--grace", "600") as server:
        ready(server)
        run = rota("at", "1000000000", "task:linger", "--payload", json.dumps(str(go))).strip()
        state(rota, run, "running")
        server.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert server.poll() is None
        go.touch()
        assert end(server)[0] == 0
    assert rota.json("run", "show", run)["state"] == "succeeded"


def test_what_outlasts_the_grace_period_is_handed_back(rota: Command, shop: Path) -> None:
    with serving(rota, shop, "--grace", "0.1") as server:
        ready(server)
        run = rota("at", "1000000000", "task:linger", "--payload", '"never"').strip()
        state(rota, run, "running")
        server.send_signal(signal.SIGTERM)
        assert end(server)[0] == 0
    assert rota.json("run", "show", run)["state"] == "pending"


def test_a_schedule_no_longer_declared_is_reported(rota: Command, shop: Path) -> None:
    less = SHOP.replace('app.schedule("never"', 'str.format("never"')
    starts: list[tuple[str, list[str], str]] = [
        (SHOP, [], "created"),
        (less, [], "orphaned"),
        (less, ["--prune"], "deleted"),
    ]
    for text, options, field in starts:
        shop.write_text(text)
        with serving(rota, shop, *options) as server:
            assert ready(server)[field] == ["never"]
            server.send_signal(signal.SIGTERM)
            _, errors = end(server)
        assert ("warning: schedule never is no longer declared" in errors) == (field == "orphaned")


@pytest.mark.parametrize("options", [["--durability", "some"], ["--workers", "0"], ["--log-level", "loud"]])
def test_bad_settings(rota: Command, shop: Path, options: list[str]) -> None:
    rota.refused(["serve", str(shop), *options])


def test_a_second_signal_does_not_wait(rota: Command, shop: Path) -> None:
    with serving(rota, shop, "--grace", "600") as server:
        ready(server)
        run = rota("at", "1000000000", "task:linger", "--payload", '"never"').strip()
        state(rota, run, "running")
        server.send_signal(signal.SIGTERM)
        time.sleep(1.2)
        assert server.poll() is None
        # Should it have noticed the first one late, it takes another within a second for the same.
        deadline = time.monotonic() + PATIENCE
        while server.poll() is None:
            assert time.monotonic() < deadline, "it waits all the same"
            server.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                server.wait(1.2)
        code, errors = end(server)
    assert code == 1
    assert "attempted again at the next start" in errors


BROKEN = """
def half(:
"""


@pytest.mark.parametrize(
    ("module", "text", "said"),
    [
        ("nofile.py", "", "there is no file"),
        ("no_such_package.shop", "", "there is no module no_such_package.shop"),
        ("shop.py:nothing", SHOP, "the name of a rota.App, which nothing is not"),
        ("noapp.py", "x = 1", "a module with exactly one rota.App, not 0"),
        ("broken.py", BROKEN, "a module without syntax errors"),
    ],
)
def test_a_module_without_an_app_is_bad_usage_everywhere(
    rota: Command, tmp_path: Path, module: str, text: str, said: str
) -> None:
    file = module.partition(":")[0]
    if text:
        (tmp_path / file).write_text(text)
    command = [sys.executable, "-m", "rota"]
    for arguments in (["serve", module], ["schedule", "create", "x", "task:hello", "--every", "1h", "--app", module]):
        done = subprocess.run(
            [*command, *arguments, "--url", rota.url], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"rota: error: app: '{module}' is not allowed; ")
        assert said in done.stderr
