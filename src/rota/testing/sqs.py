"""SQS in memory, on a clock that a test moves: what a boto3 client of it answers, as far as rota calls it.

It keeps the rules that a wrong caller would break: ten messages and 1 MiB a batch, 900 seconds of delay, ten
attributes, no delay for a single message of a FIFO queue, which takes the same one again after five minutes. Standard
queues promise little, and a test may want the worst: `shuffle` reorders what is received, and `twice` delivers messages
twice.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rota.testing.clock import FakeClock

MakeError = Callable[[str, str, int, str], Exception]
"""code, message, HTTP status, action -> what a call raises: such as a botocore ClientError."""

DEDUPLICATED = 300_000
"""Milliseconds for which a FIFO queue knows what was sent to it."""


@dataclass
class Held:
    """A message in a queue. visible: from when it can be received; both times epoch ms."""

    id: str
    body: str
    sent: int
    visible: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None
    received: int = 0
    receipt: str = ""


class FakeSqs:
    """queues: their URLs. make_error: makes the errors. fault: asked before each call with its action, and raises if it
    is to fail; partial: asked for each entry of a batch, True if that entry is to fail."""

    def __init__(
        self,
        clock: FakeClock,
        queues: Sequence[str],
        make_error: MakeError,
        *,
        fault: Callable[[str], None] | None = None,
        partial: Callable[[str], bool] | None = None,
    ) -> None:
        self.clock: FakeClock = clock
        self.held: dict[str, list[Held]] = {queue: [] for queue in queues}
        self.calls: dict[str, int] = {}
        self.fault: Callable[[str], None] | None = fault
        self.partial: Callable[[str], bool] | None = partial
        self._error = make_error
        self._numbers = itertools.count(1)
        self._deduplicated: dict[tuple[str, str], int] = {}

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self._begin("SendMessageBatch")
        queue = self._queue(QueueUrl, "SendMessageBatch")
        if not 1 <= len(Entries) <= 10:
            raise self._error("TooManyEntriesInBatchRequest", f"{len(Entries)} entries", 400, "SendMessageBatch")
        if sum(len(entry["MessageBody"].encode()) for entry in Entries) > 1024 * 1024:
            raise self._error("BatchRequestTooLong", "over 1048576 bytes", 400, "SendMessageBatch")
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in Entries:
            reason = self._reason(QueueUrl, entry)
            if reason is not None:
                answer["Failed"].append(
                    {"Id": entry["Id"], "SenderFault": True, "Code": "InvalidParameterValue", "Message": reason}
                )
            elif self.partial is not None and self.partial(entry["MessageBody"]):
                answer["Failed"].append({"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"})
            else:
                held = self._put(QueueUrl, queue, entry)
                answer["Successful"].append({"Id": entry["Id"], "MessageId": held.id})
        return {name: rows for name, rows in answer.items() if rows}

    def send_message(self, *, QueueUrl: str, **entry: Any) -> dict[str, Any]:  # noqa: N803
        self._begin("SendMessage")
        queue = self._queue(QueueUrl, "SendMessage")
        reason = self._reason(QueueUrl, entry)
        if reason is not None:
            raise self._error("InvalidParameterValue", reason, 400, "SendMessage")
        return {"MessageId": self._put(QueueUrl, queue, entry).id}

    def receive_message(
        self,
        *,
        QueueUrl: str,  # noqa: N803
        MaxNumberOfMessages: int = 1,  # noqa: N803
        VisibilityTimeout: int = 30,  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        self._begin("ReceiveMessage")
        queue, now = self._queue(QueueUrl, "ReceiveMessage"), self.clock.now()
        found = sorted((held for held in queue if held.visible <= now), key=lambda held: held.visible)
        return {"Messages": [self._receive(held, VisibilityTimeout) for held in found[:MaxNumberOfMessages]]}

    def delete_message_batch(self, *, QueueUrl: str, Entries: Sequence[Mapping[str, str]]) -> dict[str, Any]:  # noqa: N803
        self._begin("DeleteMessageBatch")
        queue = self._queue(QueueUrl, "DeleteMessageBatch")
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in Entries:
            gone = [held for held in queue if held.receipt and held.receipt == entry["ReceiptHandle"]]
            for held in gone:
                queue.remove(held)
            answer["Successful" if gone else "Failed"].append({"Id": entry["Id"]})
        return answer

    def change_message_visibility_batch(
        self,
        *,
        QueueUrl: str,  # noqa: N803
        Entries: Sequence[Mapping[str, Any]],  # noqa: N803
    ) -> dict[str, Any]:
        self._begin("ChangeMessageVisibilityBatch")
        queue, now = self._queue(QueueUrl, "ChangeMessageVisibilityBatch"), self.clock.now()
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in Entries:
            mine = [held for held in queue if held.receipt and held.receipt == entry["ReceiptHandle"]]
            for held in mine:
                held.visible = now + 1000 * entry["VisibilityTimeout"]
            answer["Successful" if mine else "Failed"].append({"Id": entry["Id"]})
        return answer

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: Sequence[str]) -> dict[str, Any]:  # noqa: N803
        self._begin("GetQueueAttributes")
        waiting = str(len(self._queue(QueueUrl, "GetQueueAttributes")))
        return {"Attributes": {name: waiting if name == AttributeNames[0] else "0" for name in AttributeNames}}

    def list_queues(self, *, QueueNamePrefix: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803
        self._begin("ListQueues")
        return {"QueueUrls": [url for url in self.held if url.rpartition("/")[2].startswith(QueueNamePrefix)]}

    def due(self, queue: str, *, visibility: int, rng: random.Random | None = None) -> list[Held]:
        """What an event source would deliver now, hidden for `visibility` ms. rng: in any order, some of it twice."""
        now = self.clock.now()
        found = sorted((held for held in self.held[queue] if held.visible <= now), key=lambda held: held.visible)
        for held in found:
            held.visible, held.received = now + visibility, held.received + 1
            held.receipt = f"{held.id}.{held.received}"
        if rng is not None:
            found += [held for held in found if rng.random() < 0.2]
            rng.shuffle(found)
        return found

    def delete(self, queue: str, held: Held) -> None:
        """It was dealt with."""
        if held in self.held[queue]:
            self.held[queue].remove(held)

    def bodies(self, queue: str) -> list[str]:
        return [held.body for held in self.held[queue]]

    def next_visible(self) -> int | None:
        """When the next message of any queue can be received."""
        return min((held.visible for queue in self.held.values() for held in queue), default=None)

    def _begin(self, action: str) -> None:
        self.calls[action] = self.calls.get(action, 0) + 1
        if self.fault is not None:
            self.fault(action)

    def _queue(self, url: str, action: str) -> list[Held]:
        if url not in self.held:
            raise self._error("AWS.SimpleQueueService.NonExistentQueue", "The queue does not exist", 400, action)
        return self.held[url]

    def _reason(self, url: str, entry: Mapping[str, Any]) -> str | None:
        """Why SQS would not take this message."""
        fifo = url.endswith(".fifo")
        if not 0 <= entry.get("DelaySeconds", 0) <= 900:
            return f"DelaySeconds {entry['DelaySeconds']} is not from 0 to 900"
        if fifo and "DelaySeconds" in entry:
            return "DelaySeconds is not for a message of a FIFO queue"
        if fifo and "MessageGroupId" not in entry:
            return "a FIFO queue wants a MessageGroupId"
        if len(entry.get("MessageAttributes", {})) > 10:
            return "more than 10 attributes"
        if not 1 <= len(entry["MessageBody"].encode()) <= 1024 * 1024:
            return "a message has 1 to 1048576 bytes"
        return None

    def _put(self, url: str, queue: list[Held], entry: Mapping[str, Any]) -> Held:
        now = self.clock.now()
        held = Held(
            f"m{next(self._numbers)}",
            entry["MessageBody"],
            now,
            now + 1000 * entry.get("DelaySeconds", 0),
            dict(entry.get("MessageAttributes", {})),
            entry.get("MessageGroupId"),
        )
        dedup = entry.get("MessageDeduplicationId")
        if dedup is None:
            queue.append(held)
        elif self._deduplicated.get((url, dedup), now - DEDUPLICATED) <= now - DEDUPLICATED:
            queue.append(held)
            self._deduplicated[url, dedup] = now
        return held

    def _receive(self, held: Held, visibility: int) -> dict[str, Any]:
        held.received += 1
        held.visible = self.clock.now() + 1000 * visibility
        held.receipt = f"{held.id}.{held.received}"
        return {
            "MessageId": held.id,
            "ReceiptHandle": held.receipt,
            "Body": held.body,
            "MessageAttributes": held.attributes,
            "Attributes": {"SentTimestamp": str(held.sent), "ApproximateReceiveCount": str(held.received)},
        }
