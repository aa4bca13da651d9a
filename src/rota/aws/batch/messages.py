"""What travels between the functions of a batch run: JSON, with the version of its form.

Chunks are described and never carried, so no message grows with the items. Any message may come twice or late: what is
done with it follows from the ledger.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from rota.core.batch import BatchKey
from rota.core.errors import InvalidError
from rota.processing.jobs import Job
from rota.service.batches import batch_key

VERSION = 1
Step = Literal["start", "redrive", "open", "cut"]


class UnreadableError(InvalidError):
    """What came is no message for whoever got it, however often it comes."""


class ChunkMessage(msgspec.Struct, frozen=True, tag="chunk", tag_field="kind", omit_defaults=True):
    """Do this job. wave: of the request that had it sent; what differs in it is no duplicate. again: the chunk was sent
    before, so it may be done. token: of what an earlier round left, where the job is a later one. search: an item of
    the chunk may kill functions; find it. turn: how often that was begun."""

    run: str
    job: Job
    wave: str = ""
    again: bool = False
    token: str = ""
    search: bool = False
    turn: int = 0
    v: int = VERSION

    @property
    def key(self) -> BatchKey:
        return batch_key(self.run)

    @property
    def identity(self) -> str:
        """What SQS knows duplicates by."""
        job = self.job
        parts = (
            self.run,
            self.wave,
            job.chunk.number,
            job.chunk.start,
            job.revision,
            job.round,
            self.search,
            self.turn,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()


class LaterMessage(msgspec.Struct, frozen=True, tag="later", tag_field="kind"):
    """Send this message on at `due` (epoch ms). A lane knows no delay, and would stand still meanwhile."""

    message: ChunkMessage
    due: int
    v: int = VERSION


class PlanMessage(msgspec.Struct, frozen=True, tag="plan", tag_field="kind", omit_defaults=True):
    """Go on with planning. start: from wherever it stands. redrive: send the chunks whose dead letters are to be done
    again, those behind number `after`. open: send again what is planned and not done, behind `after`. cut: plan what is
    not planned yet."""

    run: str
    step: Step = "start"
    wave: str = ""
    after: int = -1
    v: int = VERSION

    @property
    def key(self) -> BatchKey:
        return batch_key(self.run)


class FinishMessage(msgspec.Struct, frozen=True, tag="finish", tag_field="kind", omit_defaults=True):
    """See whether the batch run has come to its end, at `due` (epoch ms; 0: now)."""

    run: str
    due: int = 0
    v: int = VERSION

    @property
    def key(self) -> BatchKey:
        return batch_key(self.run)


class EndedMessage(msgspec.Struct, frozen=True, tag="ended", tag_field="kind"):
    """An execution of the state machine for maps did not succeed. execution: its ARN. EventBridge sends this, of every
    such execution, whether its batch run has ended with it or not."""

    execution: str
    v: int = VERSION


AnyBatchMessage = ChunkMessage | LaterMessage | PlanMessage | FinishMessage | EndedMessage
_decoder: msgspec.json.Decoder[AnyBatchMessage] = msgspec.json.Decoder(AnyBatchMessage)
_encoder = msgspec.json.Encoder()


def encode_batch_message(message: AnyBatchMessage) -> str:
    return _encoder.encode(message).decode()


def decode_batch_message(body: str) -> AnyBatchMessage:
    """UnreadableError for what is no message of a batch run, InvalidError for one of another version: while a stack is
    deployed anew, functions of both are there."""
    try:
        message = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise UnreadableError("message", body, f"a message of a batch run ({error})") from None
    if message.v != VERSION:
        raise InvalidError("message", body, f"a message of version {VERSION}; another version of rota sent this one")
    try:
        _check_key(message)
    except InvalidError as error:
        raise UnreadableError("message", body, f"a message of a batch run ({error})") from None
    return message


def _check_key(message: AnyBatchMessage) -> None:
    """InvalidError if a message names no batch run. Which one an execution is of, Step Functions knows."""
    if not isinstance(message, EndedMessage):
        batch_key(message.message.run if isinstance(message, LaterMessage) else message.run)
