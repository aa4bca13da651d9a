"""What the functions and the state machine of maps may do, and what that is about. Nothing of it is in a stack without
maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from rota.aws.stack.batch_statements import FAILURES, LOG_DELIVERY, without_queue
from rota.aws.stack.permission import TRACES, Permission, arn
from rota.aws.stack.plan import StackPlan

MapRole = Literal["Mapper", "MapWorker", "MapMachine"]
NAME = "${AWS::StackName}-map"
"""Of the state machine. It starts executions of itself, and its role cannot be told who it is."""
_STATES = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:"


MAP_PERMISSIONS: Mapping[MapRole, tuple[Permission, ...]] = {
    "Mapper": (
        *without_queue("Finalizer"),
        Permission("s3", ("GetObject", "GetObjectVersion"), "sources", "pin the source, and see whether it changed"),
        Permission("s3", ("ListBucket",), "sources.buckets", "tell what is missing"),
        FAILURES,
    ),
    "MapWorker": (*without_queue("Processor"), FAILURES),
    # The state machine's own role.
    "MapMachine": (
        Permission("lambda", ("Invoke",), "map.steps", "prepare, work and finish"),
        Permission("s3", ("GetObject", "GetObjectVersion"), "sources", "read the items"),
        Permission("s3", ("ListBucket",), "sources.buckets", "list the objects"),
        Permission(
            "s3",
            ("AbortMultipartUpload", "GetObject", "ListMultipartUploadParts", "PutObject"),
            "batches",
            "write what children came to, and read the jobs of a redrive",
        ),
        Permission("states", ("StartExecution",), "map.machine", "a map starts its children"),
        Permission("states", ("DescribeExecution", "StopExecution"), "map.executions", "and follows them"),
        Permission("sqs", ("SendMessage",), "map.failures", "tell of batch runs that failed"),
        Permission("logs", LOG_DELIVERY, "*", "log executions that fail"),
        TRACES,
    ),
}
START_MAPS: Permission = Permission("states", ("StartExecution",), "map.machine", "start maps")
FOLLOW_MAPS: Permission = Permission(
    "states", ("DescribeExecution",), "map.executions", "see which have ended and left a batch run unfinished"
)
MAP_WITHIN: Mapping[str, str] = {
    "map.executions": "an execution is named after its batch run, a child by Step Functions; the machine is named",
}
MAP_WITHOUT_RESOURCE: Mapping[str, str] = {
    f"logs:{call}": "CloudWatch Logs knows no resource for the delivery of logs of other services"
    for call in LOG_DELIVERY
}


def map_places(plan: StackPlan) -> dict[str, list[Any]]:
    """What the keys stand for; nothing at all without maps."""
    there = bool(plan.maps)
    return {
        "map.steps": [arn("Mapper"), arn("MapWorker")] * there,
        "map.machine": [{"Fn::Sub": f"{_STATES}stateMachine:{NAME}"}] * there,
        "map.executions": [
            {"Fn::Sub": f"{_STATES}execution:{NAME}:*"},
            {"Fn::Sub": f"{_STATES}execution:{NAME}/*"},
        ]
        * there,
    }
