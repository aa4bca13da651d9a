"""Invoking Lambda functions: what is sent, what is kept, and what a function's own error amounts to."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.targets.endpoint import Endpoint, answering, run_of

from rota.core.errors import TargetError
from rota.core.outcome import Failure, failure_of
from rota.core.retry import Retry
from rota.core.run import Run, RunSpec
from rota.core.target import LambdaTarget
from rota.targets.aws import Clients
from rota.targets.lambda_function import ASYNC_LIMIT, SYNC_LIMIT, LambdaCall

REPORT = LambdaTarget("report")
LOG = """START RequestId: 6f Version: $LATEST
fetching 17 orders
[ERROR] ValueError: no price
Traceback (most recent call last):
  File "/var/task/report.py", line 12, in handler
END RequestId: 6f
REPORT RequestId: 6f  Duration: 2.00 ms
"""


def failing(payload: object, log: str = "", kind: str = "Unhandled") -> Any:
    headers = {"X-Amz-Function-Error": kind, "X-Amz-Log-Result": base64.b64encode(log.encode()).decode()}
    return answering(200, json.dumps(payload).encode(), headers)


def failure(clients: Clients) -> Failure:
    with pytest.raises(TargetError) as caught:
        LambdaCall(clients)(run_of(REPORT))
    assert caught.value.transient
    return failure_of(caught.value)


def test_the_payload_is_the_event_and_the_answer_is_kept(endpoint: Endpoint, clients: Clients) -> None:
    endpoint.reply = answering(200, b'{"rows": 3}')
    run = run_of(REPORT, {"full": True}, attempt=1)
    assert LambdaCall(clients)(run) == b'{"rows": 3}'
    (request,) = endpoint.requests
    assert request.path == "/2015-03-31/functions/report/invocations"
    assert json.loads(request.body) == {"full": True}
    context = json.loads(base64.b64decode(request.headers["X-Amz-Client-Context"]))
    assert context == {"custom": {"rota-run-id": run.id, "rota-scheduled": "2026-11-21T02:30:00Z", "rota-attempt": "2"}}


def test_an_asynchronous_invocation_is_done_when_it_is_accepted(endpoint: Endpoint, clients: Clients) -> None:
    endpoint.reply = answering(202, headers={"x-amzn-RequestId": "6f"})
    answer = LambdaCall(clients)(run_of(LambdaTarget("report:prod", asynchronous=True)))
    assert answer is not None
    assert json.loads(answer) == {"accepted": True, "requestId": "6f"}
    (request,) = endpoint.requests
    assert request.headers["X-Amz-Invocation-Type"] == "Event"
    assert request.body == b"null"


def test_a_functions_error_bears_its_own_name(endpoint: Endpoint, clients: Clients) -> None:
    trace = [
        '  File "/var/task/report.py", line 40, in handler\n',
        '  File "/var/task/price.py", line 12, in of\n    x',
    ]
    endpoint.reply = failing({"errorMessage": "no price", "errorType": "ValueError", "stackTrace": trace}, LOG)
    failed = failure(clients)
    assert str(failed) == "ValueError: no price; last log line: fetching 17 orders (price.py:12 in of)"
    assert not Retry(give_up_on=("ValueError",)).again(1, failed)
    assert Retry(retry_on=(ValueError,)).again(1, failed)
    assert not Retry(retry_on=(KeyError,)).again(1, failed)


@pytest.mark.parametrize(
    ("payload", "kind", "message"),
    [
        ({"errorMessage": "2026 Task timed out after 3.00 seconds"}, "Lambda.Unhandled", "2026 Task timed out"),
        ({"errorType": "Runtime.ExitError"}, "Runtime.ExitError", "the function failed and said nothing"),
        ({"errorMessage": {"a": 1}, "errorType": ["x"], "stackTrace": [{}]}, "Lambda.Unhandled", "{'a': 1}"),
        ({"errorType": "Error", "errorMessage": "no", "trace": ["Error: no", " at x"]}, "Error", "no"),
        ("broken", "Lambda.Unhandled", '"broken"'),
        (None, "Lambda.Unhandled", "null"),
    ],
)
def test_runtimes_say_what_they_like(
    endpoint: Endpoint, clients: Clients, payload: object, kind: str, message: str
) -> None:
    endpoint.reply = failing(payload)
    failed = failure(clients)
    assert failed.type == kind
    assert failed.message.startswith(message)
    assert failed.frame == ""


def test_the_log_of_a_function_that_died_is_quoted(endpoint: Endpoint, clients: Clients) -> None:
    endpoint.reply = failing({"errorType": "Runtime.ExitError"}, "START x\n" + "y" * 500 + "\nREPORT x\n")
    assert failure(clients).message.endswith("last log line: " + "y" * 200 + "…")


@pytest.mark.parametrize(("asynchronous", "limit"), [(False, SYNC_LIMIT), (True, ASYNC_LIMIT)])
def test_limits_are_held_before_anything_is_sent(
    endpoint: Endpoint, clients: Clients, asynchronous: bool, limit: int
) -> None:
    spec = RunSpec(LambdaTarget("report", asynchronous))
    endpoint.reply = answering(200, b"{}")
    LambdaCall(clients)(Run("a", 0, 0, spec, b'"' + b"x" * (limit - 2) + b'"'))
    with pytest.raises(TargetError, match=f"{limit + 1} bytes are too many") as caught:
        LambdaCall(clients)(Run("a", 0, 0, spec, b'"' + b"x" * (limit - 1) + b'"'))
    assert not caught.value.transient
    assert len(endpoint.requests) == 1
