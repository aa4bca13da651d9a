"""Serving a file that holds work for tasks and batches which the server does not have."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.cli.command import Command
from tests.cli.test_serve import end, ready, serving, state

from rota import wiring

NOTHING = "import rota\napp = rota.App('shop')\n@app.task\ndef other(): ...\n"


def test_without_a_module_nothing_is_fired_that_needs_one(rota: Command) -> None:
    for name in "abcd":
        rota("schedule", "create", name, "task:ok", "--every", "1s", "--max-executions", "2")
    rota("schedule", "create", "nightly", "batch:orders", "--every", "1s")
    rota("at", "2000000000", "task:later")
    said = rota.refused(["serve", "--url", rota.url])
    assert "rota serve shop.py" in said
    assert "batch:orders (schedule nightly), task:later (1 run), task:ok (schedules a, b, c and 1 more)" in said
    with wiring.connect(rota.url) as client:
        assert client.schedules.get("a").state.fired == 0
        assert client.runs.list(state="failed") == []


@pytest.mark.parametrize("paused", [True, False])
def test_what_is_not_active_is_no_hindrance(rota: Command, paused: bool) -> None:
    rota("schedule", "create", "old", "task:ok", "--every", "1d")
    rota("schedule", "pause" if paused else "delete", "old")
    run = rota("at", "1000000000", "queue:orders").strip()
    with serving(rota, None) as server:
        ready(server)
        state(rota, run, "succeeded")
        server.send_signal(signal.SIGTERM)
        assert end(server)[0] == 0


def test_a_module_that_lacks_a_task_is_served_with_a_warning(rota: Command, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(NOTHING)
    rota("schedule", "create", "stray", "task:gone", "--every", "1d")
    rota("schedule", "create", "fine", "task:other", "--every", "1d")
    rota("at", "2000000000", "task:gone")
    with serving(rota, tmp_path / "shop.py") as server:
        ready(server)
        server.send_signal(signal.SIGTERM)
        code, errors = end(server)
    assert code == 0
    assert "rota: warning: app 'shop' lacks task:gone (schedule stray; 1 run): runs of it fail" in errors
    assert "other" not in errors
