"""What the functions and the workflow of pipelines may do, and what that is about. Nothing of it is in a stack without
pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from rota.aws.stack.batch_statements import FAILURES, LOG_DELIVERY, without_queue
from rota.aws.stack.permission import LOGS, TELL_DEAD, TRACES, Permission, arn, consume
from rota.aws.stack.plan import StackPlan

PipeRole = Literal["PipeReader", "PipeStarter", "PipeProcess", "PipeWrite", "PipeDead", "PipelineMachine"]


PIPE_PERMISSIONS: Mapping[PipeRole, tuple[Permission, ...]] = {
    "PipeReader": (*without_queue("Planner"), FAILURES),
    "PipeStarter": (
        consume("pipe.chunks"),
        Permission("states", ("StartSyncExecution",), "pipe.machine", "run the workflow of a chunk"),
        LOGS,
        TRACES,
    ),
    "PipeProcess": (*without_queue("Processor"), FAILURES),
    "PipeWrite": (*without_queue("Processor"), FAILURES),
    "PipeDead": (consume("pipe.dead"), *without_queue("Processor"), TELL_DEAD),
    # The workflow's own role.
    "PipelineMachine": (
        Permission("lambda", ("Invoke",), "pipe.steps", "the two steps"),
        Permission("sqs", ("SendMessage",), "pipe.dead", "bury what was tried often enough"),
        Permission("logs", LOG_DELIVERY, "*", "log executions that fail"),
        TRACES,
    ),
}
PIPE_WITHOUT_RESOURCE: Mapping[str, str] = {
    f"logs:{call}": "CloudWatch Logs knows no resource for the delivery of logs of other services"
    for call in LOG_DELIVERY
}


def pipe_places(plan: StackPlan) -> dict[str, list[Any]]:
    """What the keys stand for; nothing at all without pipelines."""
    there = bool(plan.pipelines)
    return {
        "pipe.chunks": [arn("PipelineQueue")] * there,
        "pipe.dead": [arn("PipelineDeadQueue")] * there,
        "pipe.machine": [{"Ref": "PipelineMachine"}] * there,
        "pipe.steps": [arn("PipeProcess"), arn("PipeWrite")] * there,
    }
