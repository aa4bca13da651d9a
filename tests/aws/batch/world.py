"""The functions of batch runs in this process: queues in memory that lose, repeat and reorder, functions that die."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import ClientError
from tests.aws.batch.memory_ledger import MemoryLedger

from rota.app import App
from rota.aws.batch.benches import Benches
from rota.aws.batch.dead import BatchDead
from rota.aws.batch.finalizer import Finalizer
from rota.aws.batch.ledger import Ledger
from rota.aws.batch.messages import PlanMessage
from rota.aws.batch.planner import Planner
from rota.aws.batch.post import Post
from rota.aws.batch.processor import Processor, Visit
from rota.aws.batch.sending import SendingBatches
from rota.aws.batch.settings import BatchSettings
from rota.aws.batch.sweeper import Sweeper
from rota.aws.holding import HELD
from rota.aws.near import NearTier
from rota.connectors.stored import sink_json, source_json
from rota.core.batch import BatchKey, BatchRun
from rota.core.run import Run
from rota.service.batches import Surroundings, new_run
from rota.testing import Crash, FakeClock, MemoryStores
from rota.testing.sqs import FakeSqs, Held

BASE = "https://sqs.us-east-1.amazonaws.com/123456789012"
CHUNKS, PLAN, FINALIZE = f"{BASE}/shop-chunks.fifo", f"{BASE}/shop-plan", f"{BASE}/shop-finalize"
SETTINGS = BatchSettings(chunks=CHUNKS, plan=PLAN, finalize=FINALIZE, bucket="shop", pipeline=CHUNKS)
VISIBILITY = 90_000
LEFT = 60_000
RECEIVED_AT_MOST = 10


def client_error(code: str, message: str, status: int, action: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},
        action,
    )


@contextmanager
def out_of_reach(path: Path) -> Iterator[None]:
    """Meanwhile the file cannot be read, by an error that may pass."""
    aside = path.rename(path.with_name("aside"))
    path.symlink_to(path)
    yield
    path.unlink()
    aside.rename(path)


class Killed(BaseException):
    """The function is no more."""


@dataclass
class World:
    """dies: whether the function that gets this message dies in it; asked before, with how often it was received.
    told: runs that notified, each as often as it was handed over."""

    app: App
    place: Path
    seed: int = 0
    patience: float = 3.0
    wrap: Callable[[Any], Any] = lambda it: it
    told: list[Run] = field(default_factory=list)
    deaths: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.clock = FakeClock()
        self.stores = MemoryStores()
        self.ledger = MemoryLedger(self.stores.state, self.stores.runs)
        self.sqs = FakeSqs(self.clock, (CHUNKS, PLAN, FINALIZE), client_error)
        self.dead: list[tuple[str, str]] = []
        self.messages = 0
        self.restart()

    def restart(self) -> None:
        """New environments for all functions."""
        ledger: Ledger = self.wrap(self.ledger)
        near = NearTier(self.wrap(self.sqs), self.clock, threads=1, sleep=lambda _: None)
        post = Post(near, SETTINGS)
        benches = Benches(self.app.tasks, self.app.batches, self.patience)
        self.planner = Planner(ledger, post, self.clock, benches, sleep=self.pass_by)
        self.processor = Processor(ledger, post, self.clock, benches)
        self.finalizer = Finalizer(ledger, post, self.clock, self.told.extend)
        self.sweeper = Sweeper(ledger, post, self.clock)
        self.bury = BatchDead(ledger, post, self.processor, self.finalizer)
        self.client = SendingBatches(ledger, post, self.clock)
        self.post = post

    def pass_by(self, seconds: float) -> None:
        self.clock.advance(round(seconds * 1000))

    def start(self, name: str, **changes: Any) -> BatchKey:
        batch = msgspec.structs.replace(self.app.batches[name], **changes)
        around = Surroundings(f"{self.place}/{{run}}", str(self.place), 4)
        source, sink = source_json(batch.source), sink_json(batch.sink)
        [run] = self.ledger.accept([new_run(batch, source, sink, around, self.clock.now())])
        self.post.plan(PlanMessage(run.id))
        return run.key

    def run(self, key: BatchKey) -> BatchRun:
        [found] = self.ledger.get([key])
        return found

    # delivering

    def step(self, *, twice: float = 0.0) -> bool:
        """Deliver one message of any queue, in any order that SQS may choose; False if there is none at all."""
        waiting = self._deliverable()
        if not waiting:
            hidden = [held.visible for them in self.sqs.held.values() for held in them]
            hidden = [at for at in hidden if at > self.clock.now()]
            if hidden:
                self.clock.set(min(hidden))
            return bool(hidden)
        queue, held = self.rng.choice(waiting)
        self.messages += 1
        held.received += 1
        held.visible = self.clock.now() + VISIBILITY
        if held.received > RECEIVED_AT_MOST:
            self.sqs.delete(queue, held)
            self.dead.append((queue, held.body))
            self._invoke(queue, held, lambda: self.bury.handle(held.body, self._visit(held, 1)))
            return True
        handled = self._invoke(queue, held, lambda: self._handle(queue, held))
        if handled and self.rng.random() >= twice:
            self.sqs.delete(queue, held)
        return True

    def _deliverable(self) -> list[tuple[str, Held]]:
        now = self.clock.now()
        found = [(url, held) for url in (PLAN, FINALIZE) for held in self.sqs.held[url] if held.visible <= now]
        blocked: set[str | None] = set()
        for held in self.sqs.held[CHUNKS]:
            if held.group not in blocked and held.visible <= now:
                found.append((CHUNKS, held))
            blocked.add(held.group)
        return found

    def _invoke(self, queue: str, held: Held, call: Callable[[], object]) -> bool:
        try:
            return call() is not False
        except (Crash, Killed):
            self.deaths += 1
            self.restart()
            return False

    def _handle(self, queue: str, held: Held) -> bool:
        if queue == PLAN:
            self.planner.handle(held.body, held.received, self._left)
            return True
        if queue == FINALIZE:
            self.finalizer.handle(held.body, held.received)
            return True
        return self.processor.handle(held.body, self._visit(held, held.received))

    def _visit(self, held: Held, received: int) -> Visit:
        def put_back(seconds: int) -> None:
            held.visible = self.clock.now() + 1000 * seconds

        return Visit(received, self._left, lambda seconds: put_back(min(seconds, HELD)), put_back)

    def _left(self) -> int:
        return LEFT

    def until_ended(self, key: BatchKey, *, most: int = 5000, twice: float = 0.0) -> BatchRun:
        """Deliver until the batch run has ended, with the sweeper's help if nothing is left to deliver."""
        for _ in range(most):
            if not self.run(key).is_open:
                return self.run(key)
            if not self.step(twice=twice):
                self.clock.advance(3_600_000)
                self.sweeper.sweep()
        run, left = self.run(key), {url[-10:]: len(held) for url, held in self.sqs.held.items()}
        raise AssertionError(f"{run.shown_state} after {most} messages, {run.done} of {run.sealed} done: {left}")

    def drain(self) -> None:
        """Deliver all that is left."""
        for _ in range(2000):
            if not self.step():
                return
        raise AssertionError("there is no end to it")


def lines(place: Path, pattern: str = "part-*") -> list[Any]:
    """What parts hold, in their order."""
    found = []
    for path in sorted(place.glob(pattern)):
        found += [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    return found
