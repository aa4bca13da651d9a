"""Embedded message queues: what the queue target sends to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class NewMessage(msgspec.Struct, frozen=True):
    """A message to send. body: JSON. visible_at: epoch ms. run_id, if given, makes sending idempotent."""

    queue: str
    body: bytes
    visible_at: int
    run_id: str | None = None


class Message(msgspec.Struct, frozen=True):
    """A received message. receipt: what `ack` wants; it is void once the visibility timeout has passed and someone
    else received it."""

    queue: str
    id: int
    body: bytes
    sent: int
    received: int
    receipt: str
    run_id: str | None = None


class QueueStore(Protocol):
    """An implementer owes: at-least-once delivery (a message stays until acknowledged), earliest visible first, one
    receiver at a time within the visibility timeout, durability as ScheduleStore, and that a second message with the
    run id of one that is still in the queue is not stored."""

    def send(self, messages: Sequence[NewMessage], now: int) -> None: ...

    def receive(self, queue: str, limit: int, visibility: int, now: int) -> list[Message]:
        """Up to `limit` visible messages, hidden from others until `now + visibility` (milliseconds)."""

    def ack(self, receipts: Sequence[str]) -> list[bool]:
        """Remove what was received; False for a receipt that is void."""

    def sizes(self) -> dict[str, int]:
        """Messages per queue, hidden ones included."""
