"""Bad days of a deployed stack. Each ends with nothing lost, and nothing fired that was cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.aws.stack.account import Account
from tests.aws.stack.site import PATIENCE, Endpoint, Site, deployed, quiet_deployer, synthesis

from rota.core.errors import RotaError
from rota.testing.emulator import Emulator, Fault

pytestmark = pytest.mark.xdist_group("stack")
EACH = 15
THROTTLED = "ProvisionedThroughputExceededException"
EXECUTE, RECEIVE = "internal.lambda.Execute", "internal.sqs.ReceiveMessage"
FAULTS: Mapping[str, Mapping[str, Fault]] = {
    "all at once": {
        "dynamodb.*": Fault(p=0.1, code=THROTTLED),
        "dynamodb.BatchWriteItem": Fault(p=0.3, unprocessed=True),
        "sqs.SendMessageBatch": Fault(p=0.3, partial=True),
        RECEIVE: Fault(shuffle=True),
        EXECUTE: Fault(p=0.2, twice=True, match="Dispatcher"),
    },
    "functions are killed": {EXECUTE: Fault(p=0.2, kill=True, within_ms=400)},
    "all is throttled": {
        "dynamodb.*": Fault(p=0.3, code=THROTTLED),
        "sqs.SendMessageBatch": Fault(p=0.3, code="RequestThrottled", status=403),
        "lambda.Invoke": Fault(p=0.3, code="TooManyRequestsException", status=429),
    },
    "all fails": {
        "dynamodb.*": Fault(p=0.2, code="InternalServerError", status=500),
        "sqs.SendMessageBatch": Fault(p=0.2, code="ServiceUnavailable", status=503),
    },
    "answers get lost": {
        "dynamodb.*": Fault(p=0.15, lost=True, code="InternalServerError", status=500),
        "sqs.SendMessageBatch": Fault(p=0.15, lost=True, code="InternalError", status=500),
    },
    "batches are taken in part": {
        "dynamodb.BatchWriteItem": Fault(p=0.5, unprocessed=True),
        "dynamodb.BatchGetItem": Fault(p=0.5, unprocessed=True),
        "sqs.SendMessageBatch": Fault(p=0.5, partial=True),
    },
    "messages come twice and in any order": {
        "sqs.SendMessageBatch": Fault(p=0.5, twice=True),
        RECEIVE: Fault(shuffle=True),
        EXECUTE: Fault(p=0.5, twice=True),
    },
}
QUICK = ("functions are killed",)


class Day:
    """One-offs for a queue, an endpoint and a task, of which every fifth is cancelled, and what came of them."""

    def __init__(self, site: Site, endpoint: Endpoint, file: Path) -> None:
        self.site = site
        self.account = Account()
        self._endpoint = endpoint
        self._file = file
        self._targets = ("queue:data", endpoint.target, "task:note")

    def load(self, each: int = EACH, first: float = 4.0, spread: float = 4.0) -> None:
        """first: seconds from now when the first are due. spread: seconds until the last."""
        begin = time.time() + first
        for n in range(each):
            for target in self._targets:
                self._one(begin + spread * n / each, target, cancel=n % 5 == 4)

    def _one(self, when: float, target: object, *, cancel: bool) -> None:
        try:
            run = self.site.client.at(when, target, {"to": str(self._file)})
        except RotaError:
            self.account.fail()
            return
        self.account.acknowledge([run])
        if not cancel:
            return
        try:
            record = self.site.client.runs.cancel(run)
        except RotaError:
            self.account.doubt(run)
            return
        # One that had begun is asked to stop, which promises nothing.
        begun = record.state != "cancelled" or record.started is not None
        (self.account.doubt if begun else self.account.cancel)(run)

    def over(self, patience: float = 25, *, feeding: bool = True) -> None:
        """Until all has arrived, for so many seconds at most with the faults that are set, and on without them."""
        end = time.monotonic() + patience
        while self.read(1) and time.monotonic() < end:
            if feeding:
                self.site.feed_somehow()
        self.site.emulator.faults({})
        end = time.monotonic() + PATIENCE
        while self.read(1) and time.monotonic() < end:
            if feeding:
                self.site.feed_somehow()
        # What must not arrive would do so now.
        self.read(2)

    def read(self, wait: float) -> bool:
        """Whether something is still to come."""
        account = self.account
        account.arrivals = [it for it in account.arrivals if not it.attempt]
        account.read_queue(self.site, self.site.outputs["DataQueueUrl"], wait)
        account.read_calls(list(self._endpoint.calls))
        account.read_file(self._file)
        return bool(account.missing)


@pytest.fixture
def day(ground: Emulator, endpoint: Endpoint, tmp_path: Path) -> Iterator[Day]:
    """On a stack of its own, which nobody has fed: what is loaded waits in the table."""
    with deployed(ground, "day") as site:
        site.resting()
        site.hasty()
        yield Day(site, endpoint, tmp_path / "done")


@pytest.mark.parametrize("kind", [it if it in QUICK else pytest.param(it, marks=pytest.mark.slow) for it in FAULTS])
def test_nothing_is_lost_and_nothing_fires_that_was_cancelled(day: Day, kind: str) -> None:
    day.site.emulator.faults(FAULTS[kind])
    day.load(first=2)
    day.site.feed_somehow()
    day.load(first=1)
    day.over()
    assert day.account.check() == []
    assert len(day.account.cancelled) > EACH // 4


@pytest.mark.slow
def test_a_function_that_was_killed_is_noticed_long_before_its_messages_would_come_back(
    site: Site, tmp_path: Path
) -> None:
    """With the timeouts of the template: 300 seconds of the worker, 1800 of its queue."""
    url = site.outputs["WorkerQueueUrl"]
    asked = site.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    assert int(asked["Attributes"]["VisibilityTimeout"]) > 5 * PATIENCE
    run = site.client.at(time.time() + 1, "task:die_once", {"to": str(tmp_path / "done")})
    record = site.ended(run)
    assert (record.state, record.attempt) == ("succeeded", 2)
    assert [it.attempt for it in record.attempts] == [1]


@pytest.mark.slow
def test_a_feeder_that_was_down_catches_up_in_time_order(day: Day) -> None:
    day.load(first=10, spread=4)
    time.sleep(16)
    assert day.read(0.1)
    assert day.account.arrivals == []
    assert day.site.feed()["runs"] > 2 * EACH
    day.over(feeding=False)
    assert day.account.check() == []


def test_two_feeders_at_once_hand_over_each_run_once_to_its_target(day: Day) -> None:
    day.load(each=30)
    feeders = [threading.Thread(target=day.site.feed_somehow) for _ in range(4)]
    for one in feeders:
        one.start()
    for one in feeders:
        one.join()
    day.over(feeding=False)
    assert day.account.check() == []


@pytest.mark.slow
@pytest.mark.parametrize(("feeder", "dispatcher"), [(5000, -5000), (-5000, 5000)])
def test_clocks_that_differ_by_seconds(day: Day, feeder: int, dispatcher: int) -> None:
    day.site.function("FeederName", ROTA_EMULATOR_SKEW_MS=str(feeder))
    for name in ("Dispatcher", "Worker", "AdHocName"):
        day.site.function(name, ROTA_EMULATOR_SKEW_MS=str(dispatcher))
    day.load(first=8)
    day.site.feed_somehow()
    day.load(first=6)
    day.over()
    assert day.account.check(early=5000) == []


def test_more_and_fewer_shards_while_everybody_writes(day: Day) -> None:
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            day.load(each=5, first=3)

    def feed() -> None:
        while not over.is_set():
            day.site.feed_somehow()

    threads = [threading.Thread(target=it) for it in (write, write, feed)]
    for one in threads:
        one.start()
    for shards in ("16", "2"):
        it = quiet_deployer()
        it.execute(it.plan(day.site.name, synthesis(), {"Shards": shards}))
        day.site.resting()
        enough = len(day.account.acknowledged) + 15
        time.sleep(2)
        while len(day.account.acknowledged) < enough and any(it.is_alive() for it in threads):
            time.sleep(0.1)
    over.set()
    for one in threads:
        one.join()
    day.over()
    assert day.account.check() == []
    assert len(day.account.acknowledged) > 30
