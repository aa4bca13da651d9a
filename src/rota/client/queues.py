"""client.queues: the embedded message queues that targets send to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rota.client.schedules import check_limit
from rota.core.errors import InvalidError
from rota.core.ids import check_id
from rota.core.limits import check_list, check_text
from rota.core.payload import encode_payload
from rota.ports.clock import Clock
from rota.ports.queues import Message, NewMessage, QueueStore

_SHORTEST, _LONGEST = 0.01, 0.1
_WEEK = 604_800


class Queues:
    """Queues by name; they need not be made."""

    def __init__(self, store: QueueStore, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._store = store
        self._clock = clock
        self._sleep = sleep

    def send(self, queue: str, payload: object, *, delay: float = 0) -> None:
        """Send one message. payload: JSON, at most 256 KiB. delay: seconds before it can be received."""
        self.send_many(queue, [payload], delay=delay)

    def send_many(self, queue: str, payloads: Iterable[object], *, delay: float = 0) -> int:
        """Send many in one transaction; answers how many."""
        check_id("queue", queue)
        given = check_list("payloads", payloads, "payloads")
        now = self._clock.now()
        visible_at = now + round(_seconds("delay", delay, _WEEK) * 1000)
        messages = [NewMessage(queue, encode_payload(payload), visible_at) for payload in given]
        self._store.send(messages, now)
        return len(messages)

    def receive(self, queue: str, *, limit: int = 1, visibility: float = 30, wait: float = 0) -> list[Message]:
        """Up to `limit` messages, hidden from others for `visibility` seconds; what is not acknowledged by then is
        received again. wait: seconds to wait for the first one. A message's `body` is JSON."""
        check_id("queue", queue)
        most = check_limit(limit, 1000)
        hidden = round(_seconds("visibility", visibility, _WEEK) * 1000)
        left, step = _seconds("wait", wait, _WEEK), _SHORTEST
        while True:
            found = self._store.receive(queue, most, hidden, self._clock.now())
            if found or left <= 0:
                return found
            pause = min(step, left)
            self._sleep(pause)
            left, step = left - pause, min(step * 1.5, _LONGEST)

    def ack(self, receipts: str | Iterable[str]) -> list[bool]:
        """Remove received messages, by their `receipt`; False for one that is void, because another received it
        since."""
        given = [receipts] if isinstance(receipts, str) else check_list("receipts", receipts, "receipts")
        return self._store.ack([check_text("receipts", one) for one in given])

    def sizes(self) -> dict[str, int]:
        """Messages per queue, hidden ones included."""
        return self._store.sizes()


def _seconds(field: str, value: object, most: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
        raise InvalidError(field, value, f"seconds from 0 to {most}")
    return value
