"""The planner of batch runs. Cuts sources into chunks and sends them."""

from __future__ import annotations

from functools import cache
from typing import Any

from rota.aws.batch.planner import Planner
from rota.aws.batch.processor import Visit
from rota.aws.handlers.batching import app, batches, dealt
from rota.aws.handlers.setting import Context, starting


@cache
def planner() -> Planner:
    """The planner of this function's stack."""
    return batches().planner(app())


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Deal with the messages of an SQS event; answers those that must come again."""

    def deal(body: str, visit: Visit) -> None:
        planner().handle(body, visit.received, visit.left)

    return dealt(event, context, batches().settings.plan, deal)


if starting():
    planner()
