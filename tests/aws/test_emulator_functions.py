"""Functions in the emulator fail, retry and end as on AWS."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError
from tests.aws import lambdas, queues

from rota.testing.emulator import Emulator, Fault

pytestmark = pytest.mark.usefixtures("aws")
MIB = 1024 * 1024
FAIL = """
import os
def handler(event, context):
    if event == "fail":
        raise KeyError("gone")
    return os.getpid()
"""


def test_an_error_has_its_type_and_does_not_cost_a_cold_start() -> None:
    lambdas.create("f", FAIL)
    _, first = lambdas.invoke("f")
    kind, error = lambdas.invoke("f", "fail")
    assert (kind, error["errorType"], error["errorMessage"]) == ("Unhandled", "KeyError", "'gone'")
    assert any("KeyError" in line for line in error["stackTrace"])
    assert lambdas.invoke("f") == (None, first)


def test_a_process_that_ends_is_an_exit_and_costs_a_cold_start() -> None:
    lambdas.create("f", "import os\ndef handler(event, context):\n    return os._exit(1) if event else os.getpid()\n")
    _, first = lambdas.invoke("f")
    kind, error = lambdas.invoke("f", "end")
    assert (kind, error["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert lambdas.invoke("f")[1] != first


def test_a_module_that_cannot_be_imported_is_named() -> None:
    lambdas.create("f", "import nowhere_at_all\ndef handler(event, context): ...\n")
    kind, error = lambdas.invoke("f")
    assert (kind, error["errorType"]) == ("Unhandled", "Runtime.ImportModuleError")
    assert "nowhere_at_all" in error["errorMessage"]


def test_a_function_answers_at_its_url(aws: Emulator) -> None:
    lambdas.create("f", "def handler(event, context):\n    return {'statusCode': 200, 'body': event['rawPath']}\n")
    url = boto3.client("lambda").create_function_url_config(FunctionName="f", AuthType="NONE")["FunctionUrl"]
    assert httpx.get(aws.local_url(f"{url}some/where?a=1")).text == "/some/where"
    assert aws.counts()["lambda.InvokeFunctionUrl"].requests == 1


def test_a_time_out_has_its_name() -> None:
    lambdas.create("f", "import time\ndef handler(event, context):\n    time.sleep(60)\n", Timeout=1)
    kind, error = lambdas.invoke("f")
    assert (kind, error["errorType"]) == ("Unhandled", "Sandbox.Timedout")


def test_events_and_answers_that_are_too_large_are_refused() -> None:
    lambdas.create(
        "f", "def handler(event, context):\n    return 'x' * event if isinstance(event, int) else len(event)\n"
    )
    client = boto3.client("lambda")
    assert lambdas.invoke("f", "x" * (5 * MIB)) == (None, 5 * MIB)
    for way, length in (("RequestResponse", 6 * MIB), ("Event", MIB)):
        with pytest.raises(ClientError) as refused:
            client.invoke(FunctionName="f", InvocationType=way, Payload=json.dumps("x" * length))
        assert refused.value.response["Error"]["Code"] == "RequestTooLargeException"
    kind, error = lambdas.invoke("f", 6 * MIB + 1024)
    assert (kind, error["errorType"]) == ("Unhandled", "Function.ResponseSizeTooLarge")


def with_destinations(source: str, retries: int = 0, **more: Any) -> tuple[str, str]:
    """A function, and the queues for its successes and its failures."""
    lambdas.create("f", source, **more)
    good, bad = queues.create("good"), queues.create("bad")
    boto3.client("lambda").put_function_event_invoke_config(
        FunctionName="f",
        MaximumRetryAttempts=retries,
        DestinationConfig={
            "OnSuccess": {"Destination": queues.arn(good)},
            "OnFailure": {"Destination": queues.arn(bad)},
        },
    )
    return good, bad


def start(event: object) -> None:
    boto3.client("lambda").invoke(FunctionName="f", InvocationType="Event", Payload=json.dumps(event))


def test_asynchronous_successes_and_failures_reach_their_destinations() -> None:
    good, bad = with_destinations(FAIL, retries=1)
    start("fine")
    start("fail")
    [success] = (json.loads(it["Body"]) for it in queues.receive(good, 1))
    [failure] = (json.loads(it["Body"]) for it in queues.receive(bad, 1))
    assert success["requestPayload"] == "fine"
    assert success["requestContext"]["condition"] == "Success"
    assert isinstance(success["responsePayload"], int)
    assert failure["requestPayload"] == "fail"
    assert failure["requestContext"]["condition"] == "RetriesExhausted"
    assert failure["requestContext"]["approximateInvokeCount"] == 2
    assert failure["responsePayload"]["errorType"] == "KeyError"


def test_a_dead_letter_queue_gets_the_event_itself() -> None:
    dead = queues.create("dead")
    lambdas.create("f", FAIL, DeadLetterConfig={"TargetArn": queues.arn(dead)})
    boto3.client("lambda").put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0)
    start("fail")
    [message] = queues.receive(dead, 1)
    assert json.loads(message["Body"]) == "fail"
    assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "'gone'"


def test_throttled_events_wait_for_their_turn(aws: Emulator) -> None:
    good, _ = with_destinations("import time\ndef handler(event, context):\n    time.sleep(0.3)\n")
    boto3.client("lambda").put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=1)
    for event in range(4):
        start(event)
    assert sorted(json.loads(it["Body"])["requestPayload"] for it in queues.receive(good, 4)) == [0, 1, 2, 3]
    assert aws.counts()["internal.lambda.Execute:f"].requests == 4


def test_a_function_may_be_killed_in_the_middle(aws: Emulator) -> None:
    lambdas.create("slow", "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'done'\n")
    lambdas.create("other", "def handler(event, context):\n    return 'done'\n")
    aws.faults({"internal.lambda.Execute": Fault(kill=True, match="slow", times=3, within_ms=5)})
    assert lambdas.invoke("other") == (None, "done")
    for _ in range(3):
        kind, error = lambdas.invoke("slow", 50)
        assert (kind, error["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert lambdas.invoke("slow", 0) == (None, "done")


def test_the_clock_of_a_function_may_be_off() -> None:
    source = "import time\ndef handler(event, context):\n    return time.time(), time.time_ns()\n"
    lambdas.create("f", source, Environment={"Variables": {"ROTA_EMULATOR_SKEW_MS": "-3600000"}})
    before = time.time()
    _, (seconds, nanoseconds) = lambdas.invoke("f")
    assert before - 3600 <= seconds <= time.time() - 3600
    assert abs(seconds - nanoseconds / 1e9) < 1


def test_executions_are_counted_with_their_time(aws: Emulator) -> None:
    lambdas.create("f", "import time\ndef handler(event, context):\n    time.sleep(0.2)\n")
    lambdas.invoke("f")
    lambdas.invoke("f")
    counts = aws.counts()
    assert counts["lambda.Invoke"].requests == counts["internal.lambda.Execute"].requests == 2
    assert counts["internal.lambda.Execute:f"].milliseconds >= 400
