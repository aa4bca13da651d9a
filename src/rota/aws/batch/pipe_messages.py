"""What travels through a pipeline beside the messages of chunks: descriptions, and what a step passes on, which is
bounded (see `rota.aws.batch.pipe_passing`). So no state of the workflow grows with the items."""

from __future__ import annotations

import msgspec

from rota.aws.batch.messages import ChunkMessage, UnreadableError, decode_batch_message
from rota.core.errors import InvalidError

LARGEST_STATE = 256 * 1024
"""Bytes that Step Functions takes as the input of a state."""


class Execution(msgspec.Struct, frozen=True):
    """The input of an execution. received: how often its message came, this time included."""

    message: ChunkMessage
    received: int = 1


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step is invoked with. retries: how often the state was tried before. passed: what the step before passed
    on, or the name of the file that it is in."""

    message: ChunkMessage
    received: int = 1
    retries: int = 0
    passed: str = ""


class StepError(msgspec.Struct, frozen=True, rename="pascal"):
    """What a step ended with, as Step Functions tells it."""

    error: str = ""
    cause: str = ""


class Buried(msgspec.Struct, frozen=True):
    """What the workflow could not do, however often it was tried."""

    message: ChunkMessage
    error: StepError
    execution: str = ""


def step_of(event: object) -> Step:
    """InvalidError for anything else than the event of a step."""
    try:
        return msgspec.convert(event, Step)
    except msgspec.ValidationError as error:
        raise InvalidError("event", event, f"the event of a step of a pipeline ({error})") from None


def encode_execution(execution: Execution) -> str:
    """The input; InvalidError over the limit of Step Functions."""
    text = msgspec.json.encode(execution)
    if len(text) > LARGEST_STATE:
        allowed = f"a description of a chunk of up to {LARGEST_STATE} bytes"
        raise InvalidError("message", text[:200].decode(errors="replace"), allowed)
    return text.decode()


def chunk_message(body: str) -> ChunkMessage:
    """InvalidError for anything else than the message of a chunk."""
    message = decode_batch_message(body)
    if not isinstance(message, ChunkMessage):
        raise UnreadableError("message", body, "a message about a chunk")
    return message


def buried_of(body: str) -> Buried:
    """What the workflow buried, or a message that no workflow could be started for. InvalidError for anything else."""
    try:
        return msgspec.json.decode(body, type=Buried)
    except msgspec.DecodeError:
        return Buried(chunk_message(body), StepError("rota.Undelivered", "no workflow of it came to an end"))
