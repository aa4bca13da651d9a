"""A stack in memory: stores, far tier, SQS, feeder and dispatcher, on a clock that moves from event to event."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from botocore.exceptions import ClientError

from rota.app import App
from rota.aws.attempts import Perform, performing
from rota.aws.dead_copies import DeadCopies
from rota.aws.dispatcher import Delivered, Dispatcher
from rota.aws.feeder import Fed, Feeder
from rota.aws.handing import HandingRuns, HandingSchedules
from rota.aws.handover import Handover
from rota.aws.holding import EVERY
from rota.aws.near import NearTier
from rota.aws.receipts import Receipts
from rota.aws.settings import StackSettings
from rota.aws.telemetry import Telemetry
from rota.client import Client
from rota.core.errors import TargetError
from rota.core.outcome import Result
from rota.core.run import Run, RunKey
from rota.core.target import HttpTarget, SqsTarget
from rota.ports.clock import Clock
from rota.service.work import no_task_policy
from rota.targets.sqs import SqsCall
from rota.testing import CountingIds, FakeClock, Fuse, MemoryStores
from rota.testing.memory.far import MemoryFarTier
from rota.testing.sqs import FakeSqs

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
BASE = "https://sqs.us-east-1.amazonaws.com/123456789012"
DISPATCH, WORKER, DEAD, DATA = (f"{BASE}/shop-{name}" for name in ("dispatch", "worker", "dead", "data"))
ORDERS = f"{BASE}/orders.fifo"
FUNCTION = 60_000
"""Milliseconds that a function may take."""
VISIBILITY = 6 * FUNCTION
HOOK = "https://shop.example/hook"
SETTINGS = StackSettings(
    stack="shop",
    table="shop",
    dispatch_queue=DISPATCH,
    worker_queue=WORKER,
    dead_queue=DEAD,
    queue_prefix=f"{BASE}/shop-",
)


def client_error(code: str, message: str, status: int, action: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},
        action,
    )


class Skewed:
    """The clock of a machine that is `by` milliseconds off."""

    def __init__(self, clock: FakeClock, by: int) -> None:
        self._clock = clock
        self._by = by

    def now(self) -> int:
        return self._clock.now() + self._by


class MemoryLeases:
    """Leases in memory. extended: something was."""

    def __init__(self) -> None:
        self.kept: dict[RunKey, int] = {}
        self.extended = threading.Event()

    def extend(self, keys: Sequence[RunKey], until: int) -> None:
        self.kept |= dict.fromkeys(keys, until)
        self.extended.set()

    def until(self, key: RunKey) -> int:
        return self.kept.get(key, 0)


class Measured:
    """A sink of figures."""

    def __init__(self) -> None:
        self.put_: list[tuple[str, float]] = []

    def put(self, name: str, value: float, unit: str) -> None:
        self.put_.append((name, value))

    def total(self, name: str) -> float:
        return sum(value for one, value in self.put_ if one == name)


class Stack:
    """attempts: (run id, when) of every attempt of a target. fail: whether an attempt is to fail. known: what targets
    answer when they are asked about an attempt that was cut off."""

    def __init__(
        self, *, shards: int = 3, skew: int = 0, feeder_skew: int = 0, seed: int = 0, app: App | None = None
    ) -> None:
        self.rng = random.Random(seed)
        self.clock = FakeClock()
        self.stores = MemoryStores()
        self.far = MemoryFarTier(self.stores.state, shards)
        self.sqs = FakeSqs(self.clock, (DISPATCH, WORKER, DEAD, DATA, ORDERS), client_error)
        self.attempts: list[tuple[str, int]] = []
        self.fail: Callable[[Run], bool] = lambda _: False
        self.known: Callable[[Run], Result | None] = lambda _: None
        self.leases = MemoryLeases()
        self.measured = Measured()
        self.skew, self.feeder_skew = skew, feeder_skew
        self.feeding = True
        self.worst = False
        self.next_feed = self.clock.now()
        self.client = self._client(app)

    def _client(self, app: App | None, fuse: Fuse | None = None) -> Client:
        handover, used = self.handover(self.clock, fuse), fuse or Fuse()
        schedules, runs, far = used.wrap(self.stores.schedules), used.wrap(self.stores.runs), used.wrap(self.far)
        return Client(
            HandingSchedules(schedules, handover, self.clock),
            HandingRuns(runs, schedules, far, handover, self.clock, far.withdraw),
            self.stores.queues,
            self.stores.batches,
            self.clock,
            CountingIds("once"),
            app=app,
        )

    def dying_client(self, fuse: Fuse) -> Client:
        """A client that dies when the fuse burns."""
        return self._client(None, fuse)

    def handover(self, clock: Clock, fuse: Fuse | None = None) -> Handover:
        near = NearTier((fuse or Fuse()).wrap(self.sqs), clock, threads=1, sleep=lambda _: None)
        return Handover(near, (fuse or Fuse()).wrap(self.far), SETTINGS)

    def feeder(
        self, fuse: Fuse | None = None, *, holder: str = "feeder", skew: int | None = None, page: int = 7
    ) -> Feeder:
        clock = Skewed(self.clock, self.feeder_skew if skew is None else skew)
        used = fuse or Fuse()
        return Feeder(
            used.wrap(self.far),
            used.wrap(self.stores.schedules),
            self.handover(clock, fuse),
            clock,
            horizon=SETTINGS.horizon * 1000,
            holder=holder,
            threads=1,
            page=page,
        )

    def feed(self, fuse: Fuse | None = None, *, holder: str = "feeder") -> Fed:
        return self.feeder(fuse, holder=holder).feed(lambda: FUNCTION)

    def dispatcher(
        self, queue: str = DISPATCH, fuse: Fuse | None = None, perform: Perform | None = None, every: float = EVERY
    ) -> Dispatcher:
        clock, used = Skewed(self.clock, self.skew), fuse or Fuse()
        handover = self.handover(clock, fuse)
        return Dispatcher(
            used.wrap(self.stores.schedules),
            used.wrap(self.stores.runs),
            handover,
            clock,
            queue,
            perform=perform or performing({HttpTarget: self._call, SqsTarget: SqsCall(self._client_of)}),
            policy=no_task_policy,
            inquire=self.known,
            telemetry=Telemetry(self.measured),
            leases=used.wrap(self.leases),
            dead=DeadCopies(self.stores.runs, handover.near, DEAD),
            threads=1,
            every=every,
            sleep=lambda seconds: void(self.clock.advance(round(seconds * 1000))),
        )

    def _client_of(self, service: str, region: str | None = None, *, once: bool = False) -> FakeSqs:
        assert service == "sqs"
        return self.sqs

    def _call(self, run: Run) -> bytes | None:
        self.attempts.append((run.id, self.clock.now()))
        if self.fail(run):
            raise TargetError("the hook is out of order")
        return b'"ok"'

    def deliver(self, queue: str = DISPATCH, fuse: Fuse | None = None) -> int:
        """Hand what is visible to the dispatcher, as an event source does; answers how many messages."""
        due = self.sqs.due(queue, visibility=VISIBILITY, rng=self.rng if self.worst else None)
        for start in range(0, len(due), 10):
            batch = due[start : start + 10]
            delivered = [Delivered(held.id, held.body, held.received, held.receipt) for held in batch]
            receipts = Receipts(self.sqs, queue, delivered, FUNCTION // 1000)
            with suppress(ClientError):
                receipts.hide()
            again = set(self.dispatcher(queue, fuse).handle(delivered, lambda: FUNCTION))
            receipts.put_back(again)
            for held in batch:
                if held.id not in again:
                    self.sqs.delete(queue, held)
        return len(due)

    def pass_by(self, by: int) -> None:
        """Let time pass: the feeder runs every minute, messages are delivered when they can be."""
        end = self.clock.now() + by
        while True:
            soonest = [held.visible for held in (*self.sqs.held[DISPATCH], *self.sqs.held[WORKER])]
            at = min([*soonest, *([self.next_feed] if self.feeding else [])], default=end + 1)
            if at > end:
                break
            self.clock.set(max(at, self.clock.now()))
            if self.feeding and self.next_feed <= self.clock.now():
                self.next_feed = self.clock.now() + MINUTE
                self.feed()
            self.deliver()
        self.clock.set(max(end, self.clock.now()))

    def fired(self) -> list[str]:
        return [run for run, _ in self.attempts]

    def data(self) -> list[str]:
        """The bodies that can be received from the data queue now."""
        return [held.body for held in self.sqs.held[DATA] if held.visible <= self.clock.now()]


def void(_: object) -> None:
    """The answer does not matter."""
