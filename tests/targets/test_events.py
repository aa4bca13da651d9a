"""Putting events: the event of a run, what EventBridge refuses, and buses that are not there."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.targets.endpoint import SCHEDULED, Endpoint, answering, run_of, saying

from rota.core.errors import TargetError
from rota.core.run import Run, RunSpec
from rota.core.target import EventTarget
from rota.targets.aws import Clients
from rota.targets.events import LIMIT, EventCall, event

BUS = "arn:aws:events:eu-central-1:123456789012:event-bus/orders"
ORDERS = EventTarget(BUS, "shop", "order due")
PUT = (200, {"FailedEntryCount": 0, "Entries": [{"EventId": "6f"}]})


def refused(code: str) -> tuple[int, dict[str, Any]]:
    return 200, {"FailedEntryCount": 1, "Entries": [{"ErrorCode": code, "ErrorMessage": "not this"}]}


def bridge(
    endpoint: Endpoint, put: tuple[int, dict[str, Any]] = PUT, describe: tuple[int, dict[str, Any]] = (200, {})
) -> Callable[[], list[tuple[str, Any]]]:
    """Let the endpoint answer so; answers with what lists the requests."""

    def action(headers: Any) -> str:
        return str(headers["X-Amz-Target"]).partition(".")[2]

    def reply(handler: BaseHTTPRequestHandler) -> None:
        status, answer = put if action(handler.headers) == "PutEvents" else describe
        answering(status, json.dumps(answer).encode())(handler)

    endpoint.reply = reply
    return lambda: [(action(request.headers), json.loads(request.body)) for request in endpoint.requests]


def failure(clients: Clients, target: EventTarget = ORDERS) -> TargetError:
    with pytest.raises(TargetError) as caught:
        EventCall(clients)(run_of(target, delivery="at_most_once"))
    assert caught.value.ids == {"schedule": "nightly", "run": "nightly@2026-11-21T02:30:00Z"}
    return caught.value


def test_the_run_is_told_as_resource_and_time(endpoint: Endpoint, clients: Clients) -> None:
    requests = bridge(endpoint)
    run = run_of(ORDERS, {"id": 17})
    answer = EventCall(clients)(run)
    assert answer is not None
    assert json.loads(answer) == {"eventId": "6f"}
    entry = {
        "EventBusName": BUS,
        "Source": "shop",
        "DetailType": "order due",
        "Detail": '{"id":17}',
        "Resources": [run.id],
        "Time": SCHEDULED // 1000,
    }
    assert requests() == [("DescribeEventBus", {"Name": BUS}), ("PutEvents", {"Entries": [entry]})]
    assert all("/eu-central-1/events/" in request.headers["Authorization"] for request in endpoint.requests)


@pytest.mark.parametrize(
    ("payload", "detail"),
    [(None, {}), ("text", {"payload": "text"}), ([1, 2], {"payload": [1, 2]}), (0, {"payload": 0}), ({}, {})],
)
def test_a_detail_is_an_object(payload: object, detail: object) -> None:
    assert json.loads(event(run_of(ORDERS, payload))["Detail"]) == detail


@given(st.dictionaries(st.text(), st.recursive(st.text() | st.integers() | st.none(), st.lists)))
def test_an_object_arrives_as_it_was(payload: object) -> None:
    assert json.loads(event(run_of(ORDERS, payload))["Detail"]) == payload


def test_an_event_is_at_most_a_mebibyte_with_what_is_around_it() -> None:
    around = 14 + len("shop") + len("order due") + len("nightly@2026-11-21T02:30:00Z") + len('{"a":""}')

    def event_of(size: int) -> None:
        run = run_of(ORDERS)
        event(Run(run.schedule_id, run.scheduled, 0, RunSpec(ORDERS), b'{"a":"' + b"x" * size + b'"}'))

    event_of(LIMIT - around)
    with pytest.raises(TargetError, match=f"events:PutEvents on {BUS}: {LIMIT + 1} bytes are too many"):
        event_of(LIMIT - around + 1)


@pytest.mark.parametrize(
    ("code", "transient"),
    [
        ("ThrottlingException", True),
        ("InternalFailure", True),
        ("InternalException", True),
        ("AccessDeniedException", False),
        ("NotAuthorizedForSourceException", False),
        ("NotAuthorizedForDetailTypeException", False),
        ("MalformedDetail", False),
        ("InvalidArgument", False),
        ("InvalidAccountIdException", False),
        ("ResourceNotFoundException", False),
    ],
)
def test_an_event_that_is_refused_has_failed(endpoint: Endpoint, clients: Clients, code: str, transient: bool) -> None:
    bridge(endpoint, refused(code))
    error = failure(clients)
    assert str(error) == f"events:PutEvents on {BUS}: {code}: not this"
    assert error.transient is transient


@pytest.mark.parametrize(("status", "transient"), [(403, False), (429, True), (500, True)])
def test_a_request_that_is_refused_has_failed(
    endpoint: Endpoint, clients: Clients, status: int, transient: bool
) -> None:
    bridge(endpoint, (status, {"__type": "SomeException", "message": "not you"}))
    error = failure(clients)
    assert str(error) == f"events:PutEvents on {BUS}: SomeException: not you"
    assert error.transient is transient


def test_a_bus_that_is_not_there_gets_no_event(endpoint: Endpoint, clients: Clients) -> None:
    requests = bridge(endpoint, describe=(400, {"__type": "ResourceNotFoundException", "message": "no such bus"}))
    error = failure(clients, EventTarget("nobody"))
    assert str(error) == "events:DescribeEventBus on nobody: ResourceNotFoundException: no such bus"
    assert not error.transient
    assert [action for action, _ in requests()] == ["DescribeEventBus"]


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException"])
def test_a_bus_that_nobody_tells_of_gets_its_event(endpoint: Endpoint, clients: Clients, code: str) -> None:
    requests = bridge(endpoint, describe=(400, {"__type": code, "message": "not you"}))
    assert EventCall(clients)(run_of(ORDERS)) == b'{"eventId":"6f"}'
    assert requests()[-1][0] == "PutEvents"


def test_trouble_on_the_way_is_told_of_the_event(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    error = failure(clients, EventTarget("orders"))
    assert str(error).startswith("events:PutEvents on orders: no AWS region")
    assert not error.transient


def test_a_question_that_breaks_off_is_asked_again_with_the_next_event(endpoint: Endpoint, clients: Clients) -> None:
    bridge(endpoint)
    answered, call = endpoint.reply, EventCall(clients)

    def reply(handler: BaseHTTPRequestHandler) -> None:
        (saying(b"") if len(endpoint.requests) == 1 else answered)(handler)

    endpoint.reply = reply
    for _ in range(3):
        assert call(run_of(ORDERS)) == b'{"eventId":"6f"}'
    asked = [str(request.headers["X-Amz-Target"]).partition(".")[2] for request in endpoint.requests]
    assert asked == ["DescribeEventBus", "PutEvents"] * 2 + ["PutEvents"]


def test_a_bus_is_asked_for_once_and_the_default_one_never(endpoint: Endpoint, clients: Clients) -> None:
    requests = bridge(endpoint)
    call = EventCall(clients)
    for target in (ORDERS, ORDERS, EventTarget(), EventTarget(BUS)):
        call(run_of(target))
    assert [action for action, _ in requests()] == ["DescribeEventBus", *["PutEvents"] * 4]


def test_a_bus_does_not_tell_what_was_put_on_it(clients: Clients) -> None:
    assert EventCall(clients).inquire(run_of(ORDERS)) is None
