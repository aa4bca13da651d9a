"""An engine is killed while a target on AWS does its work; the next one asks before it repeats."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.aws.clouds import ended, executions, make_function, make_machine, make_queue, messages, value, wait_for

from rota import wiring
from rota.core.target import SqsTarget
from rota.testing.emulator import Emulator, Fault

SERVE = """
import sys, time
from rota import wiring
with wiring.engine(sys.argv[1]):
    time.sleep(600)
"""
DONE_WITHOUT_ANSWER = Fault(times=1, lost=True)
NO_ANSWER = Fault(latency_ms=600_000)
"""What the SDK's next try meets, until the engine is killed."""


@contextmanager
def killed_during(url: str, run: str) -> Iterator[None]:
    """An engine that has begun to attempt `run`, and is killed at the end of the block."""
    with wiring.connect(url) as client, subprocess.Popen([sys.executable, "-c", SERVE, url]) as engine:
        try:
            wait_for(lambda: client.runs.list(state="running"))
            assert client.runs.get(run).state == "running"
            yield
        finally:
            engine.kill()


def asked_for(aws: Emulator, action: str) -> int:
    counts = aws.counts()
    return counts[action].requests if action in counts else 0


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/rota.db"


def test_an_execution_that_was_started_is_found_by_its_name(aws: Emulator, url: str) -> None:
    machine = make_machine("Refund")
    with wiring.connect(url) as client:
        run = client.at(0, machine, {"id": 17})
    aws.faults({"states.StartExecution": DONE_WITHOUT_ANSWER, "states.*": NO_ANSWER})
    with killed_during(url, run):
        wait_for(lambda: asked_for(aws, "states.StartExecution") == 2)
    aws.faults({})
    aws.reset_counts()
    with wiring.engine(url) as client:
        record = ended(client, run)
    counts = aws.counts()
    assert counts["states.DescribeExecution"].requests == 1
    assert "states.StartExecution" not in counts
    (execution,) = executions(machine)
    assert value(record)["executionArn"] == execution["executionArn"]
    assert record.attempt == 1


def test_an_execution_that_was_not_started_is_started(aws: Emulator, url: str) -> None:
    machine = make_machine("Refund")
    with wiring.connect(url) as client:
        run = client.at(0, machine, {"id": 17})
    aws.faults({"states.StartExecution": NO_ANSWER})
    with killed_during(url, run):
        pass
    aws.faults({})
    assert executions(machine) == []
    with wiring.engine(url) as client:
        record = ended(client, run)
    assert value(record)["executionArn"] == executions(machine)[0]["executionArn"]
    assert [it.failure.type for it in record.attempts if it.failure] == ["rota.Interrupted"]


def test_a_start_does_not_fail_because_nobody_answers(aws: Emulator, url: str) -> None:
    machine = make_machine("Refund")
    with wiring.connect(url) as client:
        run = client.at(0, machine, {"id": 17})
    aws.faults({"states.StartExecution": DONE_WITHOUT_ANSWER, "states.*": NO_ANSWER})
    with killed_during(url, run):
        wait_for(lambda: asked_for(aws, "states.StartExecution") == 2)
    aws.faults({"states.DescribeExecution": Fault(times=1, code="InternalFailure", status=500)})
    with wiring.engine(url) as client:
        record = ended(client, run)
    (execution,) = executions(machine)
    assert value(record)["executionArn"] == execution["executionArn"]
    assert record.attempt == 2


def test_a_fifo_queue_takes_a_repeated_send_once(aws: Emulator, url: str) -> None:
    queue = make_queue("orders.fifo")
    with wiring.connect(url) as client:
        run = client.at(0, SqsTarget(queue), {"id": 17})
    aws.faults({"sqs.SendMessage": DONE_WITHOUT_ANSWER, "sqs.*": NO_ANSWER})
    with killed_during(url, run):
        wait_for(lambda: asked_for(aws, "sqs.SendMessage") == 2)
    aws.faults({})
    with wiring.engine(url) as client:
        record = ended(client, run)
    assert record.attempt == 2
    (message,) = messages(queue)
    assert message["MessageId"] == value(record)["messageId"]


def test_a_function_is_invoked_again_with_the_same_run_id(aws: Emulator, url: str) -> None:
    make_function("echo", "def handler(event, context):\n    return event\n")
    with wiring.connect(url) as client:
        run = client.at(0, "lambda:echo", "<rota-run-id>")
    aws.faults({"lambda.Invoke": DONE_WITHOUT_ANSWER, "lambda.*": NO_ANSWER})
    with killed_during(url, run):
        wait_for(lambda: asked_for(aws, "lambda.Invoke") == 2)
    aws.faults({})
    with wiring.engine(url) as client:
        record = ended(client, run)
    assert value(record) == run
    assert record.attempt == 2
    assert aws.counts()["internal.lambda.Execute:echo"].requests == 2
