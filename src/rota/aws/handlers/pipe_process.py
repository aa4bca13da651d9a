"""The first step of a pipeline's workflow: attempts the items of a chunk. It answers what it passes on, or "" if
nothing is to be written."""

from __future__ import annotations

from functools import cache
from typing import Any

from rota.aws.batch.benches import PATIENCE
from rota.aws.batch.pipe_messages import step_of
from rota.aws.batch.pipe_sink import PassingBenches
from rota.aws.batch.pipe_steps import PipeProcessor
from rota.aws.batch.processor import Visit
from rota.aws.handlers.batching import app, batches
from rota.aws.handlers.setting import Context, began, starting


@cache
def processor() -> PipeProcessor:
    """The processor of this function's stack."""
    it, declared = batches(), app()
    benches = PassingBenches(declared.tasks, declared.batches, PATIENCE)
    return PipeProcessor(it.ledger, it.post, it.parts.clock, benches, it.memory)


def _leave(_seconds: int) -> None:
    """The message is its starter's to hide."""


def handler(event: dict[str, Any], context: Context) -> dict[str, str]:
    """Do the step. An error is the state machine's to retry."""
    began(context)
    step = step_of(event)
    visit = Visit(step.received + step.retries, context.get_remaining_time_in_millis, _leave, _leave)
    return {"passed": processor().process(step.message, context.aws_request_id, visit) or ""}


if starting():
    processor()
