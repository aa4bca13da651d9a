"""The second step of a pipeline's workflow: writes what the first passed on, and marks the ledger."""

from __future__ import annotations

from functools import cache
from typing import Any

from rota.aws.batch.benches import Benches
from rota.aws.batch.pipe_messages import step_of
from rota.aws.batch.pipe_steps import PipeWriter
from rota.aws.handlers.batching import app, batches
from rota.aws.handlers.setting import Context, began, starting


@cache
def writer() -> PipeWriter:
    """The writer of this function's stack."""
    it, declared = batches(), app()
    return PipeWriter(it.ledger, it.post, it.parts.clock, Benches(declared.tasks, declared.batches))


def handler(event: dict[str, Any], context: Context) -> dict[str, str]:
    """Do the step. An error is the state machine's to retry."""
    began(context)
    step = step_of(event)
    writer().write(step.message, step.passed)
    return {}


if starting():
    writer()
