"""The sweeper of batch runs, once an hour."""

from __future__ import annotations

from functools import cache
from typing import Any

from rota.aws.batch.sweeper import Sweeper
from rota.aws.handlers.batching import batches
from rota.aws.handlers.setting import Context, began, starting


@cache
def sweeper() -> Sweeper:
    """The sweeper of this function's stack."""
    return batches().sweeper()


def handler(_event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Answers the batch runs that were taken up again."""
    began(context)
    return {"taken_up": sweeper().sweep()}


if starting():
    sweeper()
