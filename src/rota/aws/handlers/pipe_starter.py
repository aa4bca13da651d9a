"""The starter of pipelines: takes a chunk's message from the queue, and runs its workflow to the end."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from rota.aws.batch.pipe_start import Starter
from rota.aws.batch.processor import Visit
from rota.aws.handlers.batching import batches, dealt
from rota.aws.handlers.setting import Context, starting
from rota.aws.holding import STARTER_PATIENCE
from rota.core.errors import InvalidError
from rota.targets.aws import Clients


@cache
def starter() -> Starter:
    """The starter of this function's stack."""
    machine = os.environ.get("ROTA_PIPELINE_MACHINE_ARN", "")
    if not machine:
        raise InvalidError("ROTA_PIPELINE_MACHINE_ARN", "", "the environment of a stack with a pipeline")
    return Starter(Clients()("stepfunctions", once=True), machine)


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Run the workflows of an SQS event; answers the messages that must come again."""

    def deal(body: str, visit: Visit) -> bool:
        return starter().handle(body, visit)

    return dealt(event, context, batches().settings.pipeline, deal, STARTER_PATIENCE)


if starting():
    starter()
