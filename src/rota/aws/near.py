"""The near tier: messages that SQS holds until they are due.

A message goes into a batch of its queue, at most ten and at most 1 MiB in all, and the batches go out at the same time
by several threads, since a call spends its time on the wire. SQS takes a batch apart: each entry may fail alone. What
failed by no fault of the sender's, and what was throttled, is sent again, later and later; what SQS refuses for good
is answered to the caller, who knows what that means. When SQS cannot be reached at all, StoreError: nothing is lost,
because who sends a message forgets its cause only afterwards.

DelaySeconds is whole seconds, at most 900. A message due later than that arrives early, and who receives it sends it on
with the rest. One whose fraction of a second matters is sent to arrive a second or two early, and is waited for. A FIFO
queue knows no delay of a single message, so what goes there must be due.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 botocore's own, which is no OSError
    HTTPClientError,
    IncompleteReadError,
)

from rota.aws.settings import LONGEST_DELAY
from rota.connectors.aws_errors import DENIED, denied
from rota.core.errors import InvalidError, StoreError
from rota.ports.clock import Clock
from rota.targets.aws import code_of, is_transient

log: logging.Logger = logging.getLogger("rota.near")

MISSING = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
"""What SQS says of a queue that is not there."""
BATCH = 10
BATCH_BYTES = 1024 * 1024
_OVERHEAD = 512
"""Bytes a message is counted for beyond its body: attributes and ids."""
EARLY = 1000
"""Milliseconds by which a precise message comes before its time, and up to a second more."""


class Outgoing(NamedTuple):
    """A message to send. queue: URL. due: epoch ms; 0 is at once. attributes: text, at most ten. group, dedup: for a
    FIFO queue. early: it is to arrive EARLY before it is due."""

    queue: str
    body: str
    due: int = 0
    attributes: tuple[tuple[str, str], ...] = ()
    group: str | None = None
    dedup: str | None = None
    early: bool = False


class Refused(NamedTuple):
    """A message that SQS will not take, however often it is sent."""

    message: Outgoing
    code: str
    reason: str

    @property
    def why(self) -> str:
        """For whoever reads the error: the permission by its name if that is what lacks, else what SQS said."""
        return denied("sqs:SendMessage", self.reason) if self.code in DENIED else f"{self.code}: {self.reason}"


def delay_seconds(due: int, now: int, *, early: bool = False) -> int:
    """The whole seconds that SQS is to hold a message which is due at `due`."""
    wait = (due - now - EARLY) // 1000 if early else -((now - due) // 1000)
    return max(0, min(LONGEST_DELAY, wait))


class NearTier:
    """sqs: a boto3 client. threads: calls at the same time; with 1 everything happens in the caller's thread. tries:
    how often a message is sent before `send` raises."""

    def __init__(
        self,
        sqs: Any,
        clock: Clock,
        *,
        threads: int = 16,
        tries: int = 8,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sqs = sqs
        self._clock = clock
        self._tries = tries
        self._sleep = sleep
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def send(self, messages: Sequence[Outgoing]) -> list[Refused]:
        """Send all of them; answers what SQS refuses. StoreError if SQS did not take some in all tries: any of them
        may have arrived."""
        batches = list(_batches(messages))
        if len(batches) < 2 or self._threads < 2:
            return [refused for batch in batches for refused in self._send(batch)]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "rota-near")
        return [refused for answers in self._pool.map(self._send, batches) for refused in answers]

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _send(self, batch: Sequence[Outgoing]) -> list[Refused]:
        """One queue's batch, until each entry was taken or refused."""
        left, refused, code = list(batch), list[Refused](), ""
        for attempt in range(self._tries):
            if attempt:
                self._sleep(random.uniform(0.5, 1) * min(5.0, 0.05 * 2**attempt))  # noqa: S311 only spreads calls
            try:
                answer = self._sqs.send_message_batch(
                    QueueUrl=left[0].queue, Entries=[self._entry(n, one) for n, one in enumerate(left)]
                )
            except (BotoCoreError, ClientError) as error:
                code = code_of(error) if isinstance(error, ClientError) else type(error).__name__
                if not _is_transient(error):
                    return [*refused, *(Refused(one, code, str(error)) for one in left)]
                log.info("SQS answered %s; %d messages are sent again", code, len(left))
                continue
            failed = answer.get("Failed", ())
            if not failed:
                return refused
            again = []
            for entry in failed:
                message, code = left[int(entry["Id"])], entry.get("Code", "")
                if entry.get("SenderFault") and not is_transient(code, 400):
                    refused.append(Refused(message, code, entry.get("Message", code)))
                else:
                    again.append(message)
            if not again:
                return refused
            left = again
        raise StoreError(f"SQS did not take {len(left)} messages in {self._tries} tries ({code})", queue=left[0].queue)

    def _entry(self, number: int, message: Outgoing) -> dict[str, Any]:
        entry: dict[str, Any] = {"Id": str(number), "MessageBody": message.body}
        if message.attributes:
            entry["MessageAttributes"] = {
                name: {"DataType": "String", "StringValue": value} for name, value in message.attributes
            }
        if message.queue.endswith(".fifo"):
            entry["MessageGroupId"] = message.group or "rota"
            if message.dedup is not None:
                entry["MessageDeduplicationId"] = message.dedup
            return entry
        # A fair queue takes a group on standard queues too.
        if message.group is not None:
            entry["MessageGroupId"] = message.group
        delay = delay_seconds(message.due, self._clock.now(), early=message.early)
        if delay:
            entry["DelaySeconds"] = delay
        return entry


def _batches(messages: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    by_queue: dict[str, list[Outgoing]] = {}
    for message in messages:
        by_queue.setdefault(message.queue, []).append(message)
    for queued in by_queue.values():
        batch: list[Outgoing] = []
        total = 0
        for message in queued:
            size = len(message.body.encode()) + _OVERHEAD
            if size > BATCH_BYTES + _OVERHEAD:
                raise InvalidError(
                    "message", f"{size - _OVERHEAD} bytes", f"at most {BATCH_BYTES} bytes, the limit of SQS"
                )
            if len(batch) == BATCH or (batch and total + size > BATCH_BYTES):
                yield batch
                batch, total = [], 0
            batch.append(message)
            total += size
        yield batch


def _is_transient(error: BotoCoreError | ClientError) -> bool:
    """Whether another call can help."""
    if not isinstance(error, ClientError):
        return isinstance(error, HTTPClientError | ConnectionError | IncompleteReadError)
    return is_transient(code_of(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
