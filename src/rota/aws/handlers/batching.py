"""What the functions of batch runs have in common: their parts, and how they take the messages of an event."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from rota.app import App
from rota.aws.apps import load_app
from rota.aws.batch.assembly import BatchParts, batch_parts
from rota.aws.batch.deliveries import Deal, Deliveries
from rota.aws.batch.settings import BatchSettings
from rota.aws.handlers.setting import Context, began, parts
from rota.aws.holding import PATIENCE
from rota.core.errors import InvalidError
from rota.ports.target import TargetCall
from rota.processing.starting import batch_call


@cache
def batches() -> BatchParts:
    """The parts of this function's stack. InvalidError if it has no batches."""
    settings = BatchSettings.from_env(os.environ)
    if settings is None:
        raise InvalidError("ROTA_BATCH_QUEUE_URL", "", "the environment of a stack whose app declares batches")
    return batch_parts(parts(), settings)


@cache
def app() -> App:
    """The app of this function's stack."""
    return load_app(parts().settings.app)


def starting_batches() -> TargetCall:
    """What starts a batch when a schedule fires."""
    built = batches()
    return batch_call(built.store, app().batches, built.around, built.parts.clock, _nothing)


def _nothing() -> None:
    """The store sends what is to follow."""


def dealt(
    event: dict[str, Any], context: Context, queue: str, deal: Deal, patience: float = PATIENCE
) -> dict[str, Any]:
    """Deal with the messages of an SQS event from `queue` (a URL, or "" if its own visibility timeout is right);
    answers those that must come again. patience: seconds after which work on a message counts as long."""
    began(context)
    deliveries = _deliveries(queue, patience)
    again = deliveries.deliver(event.get("Records", ()), context.get_remaining_time_in_millis, deal)
    return {"batchItemFailures": [{"itemIdentifier": one} for one in again]}


@cache
def _deliveries(queue: str, patience: float) -> Deliveries:
    def hold(receipt: str, seconds: int) -> None:
        if queue:
            parts().sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=receipt, VisibilityTimeout=seconds)

    return Deliveries(hold, patience)
