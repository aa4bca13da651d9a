"""Workers and engines are killed at random moments; ledger, receipt and results are exact each time."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.batch.crashing import app

from rota import wiring
from rota.client import Client
from rota.core.receipt import Counts

PATIENCE = 300
ROOT = Path(__file__).resolve().parents[2]


class Victim:
    """A server process, its workers, and what stays behind when they die."""

    def __init__(self, root: Path, items: int, chunk_items: int) -> None:
        self.root = root
        self.items = items
        self.url = f"sqlite:///{root / 'rota.db'}"
        self.sink = f"{root}/results/"
        self._arguments = [self.url, str(root / "items.jsonl"), self.sink, str(chunk_items)]
        (root / "items.jsonl").write_text("".join(f'{{"id": {number}}}\n' for number in range(items)))
        self.process = self.serve()

    def serve(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.batch.crashing", *self._arguments]
        return subprocess.Popen(command, cwd=ROOT)

    def kill_worker(self, dice: random.Random) -> None:
        forges = _children(self.process.pid)
        workers = [pid for forge in forges for pid in _children(forge)]
        if workers:
            with suppress(ProcessLookupError):
                os.kill(dice.choice(workers), signal.SIGKILL)

    def done_parts(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (self.root / "results").glob("part-*")}


def _children(pid: int) -> list[int]:
    try:
        return [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def marked_parts(client: Client, id: str, victim: Victim) -> dict[str, int]:
    """The parts of chunks whose marks are stored, and when they were written."""
    run, found, after = client.batches.get(id), {}, -1
    with closing(wiring.database(victim.url)) as file:
        while rows := file.batches.chunks(run.key, "done", after, 1000):
            for row in rows:
                assert row.mark is not None
                found[row.mark.parts[0].name] = victim.done_parts()[row.mark.parts[0].name]
            after = rows[-1].chunk.number
    return found


def check(victim: Victim, seed: int, kills: int) -> None:
    dice = random.Random(seed)
    app.batches.clear()
    source = str(victim.root / "items.jsonl")
    app.batch("squares", source=source, task="work", sink=victim.sink, concurrency=2, notify=["queue:told"])
    with wiring.connect(victim.url, app, durability="process") as client:
        run = client.batches.start(
            "squares",
            chunk_items=max(50, victim.items // 400),
            concurrency=2,
            tolerated_failures="1%",
        )
        before: dict[str, int] = {}
        for _ in range(kills):
            time.sleep(dice.uniform(0.05, 0.6))
            if not client.batches.get(run.id).is_open:
                break
            if dice.random() < 0.5:
                victim.kill_worker(dice)
            else:
                victim.process.kill()
                victim.process.wait()
                now = marked_parts(client, run.id, victim)
                assert {name: now[name] for name in before} == before, "a finished chunk was repeated"
                before = now
                victim.process = victim.serve()
        ended = client.batches.wait(run.id, PATIENCE)
        failed = len(range(7, victim.items, 1000))
        assert (ended.state, ended.error) == ("succeeded", "")
        assert ended.counts == Counts(victim.items, victim.items - failed, failed)
        assert client.batches.verify(run.id) == []
        now = marked_parts(client, run.id, victim)
        assert {name: now[name] for name in before} == before, "a finished chunk was repeated"
        results = [
            json.loads(line)["id"]
            for path in sorted((victim.root / "results").glob("part-*"))
            for line in path.read_text().splitlines()
        ]
        assert results == [number for number in range(victim.items) if number % 1000 != 7]
        assert len(list(client.batches.dead_letters(run.id))) == failed
        [told] = client.queues.receive("told", limit=10, wait=PATIENCE)
        assert json.loads(told.body)["root"] == ended.root


@pytest.mark.parametrize("seed", range(2))
def test_killed_now_and_then(tmp_path: Path, seed: int) -> None:
    victim = Victim(tmp_path, 40_000, 100)
    try:
        check(victim, seed, 8)
    finally:
        victim.process.kill()
        victim.process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    victim = Victim(tmp_path, 200_000, 500)
    try:
        check(victim, 1000 + seed, 40)
    finally:
        victim.process.kill()
        victim.process.wait()
