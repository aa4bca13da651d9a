"""One-offs, runs, dead letters and queues, as a client sees them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from tests.service.desk import HOUR, Desk

from rota.core.errors import ConflictError, ExistsError, InvalidError, NotFoundError
from rota.core.outcome import Failure
from rota.core.retry import Retry
from rota.core.target import HttpTarget

NO = Failure(("ValueError",), "no")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_one_off_is_a_run(desk: Desk) -> None:
    at = datetime.fromisoformat("2026-01-01T01:00:00+01:00") + timedelta(hours=1)
    run = desk.client.at(at, "queue:q", {"n": 1}, timeout=5)
    assert run == "once-1@2026-01-01T01:00:00Z"
    record = desk.client.runs.get(run)
    assert (record.state, record.payload, record.spec.timeout) == ("pending", b'{"n":1}', 5)
    assert desk.client.schedules.list() == []


def test_the_past_is_now(desk: Desk) -> None:
    run = desk.client.at(0, "queue:q")
    desk.tick()
    desk.work()
    assert desk.client.runs.get(run).state == "succeeded"
    named = desk.client.at("2025-12-31T00:00:00Z", "queue:q", id="named")
    desk.tick()
    desk.work()
    assert desk.client.runs.get(named).state == "succeeded"


def test_a_named_one_off_is_a_schedule(desk: Desk) -> None:
    run = desk.client.at("2026-01-01T01:00:00Z", "queue:q", id="report", tags=["a"], description="d")
    assert run == "report@2026-01-01T01:00:00Z"
    assert desk.client.schedules.get("report").schedule.tags == ("a",)
    with pytest.raises(ExistsError):
        desk.client.at("2026-01-01T02:00:00Z", "queue:q", id="report")
    desk.client.schedules.delete("report")
    desk.clock.advance(2 * HOUR)
    desk.tick()
    assert desk.work() == []


@pytest.mark.parametrize(
    ("when", "options"),
    [
        (datetime(2026, 1, 1), {}),  # noqa: DTZ001 that is the point
        ("2026-01-01T00:00:00", {}),
        ("soon", {}),
        (1_767_225_600_000, {}),
        (None, {}),
        (0, {"payload": {1, 2, object()}}),
        (0, {"payload": {1, 2}}),
        (0, {"payload": {1: 2}, "id": "named"}),
        (0, {"target": "nowhere"}),
        (0, {"tags": ["a"]}),
        (0, {"timeout": 0}),
        (0, {"delivery": "exactly_once"}),
        (0, {"delivery": "at_most_once", "retry": Retry(attempts=2)}),
        (0, {"id": "not an id"}),
    ],
)
def test_bad_one_offs_store_nothing(desk: Desk, when: object, options: dict[str, object]) -> None:
    with pytest.raises(InvalidError):
        desk.client.at(when, **{"target": "queue:q", **options})  # type: ignore[arg-type]
    assert desk.stores.runs.counts()["pending"] == 0
    assert desk.client.schedules.list() == []


def test_many_at_once_all_or_none(desk: Desk) -> None:
    ids = desk.client.at_many(((n, {"n": n}) for n in range(3)), "queue:q")
    assert ids == [f"once-{n + 1}@1970-01-01T00:00:0{n}Z" for n in range(3)]
    with pytest.raises(InvalidError):
        desk.client.at_many([(1, 1), ("never", 2)], "queue:q")
    assert desk.stores.runs.counts()["pending"] == 3
    assert desk.client.at_many([], "queue:q") == []
    first, second = (desk.stores.runs.due(9999, 10)[n].spec for n in (0, 1))
    assert first is second


def test_targets_with_headers_are_fine(desk: Desk) -> None:
    run = desk.client.at(0, HttpTarget("https://example.org", headers={"a": "b"}))
    assert str(desk.client.runs.get(run).spec.target) == "https://example.org"


def test_runs_are_filtered_and_paged(desk: Desk) -> None:
    desk.client.at_many([(n, n) for n in (1, 2, 3)], "queue:q")
    runs = desk.client.runs
    assert [record.scheduled for record in runs.list()] == [3000, 2000, 1000]
    assert [record.scheduled for record in runs.list(start=2, end=2)] == [2000]
    assert [record.scheduled for record in runs.list(after=runs.list(limit=1)[0].id)] == [2000, 1000]
    assert runs.list(schedule="x") == runs.list(state="failed") == []
    with pytest.raises(InvalidError, match="state"):
        runs.list(state="lost")  # type: ignore[arg-type]
    with pytest.raises(InvalidError, match="run id"):
        runs.get("x")
    with pytest.raises(NotFoundError):
        runs.get("x@2026-01-01T00:00:00Z")


def test_cancelling(desk: Desk) -> None:
    waiting, going = desk.client.at(HOUR, "queue:q"), desk.client.at(0, "queue:q")
    assert desk.client.runs.cancel(waiting).state == "cancelled"
    desk.start()
    assert desk.client.runs.cancel(going).state == "running"
    with pytest.raises(ConflictError, match="cancelled"):
        desk.client.runs.cancel(waiting)


def test_dead_letters_are_redriven_and_purged(desk: Desk) -> None:
    ids = desk.client.at_many([(n, n) for n in (1, 2, 3)], "queue:q")
    desk.work(failure=NO)
    dead = desk.client.dead_letters
    assert [letter.id for letter in dead.list()] == ids[::-1]
    assert dead.show(ids[0]).attempts[0].failure == NO
    with pytest.raises(NotFoundError):
        dead.redrive([ids[0], "x@2026-01-01T00:00:00Z"])
    assert len(dead.list()) == 3
    assert dead.redrive(ids[0]) == [ids[0]]
    assert dead.purge([ids[1]]) == [ids[1]]
    assert dead.redrive(every=True) == [ids[2]]
    assert dead.list() == []
    assert dead.redrive(schedule="once-1") == []
    assert len(desk.work()) == 2
    for arguments in ({}, {"ids": ids, "every": True}):
        with pytest.raises(InvalidError):
            dead.purge(**arguments)  # type: ignore[arg-type]


def test_queues(desk: Desk) -> None:
    queues = desk.client.queues
    queues.send("q", {"n": 1})
    queues.send("q", 2, delay=10)
    (message,) = queues.receive("q", limit=5, visibility=30)
    assert message.body == b'{"n":1}'
    assert queues.receive("q") == []
    assert queues.sizes() == {"q": 2}
    assert queues.ack(message.receipt) == [True]
    assert queues.ack([message.receipt]) == [False]
    assert queues.send_many("q", [3, 4]) == 2
    for call in (
        lambda: queues.send("not a queue", 1),
        lambda: queues.send("q", object()),
        lambda: queues.send("q", 1, delay=-1),
        lambda: queues.receive("q", limit=0),
    ):
        with pytest.raises(InvalidError):
            call()


def test_receiving_waits_until_a_message_is_there(desk: Desk) -> None:
    desk.client.queues.send("q", 1, delay=5)
    assert desk.client.queues.receive("q", wait=2) == []
    assert sum(desk.slept) == pytest.approx(2)
    assert len(desk.client.queues.receive("q", wait=10)) == 1
    assert sum(desk.slept) == pytest.approx(5, abs=0.2)
