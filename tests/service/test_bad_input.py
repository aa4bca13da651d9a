"""Whatever is handed to the client's door, the answer is one of rota's errors, and nothing is stored."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.service.desk import Desk

from rota.app import App, define_schedule
from rota.core.errors import InvalidError, RotaError
from rota.core.retry import Retry
from rota.core.target import HttpTarget, LambdaTarget, SqsTarget, StepFunctionsTarget
from rota.core.triggers import At, Cron, Every

AT = "a@2026-01-01T00:00:00Z"
MAX = datetime.max.replace(tzinfo=UTC)
ODD: list[Any] = [
    None, 5, -1, 1.5, float("nan"), float("inf"), 10**30, 10**5000, True, "", "x y", "x" * 5000, b"a", [], ["a"], [5],
    [None], [[1]], (1, 2), {}, {"a": 1}, {1, 2}, object(), int, len, "\ud800", "a\0b", datetime(2026, 1, 1), MAX,  # noqa: DTZ001 that is the point
    datetime.min.replace(tzinfo=UTC), "9999-12-31T23:59:59-23:00", "9999-12-31T23:59:59",
]  # fmt: skip
POLICIES: dict[str, Any] = {
    "trigger": Every("2h"), "target": "queue:q", "payload": 1, "misfire": "once", "grace": 60.0, "overlap": "skip",
    "max_executions": None, "retry": None, "timeout": None, "delivery": "at_least_once", "precise": False, "tags": [],
    "description": "",
}  # fmt: skip
ONCE = {key: POLICIES[key] for key in ("target", "payload", "retry", "timeout", "delivery", "precise")}
MANY = {key: value for key, value in ONCE.items() if key != "payload"}
TRIGGER: dict[str, Any] = {"timezone": "UTC", "start": None, "end": None, "exclude": (), "jitter": 0}
DEAD: dict[str, Any] = {"ids": [AT], "every": False, "schedule": None}
RETRY = {
    "attempts": 3,
    "initial": 1,
    "factor": 2,
    "maximum": 60,
    "jitter": "full",
    "retry_on": (),
    "give_up_on": (),
}
BATCH: dict[str, Any] = {
    "name": "b", "source": "x.jsonl", "task": "work", "sink": "out/", "chunk_items": None, "chunk_bytes": None,
    "concurrency": None, "tolerated_failures": 0, "retry": None, "rate_limit": None, "timeout": None,
    "async_limit": 100, "worker_memory": None, "notify": (), "topology": "queue", "max_cost": None,
}  # fmt: skip
CALLS: dict[str, tuple[Callable[[Desk], Callable[..., object]], dict[str, Any]]] = {
    "at": (lambda desk: desk.client.at, {"when": 0, **ONCE}),
    "at with id": (lambda desk: desk.client.at, {"when": 0, **ONCE, "id": "n", "tags": [], "description": ""}),
    "at_many": (lambda desk: desk.client.at_many, {"rows": [(0, 1)], **MANY}),
    "a row of at_many": (lambda desk: lambda row: desk.client.at_many([row], "queue:q"), {"row": (0, 1)}),
    "sync": (lambda desk: desk.client.sync, {"app": App("s"), "prune": False}),
    "schedules.create": (lambda desk: desk.client.schedules.create, {"id": "b", **POLICIES}),
    "schedules.create_many": (lambda desk: desk.client.schedules.create_many, {"definitions": []}),
    "schedules.get": (lambda desk: desk.client.schedules.get, {"id": "a"}),
    "schedules.get_many": (lambda desk: desk.client.schedules.get_many, {"ids": ["a"]}),
    "schedules.list": (
        lambda desk: desk.client.schedules.list,
        {"tag": None, "status": None, "search": None, "limit": 1, "after": None},
    ),
    "schedules.update": (lambda desk: desk.client.schedules.update, {"id": "a", **POLICIES}),
    "schedules.preview": (lambda desk: desk.client.schedules.preview, {"id": "a"}),
    "schedules.pause": (lambda desk: desk.client.schedules.pause, {"id": "a", "reason": ""}),
    "schedules.resume": (lambda desk: desk.client.schedules.resume, {"id": "a"}),
    "schedules.trigger": (lambda desk: desk.client.schedules.trigger, {"id": "a", "payload": 1}),
    "schedules.delete": (lambda desk: desk.client.schedules.delete, {"id": "a"}),
    "schedules.ticks": (lambda desk: desk.client.schedules.ticks, {"id": "a", "start": None, "end": None, "limit": 1}),
    "schedules.why": (lambda desk: desk.client.schedules.why, {"id": "a", "when": "2026-01-01T01:00"}),
    "runs.get": (lambda desk: desk.client.runs.get, {"id": AT}),
    "runs.cancel": (lambda desk: desk.client.runs.cancel, {"id": AT}),
    "runs.list": (
        lambda desk: desk.client.runs.list,
        {"schedule": None, "state": None, "start": None, "end": None, "limit": 1, "after": None},
    ),
    "queues.send": (lambda desk: desk.client.queues.send, {"queue": "q", "payload": 1, "delay": 0}),
    "queues.send_many": (lambda desk: desk.client.queues.send_many, {"queue": "q", "payloads": [1], "delay": 0}),
    "queues.receive": (lambda desk: desk.client.queues.receive, {"queue": "q", "limit": 1, "visibility": 1, "wait": 0}),
    "queues.ack": (lambda desk: desk.client.queues.ack, {"receipts": []}),
    "dead_letters.list": (lambda desk: desk.client.dead_letters.list, {"schedule": None, "limit": 1, "after": None}),
    "dead_letters.show": (lambda desk: desk.client.dead_letters.show, {"id": AT}),
    "dead_letters.redrive": (lambda desk: desk.client.dead_letters.redrive, DEAD),
    "dead_letters.purge": (lambda desk: desk.client.dead_letters.purge, DEAD),
    "batches.start": (lambda desk: desk.client.batches.start, {"name": "b", "payload": 1}),
    "batches.get": (lambda desk: desk.client.batches.get, {"id": AT}),
    "batches.list": (lambda desk: desk.client.batches.list, {"name": None, "state": None, "limit": 1, "after": None}),
    "batches.wait": (lambda desk: desk.client.batches.wait, {"id": AT, "timeout": 0}),
    "batches.redrive": (lambda desk: desk.client.batches.redrive, {"id": AT, "groups": None}),
    "batches.cancel": (lambda desk: desk.client.batches.cancel, {"id": AT}),
    "batches.receipt": (lambda desk: desk.client.batches.receipt, {"id": AT}),
    "App": (lambda _: App, {"name": "s"}),
    "app.schedule": (lambda _: App("s").schedule, {"id": "b", **POLICIES}),
    "app.batch": (lambda _: App("s").batch, BATCH),
    "app.task": (
        lambda _: lambda **given: App("s").task(**given)(lambda payload: payload),
        {"name": None, "retry": None, "timeout": None, "batch": False},
    ),
    "Retry": (lambda _: Retry, RETRY),
    "Cron": (lambda _: Cron, {"text": "0 0 0 * * ?", "dialect": "quartz", "dst": "standard", **TRIGGER}),
    "Every": (lambda _: Every, {"interval": "1h", "anchor": None, **TRIGGER}),
    "At": (lambda _: At, {"when": 0, **TRIGGER}),
    "next": (lambda _: Cron("0 0 0 * * ?").next, {"after": datetime(2026, 1, 1, tzinfo=UTC)}),
    "upcoming": (lambda _: Every("1h").upcoming, {"after": datetime(2026, 1, 1, tzinfo=UTC), "n": 1}),
    "HttpTarget": (
        lambda _: HttpTarget,
        {"url": "https://example.org", "method": "POST", "headers": {}, "timeout": 30, "allow_private": False},
    ),
    "LambdaTarget": (lambda _: LambdaTarget, {"function": "f", "asynchronous": False}),
    "SqsTarget": (lambda _: SqsTarget, {"queue": "https://sqs.eu-west-1.amazonaws.com/123456789012/q", "group": None}),
    "StepFunctionsTarget": (
        lambda _: StepFunctionsTarget,
        {"machine": "arn:aws:states:eu-west-1:123456789012:stateMachine:m", "synchronous": False},
    ),
}


def called(name: str, field: str, value: object) -> Desk:
    desk = Desk()
    desk.client.schedules.create("a", Every("1h"), "queue:q")
    of, given = CALLS[name]
    of(desk)(**{**given, field: value})
    return desk


@pytest.mark.parametrize(("name", "field"), [(name, field) for name, (_, given) in CALLS.items() for field in given])
def test_nothing_raises_but_errors_of_rota(name: str, field: str) -> None:
    for value in ODD:
        with contextlib.suppress(RotaError):
            called(name, field, value)


REFUSED: list[tuple[str, str, object]] = [
    *[("schedules.create", "tags", value) for value in ("foo", "", 0, None, 5, {"a": 1}, b"a", [5])],
    *[("schedules.update", "tags", value) for value in ("foo", None, 5)],
    *[("app.schedule", "tags", value) for value in ("foo", None)],
    *[("at with id", "when", value) for value in (MAX, "9999-12-31T00:00:00Z", 10**30)],
    *[("at", "when", value) for value in (MAX, "9999-12-31T00:00:00Z", "1700-01-01T00:00:00Z")],
    *[("at_many", "rows", value) for value in (5, [5], [(1.8e9,)], [(1, 2, 3)], "ab", ["ab"], {"a": 1}, [{1, 2}])],
    *[("schedules.why", "when", f"{year}-01-01T00:00") for year in ("0001", "1500", "3000", "9999")],
    *[("schedules.list", field, 5) for field in ("tag", "search", "after")],
    *[("schedules.get_many", "ids", value) for value in ("a", 5, [5])],
    *[("schedules.get", "id", value) for value in (5, ["a"], None)],
    *[("schedules.create", "description", value) for value in ("\ud800", 5)],
    *[("runs.list", "schedule", value) for value in (5, ["a"])],
    *[("runs.get", "id", value) for value in (5, None)],
    *[("queues.ack", "receipts", value) for value in (5, None, {"a": 1}, [5])],
    *[("queues.send_many", "payloads", value) for value in (5, "abc", {"a": 1})],
    *[("dead_letters.list", "schedule", value) for value in (5, ["a"])],
    *[("dead_letters.redrive", field, 5) for field in ("ids", "every", "schedule")],
    *[("dead_letters.purge", "every", value) for value in (1, "yes", None)],
    *[("sync", field, 5) for field in ("app", "prune")],
    *[("batches.list", "name", value) for value in (5, ["a"])],
    *[("app.batch", "chunk_items", value) for value in (1.5, True, 0, "5")],
    *[("app.batch", "notify", value) for value in (5, {"a": 1})],
    *[("app.task", field, value) for field, value in (("name", ""), ("retry", ()), ("batch", "yes"))],
    *[("HttpTarget", field, 5) for field in ("headers", "allow_private")],
    ("LambdaTarget", "asynchronous", "no"),
]


@pytest.mark.parametrize(("name", "field", "value"), REFUSED)
def test_what_is_not_what_was_asked_for_is_never_taken_for_it(name: str, field: str, value: object) -> None:
    with pytest.raises(InvalidError):
        called(name, field, value)


def test_an_exception_cannot_be_tried_again_and_given_up_on() -> None:
    with pytest.raises(InvalidError, match=r"retry.give_up_on: 'ValueError' is not allowed"):
        Retry(retry_on=(KeyError, ValueError), give_up_on=(ValueError,))
    Retry(retry_on=(LookupError,), give_up_on=(KeyError,))


def test_limits_are_whole_numbers_in_messages() -> None:
    with pytest.raises(InvalidError, match=r"a whole number from 1 to 9007199254740992$"):
        called("schedules.create", "max_executions", 0)
    with pytest.raises(InvalidError, match=r"a number from 0 to 31536000$"):
        called("schedules.create", "grace", -1)
    with pytest.raises(InvalidError, match=r"a number more than 0 and at most 604800$"):
        called("schedules.create", "timeout", 0)


def test_a_list_may_be_anything_that_gives_entries() -> None:
    made = define_schedule("a", Every("1h"), "queue:q", tags={"b", "a"})  # type: ignore[arg-type]
    assert made.tags == ("a", "b")
    assert len(Desk().client.at_many(((n, n) for n in range(3)), "queue:q")) == 3
