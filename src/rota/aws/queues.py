"""Embedded queues on AWS: the queue NAME is the SQS queue whose URL is the stack's prefix and NAME.

What SQS makes different: a delay of at most 15 minutes, a visibility timeout of at most 12 hours, sizes that are
approximate, and no memory of what was sent, so a message may arrive twice; its run id, which travels as an attribute,
tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from botocore.exceptions import ClientError

from rota.aws.near import MISSING, NearTier, Outgoing
from rota.aws.sessions import translating
from rota.aws.settings import LONGEST_DELAY, StackSettings
from rota.connectors.aws_errors import code_of
from rota.core.errors import InvalidError, NotFoundError, StoreError
from rota.ports.clock import Clock
from rota.ports.queues import Message, NewMessage

_LONGEST_VISIBILITY = 43_200
_BATCH = 10
_NONE = "the stack has none of this name"
_SIZES = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class SqsQueues:
    """A `QueueStore`. sqs: a boto3 client. settings: of the stack; what else begins with its name (the queues of its
    own functions, those of another stack) is none of the app's."""

    def __init__(self, sqs: Any, settings: StackSettings, near: NearTier, clock: Clock) -> None:
        self._sqs = sqs
        self._prefix = settings.queue_prefix
        self._names = settings.queues
        self._may_have = settings.may_have_queue
        self._near = near
        self._clock = clock

    def send(self, messages: Sequence[NewMessage], now: int) -> None:
        for queue in {message.queue for message in messages}:
            self._check(queue)
        latest = now + LONGEST_DELAY * 1000
        for message in messages:
            if message.visible_at > latest:
                seconds = (message.visible_at - now) / 1000
                raise InvalidError("delay", seconds, f"at most {LONGEST_DELAY} seconds; use `at` for what is later")
        sent = [self._outgoing(message) for message in messages]
        for refused in self._near.send(sent):
            name = refused.message.queue.removeprefix(self._prefix)
            if refused.code in MISSING:
                raise NotFoundError("queue", name, _NONE)
            raise StoreError(f"SQS refuses a message for queue {name!r}: {refused.why}", queue=name)

    def _outgoing(self, message: NewMessage) -> Outgoing:
        attributes = (("rota-run-id", message.run_id),) if message.run_id is not None else ()
        url = f"{self._prefix}{message.queue}"
        return Outgoing(url, message.body.decode(), message.visible_at, attributes)

    def receive(self, queue: str, limit: int, visibility: int, now: int) -> list[Message]:
        self._check(queue)
        seconds = max(1, -(-visibility // 1000))
        if seconds > _LONGEST_VISIBILITY:
            raise InvalidError("visibility", seconds, f"at most {_LONGEST_VISIBILITY} seconds on SQS")
        found: list[Message] = []
        while len(found) < limit:
            page = self._receive(queue, min(_BATCH, limit - len(found)), seconds)
            found += page
            if not page:
                break
        return found

    def _receive(self, queue: str, limit: int, seconds: int) -> list[Message]:
        with translating("sqs", queue=queue):
            try:
                answer = self._sqs.receive_message(
                    QueueUrl=f"{self._prefix}{queue}",
                    MaxNumberOfMessages=limit,
                    VisibilityTimeout=seconds,
                    MessageAttributeNames=["rota-run-id"],
                    MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
                )
            except ClientError as error:
                if code_of(error) in MISSING:
                    raise NotFoundError("queue", queue, _NONE) from None
                raise
        return [_message(queue, row) for row in answer.get("Messages", ())]

    def ack(self, receipts: Sequence[str]) -> list[bool]:
        answers: dict[str, bool] = {}
        queues: dict[str, list[str]] = {}
        for receipt in receipts:
            queue, _, handle = receipt.partition(" ")
            if not handle:
                raise InvalidError("receipt", receipt, "what `receive` answered as a message's receipt")
            queues.setdefault(queue, []).append(handle)
        for queue, handles in queues.items():
            for start in range(0, len(handles), _BATCH):
                batch = handles[start : start + _BATCH]
                with translating("sqs", queue=queue):
                    answer = self._sqs.delete_message_batch(
                        QueueUrl=f"{self._prefix}{queue}",
                        Entries=[{"Id": str(n), "ReceiptHandle": handle} for n, handle in enumerate(batch)],
                    )
                done = {entry["Id"] for entry in answer.get("Successful", ())}
                answers |= {f"{queue} {handle}": str(n) in done for n, handle in enumerate(batch)}
        return [answers[receipt] for receipt in receipts]

    def sizes(self) -> dict[str, int]:
        """Messages per queue that has any, hidden and delayed ones included; approximate."""
        with translating("sqs"):
            sizes = {name: self._size(f"{self._prefix}{name}") for name in self._names or self._found()}
        return {queue: size for queue, size in sizes.items() if size}

    def _found(self) -> list[str]:
        """Of a stack that does not tell its queues."""
        start = self._prefix.rpartition("/")[2]
        urls = self._sqs.list_queues(QueueNamePrefix=start).get("QueueUrls", ())
        return [name for url in urls if self._may_have(name := url.rpartition("/")[2].removeprefix(start))]

    def _check(self, queue: str) -> None:
        if not self._may_have(queue):
            raise NotFoundError("queue", queue, _NONE)

    def _size(self, url: str) -> int:
        found = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_SIZES))["Attributes"]
        return sum(int(found.get(name, 0)) for name in _SIZES)


def _message(queue: str, row: dict[str, Any]) -> Message:
    attributes = row.get("Attributes", {})
    run_id = row.get("MessageAttributes", {}).get("rota-run-id", {}).get("StringValue")
    return Message(
        queue,
        _number(row["MessageId"]),
        row["Body"].encode(),
        int(attributes.get("SentTimestamp", 0)),
        int(attributes.get("ApproximateReceiveCount", 1)),
        f"{queue} {row['ReceiptHandle']}",
        run_id,
    )


def _number(id: str) -> int:
    """A number for SQS's message id; the first 60 bits of it are as good as all."""
    try:
        return UUID(id).int >> 68
    except ValueError:
        return sum(ord(letter) << (8 * place) for place, letter in enumerate(reversed(id[:7])))
