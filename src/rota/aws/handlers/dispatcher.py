"""The dispatcher function: fires every target but tasks and batches."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from rota.aws.attempts import performing
from rota.aws.dead_copies import DeadCopies
from rota.aws.dispatcher import Dispatcher
from rota.aws.dynamo.leases import DynamoLeases
from rota.aws.handlers.firing import dealt
from rota.aws.handlers.setting import Context, figures, parts, starting
from rota.aws.queues import SqsQueues
from rota.aws.telemetry import Telemetry
from rota.core.outcome import Result
from rota.core.run import Run
from rota.core.target import HttpTarget, QueueTarget
from rota.ports.target import TargetCall
from rota.service.work import no_task_policy
from rota.targets.aws import Clients
from rota.targets.on_aws import aws_calls
from rota.targets.queue import queue_call


@cache
def _http_call() -> TargetCall:
    # The HTTP client takes as long to import as all the rest, and many stacks call no endpoint.
    found: TargetCall = importlib.import_module("rota.targets.http").http_call()
    return found


def _http(run: Run) -> bytes | None:
    return _http_call()(run)


@cache
def dispatcher() -> Dispatcher:
    """The dispatcher of this function's stack."""
    built, aws = parts(), aws_calls(Clients())
    queues = SqsQueues(built.sqs, built.settings, built.near, built.clock)
    calls: dict[type, TargetCall] = {**aws, HttpTarget: _http, QueueTarget: queue_call(queues, built.clock)}

    def inquire(run: Run) -> Result | None:
        call = aws.get(type(run.spec.target))
        return None if call is None else call.inquire(run)

    return Dispatcher(
        built.schedules,
        built.runs,
        built.handover,
        built.clock,
        built.settings.dispatch_queue,
        perform=performing(calls),
        policy=no_task_policy,
        inquire=inquire,
        telemetry=Telemetry(figures()),
        leases=DynamoLeases(built.table),
        dead=DeadCopies(built.runs, built.near, built.settings.dead_queue),
    )


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Deal with the messages of an SQS event; answers those that must come again."""
    return dealt(event, context, parts().settings.dispatch_queue, dispatcher())


if starting():
    dispatcher()
