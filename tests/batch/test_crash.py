"""Workers and engines are killed at random moments; ledger, receipt and results are exact each time, from whatever
source into whatever sink, also of a redrive."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from itertools import product
from pathlib import Path

import pytest
from tests.batch import crashing
from tests.batch.crashing import FILES, GENERATOR, PARTS, SINKS, SOURCES, TABLE, app, declare

from rota import wiring
from rota.client import Client
from rota.core.batch import BatchRun
from rota.core.receipt import Counts

PATIENCE = 300
ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = list(product(SOURCES, SINKS))


class Victim:
    """A server process, its workers, and what stays behind when they die."""

    def __init__(self, root: Path, items: int, source: str, sink: str) -> None:
        self.root = root
        self.items = items
        self.source = source
        self.sink = sink
        self.url = f"sqlite:///{root / 'rota.db'}"
        if source in FILES:
            FILES[source](root / source, items)
        self.process = self.serve()

    def serve(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.batch.crashing", self.url, self.source, self.sink]
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, crashing.ROOT: str(self.root)})

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def kill_worker(self, dice: random.Random) -> None:
        forges = _children(self.process.pid)
        workers = [pid for forge in forges for pid in _children(forge)]
        if workers:
            with suppress(ProcessLookupError):
                os.kill(dice.choice(workers), signal.SIGKILL)

    def done_parts(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (self.root / "results").glob("part-*")}

    def results(self) -> list[int]:
        return crashing.results(self.root, self.sink)


def _children(pid: int) -> list[int]:
    try:
        return [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def marked_parts(client: Client, id: str, victim: Victim) -> dict[str, int]:
    """The parts of chunks whose marks are stored, and when they were written; of part files only, since other sinks
    have none for good."""
    if victim.sink != PARTS:
        return {}
    run, found, after = client.batches.get(id), {}, -1
    with closing(wiring.database(victim.url)) as file:
        while rows := file.batches.chunks(run.key, "done", after, 1000):
            for row in rows:
                assert row.mark is not None
                found[row.mark.parts[0].name] = victim.done_parts()[row.mark.parts[0].name]
            after = rows[-1].chunk.number
    return found


class Killer:
    """Kills while a batch run goes on, and sees that no chunk that is done is done again. What has a mark and is cut
    anew, because its cut was guessed wrongly, is none that is done."""

    def __init__(self, victim: Victim, dice: random.Random) -> None:
        self._victim = victim
        self._dice = dice
        self._before: dict[str, int] = {}

    def kill(self, client: Client, id: str, kills: int) -> BatchRun:
        """Answers the batch run as it ended."""
        for _ in range(kills):
            time.sleep(self._dice.uniform(0.05, 0.6))
            if not client.batches.get(id).is_open:
                break
            if self._dice.random() < 0.5:
                self._victim.kill_worker(self._dice)
            else:
                self._victim.kill()
                self.look(client, id)
                self._victim.process = self._victim.serve()
        return client.batches.wait(id, PATIENCE)

    def look(self, client: Client, id: str) -> None:
        now = marked_parts(client, id, self._victim)
        if not self._victim.source.endswith(".csv"):
            assert {name: now[name] for name in self._before} == self._before, "a finished chunk was repeated"
        self._before = now


def check(victim: Victim, seed: int, kills: int) -> None:
    dice = random.Random(seed)
    killer = Killer(victim, dice)
    declare(victim.root, victim.source, victim.sink)
    sevens = range(7, victim.items, 1000)
    with wiring.connect(victim.url, app, durability="process") as client:
        payload = victim.items if victim.source == GENERATOR else None
        run = client.batches.start("squares", payload=payload, chunk_items=max(50, victim.items // 400))
        ended = killer.kill(client, run.id, kills)
        assert (ended.state, ended.error) == ("succeeded", "")
        assert ended.counts == Counts(victim.items, victim.items - len(sevens), len(sevens))
        assert client.batches.verify(run.id) == []
        killer.look(client, run.id)
        assert victim.results() == [number for number in range(victim.items) if number not in sevens]
        assert len(list(client.batches.dead_letters(run.id))) == len(sevens)
        [told] = client.queues.receive("told", limit=10, wait=PATIENCE)
        assert json.loads(told.body)["root"] == ended.root
        client.queues.ack(told.receipt)

        (victim.root / "mended").touch()
        client.batches.redrive(run.id)
        mended = killer.kill(client, run.id, max(2, kills // 4))
        assert (mended.state, mended.error, mended.version) == ("succeeded", "", 2)
        assert mended.counts == Counts(victim.items, victim.items)
        assert client.batches.verify(run.id) == []
        assert sorted(victim.results()) == list(range(victim.items))
        assert list(client.batches.dead_letters(run.id)) == []
        assert client.queues.receive("told", limit=10) == [], "the outcome is what it was"


@pytest.mark.parametrize(("source", "sink"), [("items.jsonl", PARTS), ("items.csv", TABLE)])
def test_killed_now_and_then(tmp_path: Path, source: str, sink: str) -> None:
    victim = Victim(tmp_path, 40_000, source, sink)
    try:
        check(victim, SOURCES.index(source), 8)
    finally:
        victim.kill()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    victim = Victim(tmp_path, 200_000, *EVERYTHING[seed % len(EVERYTHING)])
    try:
        check(victim, 1000 + seed, 40)
    finally:
        victim.kill()
