"""Counts what planner, processors and finalizer could not deal with: the consumer of their dead queues."""

from __future__ import annotations

from functools import cache
from typing import Any

from rota.aws.batch.dead import BatchDead
from rota.aws.batch.processor import Visit
from rota.aws.handlers.batching import app, batches, dealt
from rota.aws.handlers.setting import Context, starting


@cache
def dead() -> BatchDead:
    """The consumer of this function's stack."""
    return batches().dead(app())


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Deal with the messages of an SQS event; answers those that must come again."""

    def deal(body: str, visit: Visit) -> object:
        return dead().handle(body, visit)

    return dealt(event, context, "", deal)


if starting():
    dead()
