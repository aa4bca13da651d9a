"""A copy of every dead letter on the dead queue, for whoever wants to be told. The letter itself is in the table."""

from __future__ import annotations

import msgspec

from rota.aws.near import NearTier, Outgoing
from rota.core.errors import StoreError
from rota.core.ids import iso
from rota.core.payload import decode_payload
from rota.core.run import DeadLetter, RunKey
from rota.ports.runs import RunStore


class DeadCopies:
    """queue: URL; "" sends none."""

    def __init__(self, runs: RunStore, near: NearTier, queue: str) -> None:
        self._runs = runs
        self._near = near
        self._queue = queue

    def copy_of(self, key: RunKey) -> None:
        """Send a copy of the dead letter of this run, if it is one. A consumer may see two of the same."""
        if not self._queue:
            return
        letter = self._runs.dead_letter(key)
        if letter is None:
            return
        sent = Outgoing(self._queue, _text(letter), attributes=(("rota-run-id", letter.id),))
        for refused in self._near.send([sent]):
            raise StoreError(f"SQS refuses the copy of a dead letter: {refused.why}", run=letter.id)


def _text(letter: DeadLetter) -> str:
    shape: dict[str, object] = {
        "run": letter.id,
        "schedule": letter.schedule_id,
        "scheduled": iso(letter.scheduled),
        "died": iso(letter.at),
        "attempts": letter.attempt,
        "target": str(letter.spec.target),
        "failure": msgspec.to_builtins(letter.failure),
        "payload": decode_payload(letter.payload),
    }
    return msgspec.json.encode(shape).decode()
