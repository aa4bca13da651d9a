"""What travels through the dispatch and the worker queue: JSON, with the version of its form.

A message is a reminder and no more: that a run is to be attempted, or a schedule to be decided on, at a time. What is
attempted is what the store holds when it arrives. So a message may come twice, late, out of order, or after its run
was cancelled or changed, and it carries no payload, however large that is.
"""

from __future__ import annotations

import msgspec

from rota.core.errors import InvalidError
from rota.core.run import Run, RunKey

VERSION = 1


class RunMessage(msgspec.Struct, frozen=True, tag="run", tag_field="kind", omit_defaults=True):
    """Attempt this run at `due` (epoch ms). precise: it may come early, and is then waited for."""

    id: str
    scheduled: int
    due: int
    recurring: bool = False
    precise: bool = False
    v: int = VERSION

    @property
    def key(self) -> RunKey:
        return RunKey(self.id, self.scheduled)


class TickMessage(msgspec.Struct, frozen=True, tag="tick", tag_field="kind", omit_defaults=True):
    """Decide on this schedule at `due` (epoch ms)."""

    id: str
    due: int
    precise: bool = False
    v: int = VERSION


AnyMessage = RunMessage | TickMessage
_decoder: msgspec.json.Decoder[AnyMessage] = msgspec.json.Decoder(AnyMessage)
_encoder = msgspec.json.Encoder()


def run_message(run: Run) -> RunMessage:
    return RunMessage(run.schedule_id, run.scheduled, run.due, run.recurring, run.spec.precise)


def encode_message(message: AnyMessage) -> str:
    return _encoder.encode(message).decode()


def decode_message(body: str) -> AnyMessage:
    """InvalidError for anything else than a message of this version."""
    try:
        message = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise InvalidError("message", body, f"a run or tick message ({error})") from None
    if message.v != VERSION:
        raise InvalidError("message", body, f"a message of version {VERSION}; another version of rota sent this one")
    return message
