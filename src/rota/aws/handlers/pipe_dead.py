"""Counts what a pipeline could not do: the consumer of its dead-letter queue, which copies it for whoever wants it."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from rota.aws.batch.pipe_dead import PipeDead
from rota.aws.batch.processor import Visit
from rota.aws.handlers import pipe_process, pipe_write
from rota.aws.handlers.batching import batches, dealt
from rota.aws.handlers.setting import Context, starting
from rota.aws.near import Outgoing


@cache
def dead() -> PipeDead:
    """The consumer of this function's stack."""
    it = batches()

    def keep(said: dict[str, Any]) -> None:
        it.parts.near.send([Outgoing(it.parts.settings.dead_queue, msgspec.json.encode(said).decode())])

    return PipeDead(it.ledger, it.post, pipe_process.processor(), pipe_write.writer(), keep)


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Deal with the messages of an SQS event; answers those that must come again."""

    def deal(body: str, visit: Visit) -> None:
        dead().handle(body, f"{context.aws_request_id}-dead", visit)

    return dealt(event, context, "", deal)


if starting():
    dead()
