"""The processor of batch runs. Works on chunks."""

from __future__ import annotations

from functools import cache
from typing import Any

from rota.aws.batch.processor import Processor, Visit
from rota.aws.handlers.batching import app, batches, dealt
from rota.aws.handlers.setting import Context, starting


@cache
def processor() -> Processor:
    """The processor of this function's stack."""
    return batches().processor(app())


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Deal with the messages of an SQS event; answers those that must come again."""

    def deal(body: str, visit: Visit) -> object:
        return processor().handle(body, visit)

    return dealt(event, context, batches().settings.chunks, deal)


if starting():
    processor()
