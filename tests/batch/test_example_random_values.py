"""The example examples/random_values, by the command, as a user would run it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import blocks
from tests.docs.session import Session

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/random_values/random_values.py"
PATIENCE = 120


class Shell:
    """Where the example is run; nothing sleeps."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.errors = ""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ROTA_")}
        self.environment = {**kept, "RANDOM_VALUES_SCALE": "0", "COLUMNS": "200"}
        shutil.copy(EXAMPLE, place)

    def rota(self, *words: str) -> Any:
        """The answer of a command as a value; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "rota", *words, "--json"],
            cwd=self.place,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        self.errors += done.stderr
        return json.loads(done.stdout)

    def start(self, payload: object) -> Any:
        given = ("--app", EXAMPLE.name, "--payload", json.dumps(payload))
        return self.rota("batch", "start", "random-values", *given)

    def notifications(self) -> list[Any]:
        return [run for run in self.rota("run", "list") if run["target"] == "task:finalizer"]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def results(run: Any) -> Iterator[Any]:
    for part in sorted(Path(run["sink"]["path"].replace("{run}", run["id"])).glob("part-*.jsonl")):
        with part.open() as lines:
            yield from map(json.loads, lines)


def check(shell: Shell, run: Any, items: int, seed: int) -> None:
    """Everything about a batch run of the example that must hold, whatever started it."""
    assert (run["state"], run["items"], run["succeeded"]) == ("succeeded", items, items)
    assert (run["failed"], run["skipped"], run["results"]) == (0, 0, items)
    draw = random.Random(seed)
    count = 0
    for result in results(run):
        assert result == {"id": count, "value": draw.randint(0, 1000), "slept_ms": 0.0}
        count += 1
    assert count == items
    assert shell.rota("batch", "verify", run["id"])["problems"] == []
    [told] = shell.notifications()
    assert (told["state"], told["attempt"]) == ("succeeded", 1)
    assert told["value"] == f"{run['id']} succeeded: {items} items, {items} succeeded, 0 failed, 0 skipped"
    assert (told["payload"]["root"], told["payload"]["items"]) == (run["root"], items)


def test_a_hundred_items_by_hand(shell: Shell) -> None:
    run = shell.start({"items": 100, "seed": 7})
    check(shell, run, 100, 7)
    assert shell.errors.count(f"{run['id']} succeeded: 100 items") == 1, "the finalizer speaks once"


def test_a_schedule_starts_it(shell: Shell) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "rota", "serve", EXAMPLE.name],
        cwd=shell.place,
        env=shell.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        assert any("rota: serving" in line for line in server.stderr)
        [schedule] = shell.rota("schedule", "list")
        assert schedule["target"] == "batch:random-values"
        shell.rota("schedule", "trigger", "four-times-a-day")
        deadline = time.monotonic() + PATIENCE
        while not any(told["state"] == "succeeded" for told in shell.notifications()):
            assert time.monotonic() < deadline, "the finalizer was never told"
            time.sleep(0.05)
        [run] = shell.rota("batch", "list")
        assert run["cause"].startswith("four-times-a-day@")
        check(shell, run, 100, 0)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=PATIENCE)
    assert server.returncode == 0


def test_a_wrong_payload_ends_the_batch_run_with_the_reason(shell: Shell) -> None:
    with pytest.raises(AssertionError, match=r"Expected `int`, got `str` - at `\$.items`"):
        shell.start({"items": "many"})
    [told] = shell.notifications()
    assert told["payload"]["outcome"] == "failed"


@pytest.mark.slow
def test_a_million_items(shell: Shell) -> None:
    check(shell, shell.start({"items": 1_000_000, "seed": 7}), 1_000_000, 7)


@pytest.mark.slow
def test_its_page_does_what_it_says(shell: Shell) -> None:
    with Session(shell.place) as session:
        for block in blocks(EXAMPLE.with_name("README.md")):
            session.carry_out(block)
