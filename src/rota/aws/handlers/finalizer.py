"""The finalizer of batch runs. Says how batch runs end, and finishes them."""

from __future__ import annotations

from functools import cache
from typing import Any

from rota.aws.batch.finalizer import Finalizer
from rota.aws.batch.processor import Visit
from rota.aws.handlers.batching import batches, dealt
from rota.aws.handlers.setting import Context, starting


@cache
def finalizer() -> Finalizer:
    """The finalizer of this function's stack."""
    return batches().finalizer()


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Deal with the messages of an SQS event; answers those that must come again."""

    def deal(body: str, visit: Visit) -> None:
        finalizer().handle(body, visit.received)

    return dealt(event, context, batches().settings.finalize, deal)


if starting():
    finalizer()
