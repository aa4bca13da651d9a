"""Prepares map runs and finishes them, as their state machine asks."""

from __future__ import annotations

from functools import cache
from typing import Any

from rota.aws.batch.map_finish import MapEnds
from rota.aws.handlers.batching import batches
from rota.aws.handlers.setting import Context, began, starting


@cache
def ends() -> MapEnds:
    """What prepares and finishes the map runs of this function's stack."""
    built = batches()
    return MapEnds(built.ledger, built.parts.clock, built.finalizer())


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Answers what the next state is told."""
    began(context)
    return ends().handle(event, context.get_remaining_time_in_millis)


if starting():
    ends()
