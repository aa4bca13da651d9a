"""Starting executions: named after the run, so that starting twice starts once."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from tests.targets.endpoint import Endpoint, answering, run_of

from rota.core.errors import TargetError
from rota.core.outcome import failure_of
from rota.core.target import StepFunctionsTarget
from rota.targets.aws import Clients, derived_id
from rota.targets.stepfunctions import StepFunctionsCall, execution_arn

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:Refund"
REFUND = StepFunctionsTarget(MACHINE)
NAME = derived_id(run_of(REFUND))
EXECUTION = f"arn:aws:states:us-east-1:123456789012:execution:Refund:{NAME}"
STARTED = {"executionArn": EXECUTION, "startDate": 1_795_228_201.5}
KNOWN = {"executionArn": EXECUTION, "started": "2026-11-21T02:30:01.500Z"}


def states(endpoint: Endpoint, **answers: tuple[int, dict[str, Any]]) -> Callable[[], list[tuple[str, Any]]]:
    """Let the endpoint answer each action so; answers with what lists the requests."""

    def action(headers: Any) -> str:
        return str(headers["X-Amz-Target"]).partition(".")[2]

    def reply(handler: BaseHTTPRequestHandler) -> None:
        status, answer = answers[action(handler.headers)]
        answering(status, json.dumps(answer).encode())(handler)

    endpoint.reply = reply
    return lambda: [(action(request.headers), json.loads(request.body)) for request in endpoint.requests]


def value(answer: bytes | None) -> Any:
    return None if answer is None else json.loads(answer)


TAKEN = (400, {"__type": "com.amazonaws.swf.service.v2.model#ExecutionAlreadyExists", "message": "taken"})
UNKNOWN = (400, {"__type": "ExecutionDoesNotExist", "message": "no such execution"})
DENIED = (400, {"__type": "AccessDeniedException", "message": "not you"})
DOWN = (500, {"__type": "InternalFailure", "message": "oops"})


def test_an_execution_is_started_under_the_name_of_the_run(endpoint: Endpoint, clients: Clients) -> None:
    requests = states(endpoint, StartExecution=(200, STARTED))
    assert value(StepFunctionsCall(clients)(run_of(REFUND, {"id": 17}))) == KNOWN
    assert requests() == [("StartExecution", {"stateMachineArn": MACHINE, "name": NAME, "input": '{"id":17}'})]


def test_an_execution_that_ended_with_the_same_input_is_as_good(endpoint: Endpoint, clients: Clients) -> None:
    states(endpoint, StartExecution=TAKEN, DescribeExecution=(200, {**STARTED, "input": '{ "id": 17 }'}))
    assert value(StepFunctionsCall(clients)(run_of(REFUND, {"id": 17}))) == KNOWN


def test_another_input_under_the_name_is_an_error(endpoint: Endpoint, clients: Clients) -> None:
    states(endpoint, StartExecution=TAKEN, DescribeExecution=(200, {**STARTED, "input": '{"id": 18}'}))
    with pytest.raises(TargetError, match="with another input") as caught:
        StepFunctionsCall(clients)(run_of(REFUND, {"id": 17}))
    assert not caught.value.transient


def test_who_may_start_but_not_look_trusts_the_name(endpoint: Endpoint, clients: Clients) -> None:
    states(endpoint, StartExecution=TAKEN, DescribeExecution=DENIED)
    assert value(StepFunctionsCall(clients)(run_of(REFUND))) == {"executionArn": EXECUTION}


def test_a_look_that_fails_for_now_is_transient(endpoint: Endpoint, clients: Clients) -> None:
    states(endpoint, StartExecution=TAKEN, DescribeExecution=DOWN)
    with pytest.raises(TargetError, match="states:DescribeExecution on") as caught:
        StepFunctionsCall(clients)(run_of(REFUND))
    assert caught.value.transient


def test_a_refusal_names_action_and_machine(endpoint: Endpoint, clients: Clients) -> None:
    states(endpoint, StartExecution=DENIED)
    with pytest.raises(TargetError) as caught:
        StepFunctionsCall(clients)(run_of(REFUND))
    assert str(caught.value) == f"states:StartExecution on {MACHINE}: AccessDeniedException: not you"
    assert not caught.value.transient


def test_asked_by_name_it_tells_that_it_started(endpoint: Endpoint, clients: Clients) -> None:
    requests = states(endpoint, DescribeExecution=(200, {**STARTED, "status": "FAILED"}))
    known = StepFunctionsCall(clients).inquire(run_of(REFUND))
    assert known is not None
    assert (known.started, known.failure, known.interrupted) == (1_795_228_201_500, None, False)
    assert value(known.value) == KNOWN
    assert requests() == [("DescribeExecution", {"executionArn": EXECUTION})]


def test_asked_by_name_it_tells_that_it_did_not(endpoint: Endpoint, clients: Clients) -> None:
    states(endpoint, DescribeExecution=UNKNOWN)
    assert StepFunctionsCall(clients).inquire(run_of(REFUND)) is None
    assert StepFunctionsCall(clients).inquire(run_of(StepFunctionsTarget(MACHINE, synchronous=True))) is None
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(("answer", "transient"), [(DENIED, False), (DOWN, True)])
def test_a_question_without_answer_is_an_error(
    endpoint: Endpoint, clients: Clients, answer: tuple[int, dict[str, Any]], transient: bool
) -> None:
    states(endpoint, DescribeExecution=answer)
    with pytest.raises(TargetError, match="states:DescribeExecution") as caught:
        StepFunctionsCall(clients).inquire(run_of(REFUND))
    assert caught.value.transient is transient


def test_an_express_execution_can_be_waited_for(endpoint: Endpoint, clients: Clients) -> None:
    ended = {**STARTED, "stopDate": 1_795_228_202.0, "status": "SUCCEEDED", "output": '{"refunded": 1}'}
    requests = states(endpoint, StartSyncExecution=(200, ended))
    call = StepFunctionsCall(clients)
    assert call(run_of(StepFunctionsTarget(MACHINE, synchronous=True))) == b'{"refunded": 1}'
    assert requests()[0][1]["name"] == NAME


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        ({"status": "FAILED", "error": "NoStock", "cause": "sold out"}, "NoStock: sold out"),
        ({"status": "FAILED"}, "States.Failed: the execution ended as FAILED and says no more"),
        ({"status": "TIMED_OUT"}, "States.TimedOut: the execution ended as TIMED_OUT and says no more"),
    ],
)
def test_the_error_of_an_express_execution_bears_its_own_name(
    endpoint: Endpoint, clients: Clients, ended: dict[str, Any], text: str
) -> None:
    states(endpoint, StartSyncExecution=(200, {**STARTED, "stopDate": 1_795_228_202.0, **ended}))
    with pytest.raises(TargetError) as caught:
        StepFunctionsCall(clients)(run_of(StepFunctionsTarget(MACHINE, synchronous=True)))
    assert str(failure_of(caught.value)) == text
    assert caught.value.transient


def test_executions_belong_to_no_version() -> None:
    assert execution_arn(f"{MACHINE}:prod", NAME) == execution_arn(MACHINE, NAME) == EXECUTION
