"""The functions of a stack in this process, with table and queues in the emulator."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rota.aws.dynamo.schema import create_table
from rota.aws.handlers import adhoc, dead, dispatcher, feeder, setting, worker
from rota.aws.sessions import client

EVENTS = Path(__file__).resolve().parents[3] / "deploy" / "events"
PATIENCE = 180.0
"""Seconds; a deadline only ends a test that fails."""
QUEUES = ("DispatchQueue", "WorkerQueue", "DeadQueue", "data")


def event(name: str) -> Any:
    """An event as AWS sends it."""
    return msgspec.json.decode((EVENTS / f"{name}.json").read_bytes())


class Invocation:
    """What Lambda tells of an invocation that may take a minute."""

    _numbers = itertools.count(1)

    def __init__(self) -> None:
        self.aws_request_id = f"request-{next(self._numbers)}"
        self.function_name = "shop-feeder"
        self._ends = time.monotonic() + 60

    def get_remaining_time_in_millis(self) -> int:
        return round(1000 * (self._ends - time.monotonic()))


def forget() -> None:
    """Start the functions anew."""
    for made in (
        setting.parts,
        setting.figures,
        feeder.lambda_client,
        dispatcher.dispatcher,
        worker.worker,
        adhoc.adhoc,
        dead.dead,
    ):
        made.cache_clear()


class Functions:
    """A stack named shop. queues: URLs by name."""

    def __init__(self, patch: pytest.MonkeyPatch, app: str = "") -> None:
        self.sqs = client("sqs")
        create_table(client("dynamodb"), "shop")
        self.queues = {name: self.sqs.create_queue(QueueName=f"shop-{name}")["QueueUrl"] for name in QUEUES}
        base = self.queues["data"].removesuffix("data")
        for name, value in {
            "ROTA_STACK": "shop",
            "ROTA_TABLE": "shop",
            "ROTA_DISPATCH_QUEUE_URL": self.queues["DispatchQueue"],
            "ROTA_WORKER_QUEUE_URL": self.queues["WorkerQueue"],
            "ROTA_DEAD_QUEUE_URL": self.queues["DeadQueue"],
            "ROTA_QUEUE_PREFIX": base,
            "ROTA_SHARDS": "2",
            "ROTA_APP": app,
        }.items():
            patch.setenv(name, value)
        forget()

    def feed(self) -> dict[str, Any]:
        return feeder.handler(event("feeder-scheduled"), Invocation())

    def adhoc(self, asked: Any) -> dict[str, Any]:
        return adhoc.handler(asked, Invocation())

    def post(self, body: object, method: str = "POST") -> tuple[int, Any]:
        """Call the URL of the ad-hoc function; a text is sent as it is."""
        asked = event("adhoc-url")
        asked["requestContext"]["http"]["method"] = method
        asked["body"] = body if isinstance(body, str) else msgspec.json.encode(body).decode()
        answer = self.adhoc(asked)
        return answer["statusCode"], msgspec.json.decode(answer["body"])

    def deliver(self, queue: str = "DispatchQueue", wait: int = 0) -> int:
        """Hand the messages of a queue to its function, as the event source mapping does; answers how many came."""
        url = self.queues[queue]
        rows = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait, AttributeNames=["All"]
        ).get("Messages", [])
        if not rows:
            return 0
        records = [
            {
                "messageId": row["MessageId"],
                "receiptHandle": row["ReceiptHandle"],
                "body": row["Body"],
                "attributes": row["Attributes"],
            }
            for row in rows
        ]
        handler = worker.handler if queue == "WorkerQueue" else dispatcher.handler
        answer = handler({"Records": records}, Invocation())
        again = {row["itemIdentifier"] for row in answer["batchItemFailures"]}
        for row in rows:
            if row["MessageId"] not in again:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=row["ReceiptHandle"])
        return len(rows)

    def arrives(self) -> str:
        """What comes to the queue `data`, through the dispatcher if it is late."""
        ends = time.monotonic() + PATIENCE
        while not (found := self.received(wait=1)):
            assert time.monotonic() < ends, "nothing came"
            self.deliver()
        [body] = found
        return body

    def received(self, queue: str = "data", wait: int = 0) -> list[str]:
        rows = self.sqs.receive_message(QueueUrl=self.queues[queue], MaxNumberOfMessages=10, WaitTimeSeconds=wait)
        return [row["Body"] for row in rows.get("Messages", [])]
