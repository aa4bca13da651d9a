"""Works on what the children of map runs are given; its bundle holds the user's app."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from rota.aws.batch.benches import Benches
from rota.aws.batch.map_work import MapWorker
from rota.aws.handlers.batching import app, batches
from rota.aws.handlers.setting import Context, began, starting


@cache
def worker() -> MapWorker:
    """The worker of this function's stack. Items are attempted again where they are, however long that takes."""
    built = batches()
    benches = Benches(app().tasks, app().batches, math.inf)
    return MapWorker(built.ledger, built.parts.clock, benches, built.memory)


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Answers the marks of what it was given."""
    began(context)
    return worker().handle(event, context.get_remaining_time_in_millis)


if starting():
    worker()
