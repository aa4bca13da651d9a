"""The function that reads the dead queues of dispatcher and worker."""

from __future__ import annotations

from functools import cache
from typing import Any

from rota.aws.dead import Dead
from rota.aws.dead_copies import DeadCopies
from rota.aws.handlers.receiving import answer, delivered
from rota.aws.handlers.setting import Context, began, figures, parts, starting
from rota.aws.telemetry import Telemetry


@cache
def dead() -> Dead:
    """What takes the dead messages of this function's stack."""
    built = parts()
    return Dead(
        built.schedules,
        built.runs,
        built.handover,
        built.clock,
        telemetry=Telemetry(figures()),
        copies=DeadCopies(built.runs, built.near, built.settings.dead_queue),
    )


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Deal with the messages of an SQS event; answers those that must come again."""
    began(context)
    again = dead().handle(delivered(event))
    figures().flush()
    return answer(again)


if starting():
    dead()
