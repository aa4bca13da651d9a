"""A message goes when it is done with or cannot be read; whatever else happens brings it back, until it counts."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from tests.aws.batch.test_engine import shop
from tests.aws.batch.world import CHUNKS, LEFT, World, client_error

from rota.aws.batch.deliveries import Deliveries
from rota.aws.batch.messages import FinishMessage, UnreadableError, decode_batch_message, encode_batch_message
from rota.aws.batch.pipe_messages import chunk_message
from rota.aws.batch.processor import Visit
from rota.aws.batch_cost import Work, usage
from rota.aws.bill import Usage
from rota.aws.holding import HELD, beats
from rota.core.errors import InvalidError, StoreError

READABLE = encode_batch_message(FinishMessage("orders@2026-11-21T03:00:00Z"))
UNREADABLE = ("", "{}", "[1]", '{"kind":"finish","run":"nobody","v":1}', '{"kind":"chunk","run":"orders","job":{}}')


def record(body: str, received: int = 1, id: str = "m") -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": str(received)}
    return {"messageId": id, "receiptHandle": f"receipt of {id}", "body": body, "attributes": attributes}


class Function:
    """An environment of one. deal: what it does with a body. held: for how long which message was hidden."""

    def __init__(self, deal: Any) -> None:
        self.held: list[tuple[str, int]] = []
        self.now = 0.0
        self.deal = deal
        self.deliveries = Deliveries(self.hold, clock=lambda: self.now)

    def hold(self, receipt: str, seconds: int) -> None:
        self.held.append((receipt, seconds))

    def deliver(self, *records: dict[str, Any]) -> list[str]:
        return self.deliveries.deliver(records, lambda: LEFT, self.deal)


def raising(error: Exception) -> Function:
    def deal(_body: str, _visit: Visit) -> None:
        raise error

    return Function(deal)


def test_each_message_of_an_event_is_dealt_with_by_itself() -> None:
    function = Function(lambda body, _visit: {"done": None, "again": False}[body])
    asked = [record("done", id="a"), record("again", id="b"), record("neither", id="c"), record("done", id="d")]
    assert function.deliver(*asked) == ["b", "c"]


@pytest.mark.parametrize("body", UNREADABLE)
def test_what_cannot_be_read_is_dropped(body: str) -> None:
    with pytest.raises(UnreadableError, match="message"):
        decode_batch_message(body)
    assert Function(lambda it, _visit: decode_batch_message(it)).deliver(record(body)) == []


def test_what_another_function_should_have_got_is_dropped(tmp_path: Path) -> None:
    world = World(shop(tmp_path, 10), tmp_path)
    plan = encode_batch_message(FinishMessage("orders@2026-11-21T03:00:00Z"))
    assert Function(world.processor.handle).deliver(record(plan)) == []
    assert Function(lambda body, _: world.planner.handle(body, 1, lambda: LEFT)).deliver(record(plan)) == []
    assert Function(lambda body, _: chunk_message(body)).deliver(record(plan)) == []


@pytest.mark.parametrize(
    "error",
    [
        InvalidError("app", "shop", "a module of the bundle"),
        StoreError("throttled"),
        ValueError("a bug"),
        client_error("ThrottlingException", "slow down", 400, "PutItem"),
    ],
)
def test_any_other_error_brings_the_message_back_later_and_later(error: Exception) -> None:
    function = raising(error)
    assert function.deliver(record(READABLE, 2), record(READABLE, 5), record(READABLE, 10)) == ["m", "m", "m"]
    assert [seconds for _, seconds in function.held if seconds > HELD] == [60, 480, 7200]


def test_what_is_put_back_stays_away_as_long_as_was_asked() -> None:
    function = Function(lambda _body, visit: visit.put_back(512) or False)
    assert function.deliver(record(READABLE)) == ["m"]
    assert function.held[-1] == ("receipt of m", 512)


def test_a_message_of_another_version_waits_for_functions_that_know_it() -> None:
    newer = READABLE.removesuffix("}") + ',"v":2}'
    assert Function(lambda it, _visit: decode_batch_message(it)).deliver(record(newer)) == ["m"]


def test_an_app_that_cannot_be_loaded_loses_no_chunk(tmp_path: Path) -> None:
    """The functions of a bundle that is broken deliver a message until it is a dead letter, which counts."""
    world = World(shop(tmp_path, 20), tmp_path)
    key = world.start("double")
    while not world.sqs.held[CHUNKS]:
        world.step()
    broken = raising(InvalidError("app", "shop", "a module of the bundle"))
    for held in world.sqs.held[CHUNKS]:
        while held.received < 10:
            held.received += 1
            assert broken.deliver(record(held.body, held.received)) == ["m"]
    run = world.until_ended(key, most=500)
    assert (run.outcome, run.counts.items, run.counts.failed) == ("failed", 20, 20)


class Working(Function):
    """It waits in each message until that is hidden, if it is to be at once, and takes so many seconds."""

    def __init__(self) -> None:
        super().__init__(self.work)
        self.beaten = threading.Event()

    def hold(self, receipt: str, seconds: int) -> None:
        super().hold(receipt, seconds)
        self.beaten.set()

    def work(self, body: str, _visit: Visit) -> None:
        if body.startswith("hidden"):
            assert self.beaten.wait(30)
        self.beaten.clear()
        self.now += float(body.partition(" ")[2])


def test_what_an_environment_gets_first_is_hidden_at_once_and_short_ones_after_it_cost_nothing() -> None:
    function = Working()
    function.deliver(record("hidden 0.5", id="a"))
    assert function.held == [("receipt of a", HELD)]
    function.deliver(record("not 1.9", id="b"), record("not 0.1", id="c"), record("not 0.1", id="d"))
    assert len(function.held) == 1


def test_what_follows_a_long_one_is_hidden_at_once() -> None:
    function = Working()
    function.deliver(record("hidden 0.1"), record("not 2.0"))
    function.deliver(record("hidden 7", id="a"), record("hidden 0.1", id="b"), record("not 0.1", id="c"))
    assert function.held[1:] == [("receipt of a", HELD), ("receipt of b", HELD)]


def test_what_came_before_is_hidden_at_once() -> None:
    function = Working()
    function.deliver(record("hidden 0.1"), record("not 0.1"))
    function.deliver(record("hidden 0.1", received=2, id="again"))
    assert function.held[1:] == [("receipt of again", HELD)]


def test_a_chunk_pays_for_being_hidden_less_than_for_its_time() -> None:
    assert [beats(seconds) for seconds in (0, 1.9, 2, 9, 10, 300)] == [0, 0, 1, 1, 2, 31]
    short, long = (usage("queue", Work(items=1000, chunk_items=1, seconds=seconds)) for seconds in (1.0, 10.0))
    assert long.fifo_requests - short.fifo_requests == pytest.approx(2000)
    paid = Usage(fifo_requests=long.fifo_requests - short.fifo_requests).dollars
    assert paid < Usage(gb_seconds=long.gb_seconds).dollars / 50
