"""Send the payload to an SQS queue.

The body is the payload as JSON, save that a payload which is a text is sent as that very text. The message attributes
`rota-run-id` and `rota-scheduled` tell the run. On a FIFO queue the deduplication id is derived from the run id, so a
send that is repeated within five minutes stores nothing twice; on a standard queue consumers may tell by the attribute.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from rota.core.aws_names import region_of
from rota.core.errors import TargetError
from rota.core.ids import iso
from rota.core.outcome import Result
from rota.core.run import Run
from rota.core.target import SqsTarget
from rota.targets.aws import ClientOf, check_size, derived_id, filled, telling

ACTION = "sqs:SendMessage"
LIMIT = 1024 * 1024
"""Bytes of one message, and of a batch of messages: bodies and attributes with their names and types."""
_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DOMAINS = {"aws-cn": "amazonaws.com.cn"}


class SqsCall:
    """Sends for a run's SqsTarget. Safe to share between threads. Answers with {"messageId": ...}, on a FIFO queue also
    "sequenceNumber". Raises TargetError."""

    def __init__(self, client: ClientOf) -> None:
        self._client = client

    def __call__(self, run: Run) -> bytes | None:
        target = run.spec.target
        assert isinstance(target, SqsTarget)
        sent = message(run)
        with telling(run, ACTION, target.queue):
            client = self._client("sqs", region_of(target.queue), once=run.spec.delivery == "at_most_once")
            answer = client.send_message(QueueUrl=queue_url(target.queue), **sent)
        value = {"messageId": answer["MessageId"]}
        if "SequenceNumber" in answer:
            value["sequenceNumber"] = answer["SequenceNumber"]
        return msgspec.json.encode(value)

    def inquire(self, run: Run) -> Result | None:
        """None: a queue tells nothing of what was sent; a FIFO queue makes sending again harmless."""
        return None


def message(run: Run) -> dict[str, Any]:
    """The message for a run with an SqsTarget, as `SendMessage` and the entries of `SendMessageBatch` take it: body,
    attributes and, where the queue has them, group and deduplication id. TargetError if SQS would not take it."""
    target = run.spec.target
    assert isinstance(target, SqsTarget)
    body = _body(run, target)
    attributes = {"rota-run-id": run.id, "rota-scheduled": iso(run.scheduled)}
    size = len(body.encode()) + sum(len(name) + len("String") + len(value) for name, value in attributes.items())
    check_size(run, size, LIMIT, ACTION, target.queue)
    made: dict[str, Any] = {
        "MessageBody": body,
        "MessageAttributes": {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    }
    if target.fifo:
        made["MessageDeduplicationId"] = derived_id(run)
    if target.fifo or target.group is not None:
        made["MessageGroupId"] = target.group or run.schedule_id
    return made


def queue_url(queue: str) -> str:
    """The URL of a queue that is named by its URL or its ARN."""
    if not queue.startswith("arn:"):
        return queue
    _, partition, _, region, account, name = queue.split(":")
    return f"https://sqs.{region}.{_DOMAINS.get(partition, 'amazonaws.com')}/{account}/{name}"


def _body(run: Run, target: SqsTarget) -> str:
    text = filled(run)
    if not text.startswith(b'"'):
        # Two characters that JSON may hold as they are, and SQS may not.
        return text.decode().replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
    body = msgspec.json.decode(text, type=str)
    if not body or _REFUSED.search(body):
        raise TargetError(
            f"{ACTION} on {target.queue}: the payload is a text that SQS does not carry: an empty one, or one with "
            f"control characters",
            transient=False,
            schedule=run.schedule_id,
            run=run.id,
        )
    return body
