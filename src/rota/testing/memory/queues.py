"""Embedded queues in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from threading import RLock

from rota.ports.queues import Message, NewMessage


@dataclass
class _Stored:
    message: NewMessage
    sent: int
    visible_at: int
    received: int = 0


class MemoryQueueStore:
    """A `QueueStore` that lasts as long as the object."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._stored: dict[int, _Stored] = {}
        self._last = 0

    def send(self, messages: Sequence[NewMessage], now: int) -> None:
        with self._lock:
            waiting = {(one.message.queue, one.message.run_id) for one in self._stored.values()}
            for message in messages:
                name = (message.queue, message.run_id)
                if message.run_id is not None and name in waiting:
                    continue
                waiting.add(name)
                self._last += 1
                self._stored[self._last] = _Stored(message, now, message.visible_at)

    def receive(self, queue: str, limit: int, visibility: int, now: int) -> list[Message]:
        with self._lock:
            visible = [
                (one.visible_at, number)
                for number, one in self._stored.items()
                if one.message.queue == queue and one.visible_at <= now
            ]
            return [self._receive(number, now + visibility) for _, number in sorted(visible)[:limit]]

    def _receive(self, number: int, hidden_until: int) -> Message:
        one = self._stored[number]
        one.visible_at = hidden_until
        one.received += 1
        message = one.message
        receipt = f"{number}.{one.received}"
        return Message(message.queue, number, message.body, one.sent, one.received, receipt, message.run_id)

    def ack(self, receipts: Sequence[str]) -> list[bool]:
        with self._lock:
            return [self._ack(receipt) for receipt in receipts]

    def _ack(self, receipt: str) -> bool:
        number, _, received = receipt.partition(".")
        one = self._stored.get(int(number)) if number.isdecimal() else None
        if one is None or str(one.received) != received:
            return False
        del self._stored[int(number)]
        return True

    def sizes(self) -> dict[str, int]:
        with self._lock:
            return dict(Counter(one.message.queue for one in self._stored.values()))
