"""What the functions of batch runs have in common: their parts, and how messages are dealt with one by one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rota.app import App
from rota.aws.apps import load_app
from rota.aws.batch.assembly import BatchParts, batch_parts
from rota.aws.batch.heartbeat import EVERY, HELD, PATIENCE, Heartbeat
from rota.aws.batch.processor import Visit
from rota.aws.batch.settings import BatchSettings
from rota.aws.handlers.setting import Context, began, parts
from rota.core.errors import InvalidError
from rota.ports.target import TargetCall
from rota.processing.starting import batch_call

log: logging.Logger = logging.getLogger("rota.batch")
_LONGEST_WAIT = 7200
"""Seconds until a message that could not be dealt with comes again, at the most."""
Deal = Callable[[str, Visit], object]
"""Deals with the body of a message; False if it must come again."""


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


def dealt(event: dict[str, Any], context: Context, queue: str, deal: Deal) -> dict[str, Any]:
    """Deal with the messages of an SQS event from `queue` (a URL, or "" if its own visibility timeout is right);
    answers those that must come again."""
    began(context)
    again = []
    for row in event.get("Records", ()):
        received = int(row.get("attributes", {}).get("ApproximateReceiveCount", 1))
        hold = _holding(queue, row.get("receiptHandle", ""))
        heart = Heartbeat(hold, PATIENCE if received < 2 else EVERY)
        try:
            with heart:
                done = deal(row["body"], Visit(received, context.get_remaining_time_in_millis, heart.hold)) is not False
        except InvalidError as error:
            # Nobody can do anything with it; the log keeps what it was.
            log.error("a message is dropped: %s", error)  # noqa: TRY400 the error says all
            continue
        except Exception:
            log.exception("a message comes again: %s", row["body"])
            done = False
            # Deliveries are numbered, and an outage may last.
            with suppress(ClientError, BotoCoreError):
                hold(min(HELD * 2 ** (received - 1), _LONGEST_WAIT))
        if not done:
            again.append({"itemIdentifier": row["messageId"]})
    return {"batchItemFailures": again}


def _holding(queue: str, receipt: str) -> Callable[[int], None]:
    def hold(seconds: int) -> None:
        if queue:
            wait = max(0, seconds)
            parts().sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=receipt, VisibilityTimeout=wait)

    return hold
