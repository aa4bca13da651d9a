"""Queues in the emulator."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3

PATIENCE = 180.0
"""Seconds; a deadline only ends a test that fails."""


def create(name: str, **attributes: object) -> str:
    """A queue; answers its URL."""
    given = {key: it if isinstance(it, str) else json.dumps(it) for key, it in attributes.items()}
    return str(boto3.client("sqs").create_queue(QueueName=name, Attributes=given)["QueueUrl"])


def arn(url: str) -> str:
    """The ARN of a queue."""
    answer = boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(answer["Attributes"]["QueueArn"])


def receive(url: str, count: int, seconds: float = PATIENCE) -> list[dict[str, Any]]:
    """`count` messages, deleted. AssertionError if they do not come within so many seconds."""
    client, found = boto3.client("sqs"), list[dict[str, Any]]()
    until = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < until, f"{len(found)} messages came, not {count}"
        answer = client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
        )
        for message in answer.get("Messages", []):
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.append(message)
    return found
