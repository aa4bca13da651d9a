"""Prepares map runs and finishes them, as their state machine asks."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from rota.aws.batch.map_finish import MapEnds
from rota.aws.batch.map_machine import EXPRESS_SECONDS, Kind
from rota.aws.handlers.batching import batches
from rota.aws.handlers.setting import Context, began, starting


@cache
def ends() -> MapEnds:
    """What prepares and finishes the map runs of this function's stack."""
    built = batches()
    seconds = int(os.environ.get("ROTA_BATCH_SECONDS", EXPRESS_SECONDS))
    kind: Kind = "EXPRESS" if seconds <= EXPRESS_SECONDS else "STANDARD"
    return MapEnds(built.ledger, built.post, built.parts.clock, built.finalizer(), kind)


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Answers what the next state is told."""
    began(context)
    return ends().handle(event, context.get_remaining_time_in_millis)


if starting():
    ends()
