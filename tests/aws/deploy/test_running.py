"""What was deployed runs: its functions fire what is due, with the roles, queues and bundles of the template."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.aws.deploy.till import app

import rota
from rota.aws.deploy import deployer
from rota.aws.stacks import Stack
from rota.aws.synth import synthesize
from rota.client import Client
from rota.testing.emulator import Emulator

PATIENCE = 180.0


@pytest.fixture
def stack(aws: Emulator) -> Stack:
    it = deployer(told=lambda _: None, noted=lambda _: None, poll=0.01)
    made = it.execute(it.plan("till", synthesize(app, str(Path(__file__).with_name("till.py")), None), {}))
    it.feed(made)
    return made


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with rota.connect("aws://till", app) as made:
        made.sync(app)
        yield made


def until(holds: Callable[[], bool], what: str, aws: Emulator) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what} did not happen\n{aws.log()[-2000:]}"
        time.sleep(0.1)


class Inbox:
    """What came to a queue so far. Messages are taken out: one that is looked at ten times is a dead letter."""

    def __init__(self, url: str) -> None:
        self._sqs = boto3.client("sqs")
        self._url = url
        self.bodies: list[Any] = []

    def holds(self, *wanted: object) -> bool:
        """Whether these have come, and no others."""
        found = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)
        for it in found.get("Messages", ()):
            self.bodies.append(json.loads(it["Body"]))
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=it["ReceiptHandle"])
        return self.bodies == list(wanted)

    def count(self) -> int:
        """How many have come."""
        self.holds()
        return len(self.bodies)


def test_one_offs_fire_and_dead_letters_are_seen(client: Client, stack: Stack, aws: Emulator) -> None:
    now = time.time()
    good, bad = (client.at(now + 1, f"task:{name}", 7) for name in ("charge", "refuse"))
    sent = client.at(now + 1, "queue:closed", {"till": 3})
    ended = ("succeeded", "failed")
    until(lambda: all(client.runs.get(it).state in ended for it in (good, bad, sent)), "the end of three runs", aws)
    assert json.loads(client.runs.get(good).value or b"") == {"charged": 7}
    assert client.runs.get(bad).state == "failed"
    assert [letter.id for letter in client.dead_letters.list()] == [bad]
    closed, dead = (Inbox(url) for url in (f"{stack.outputs['QueuePrefix']}closed", stack.outputs["DeadQueueUrl"]))
    until(lambda: closed.holds({"till": 3}), "the message on the queue", aws)
    until(lambda: dead.count() == 1, "the copy of the dead letter", aws)
    client.schedules.trigger("closing")
    until(lambda: closed.holds({"till": 3}, None), "what was triggered", aws)


def test_an_ad_hoc_schedule_appears_on_the_data_queue(stack: Stack, aws: Emulator) -> None:
    event = json.dumps({"timestamp": time.time() + 1, "data": {"order": 7}})
    answer = boto3.client("lambda").invoke(FunctionName=stack.outputs["AdHocName"], Payload=event)
    said = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, said
    data = Inbox(stack.outputs["DataQueueUrl"])
    until(lambda: data.holds({"order": 7}), "the data", aws)


def test_an_ad_hoc_batch_is_refused_by_a_stack_without_batches(stack: Stack) -> None:
    event = json.dumps({"timestamp": time.time() + 1, "target": "batch:orders", "data": 1})
    answer = boto3.client("lambda").invoke(FunctionName=stack.outputs["AdHocName"], Payload=event)
    said = json.loads(answer["Payload"].read())
    assert "a batch only where the stack's app declares batches" in said["errorMessage"]
