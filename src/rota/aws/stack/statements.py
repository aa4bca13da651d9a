"""Who may do what: the table from which every role of the stack is written.

A row is a set of API calls, what they are made on, and why. A role holds the actions of its rows on the resources of
its rows, and nothing else. Some calls are other actions in IAM's words (`ACTIONS`); the rest are called the same. A
resource is `*` only where AWS knows no resource for the action (`WITHOUT_RESOURCE`), and ends in one only where names
are made as we go, inside something that is named (`WITHIN`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from rota.aws.stack.batch_statements import (
    BATCH_PERMISSIONS,
    BATCH_WITHIN,
    CLIENT_ROWS,
    FINALIZE,
    PLAN,
    BatchRole,
    batch_resources,
)
from rota.aws.stack.map_statements import (
    FOLLOW_MAPS,
    MAP_PERMISSIONS,
    MAP_WITHIN,
    MAP_WITHOUT_RESOURCE,
    START_MAPS,
    MapRole,
    map_places,
)
from rota.aws.stack.permission import (
    HAND_OVER,
    LOGS,
    SEE_QUEUES,
    STORE,
    TELL_DEAD,
    TRACES,
    Permission,
    arn,
    consume,
)
from rota.aws.stack.pipe_statements import PIPE_PERMISSIONS, PIPE_WITHOUT_RESOURCE, PipeRole, pipe_places
from rota.aws.stack.plan import MAP_FAILURES, StackPlan, execution_arns
from rota.core.errors import InvalidError

Json = dict[str, Any]
Role = BatchRole | PipeRole | MapRole | Literal["Feeder", "Dispatcher", "Worker", "AdHoc", "DeadLetters", "Client"]


_HERE = "arn:${AWS::Partition}:cloudformation:${AWS::Region}:${AWS::AccountId}:"
_LONGEST_POLICY = {"Client": 6_000}
"""Characters: IAM allows 6,144 in a policy that is attached, and 10,240 for all that is written into a role."""
_LONGEST_IN_ROLE = 10_000
_ARN_MORE = 60
"""Characters that the ARN of a queue has beyond what the template says for it."""

HIDE = "ChangeMessageVisibilityBatch"
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "dynamodb:TransactWriteItems": (
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    ),
    "lambda:Invoke": ("lambda:InvokeFunction",),
    f"sqs:{HIDE}": ("sqs:ChangeMessageVisibility",),
    "sqs:DeleteMessageBatch": ("sqs:DeleteMessage",),
    "sqs:SendMessageBatch": ("sqs:SendMessage",),
}

WITHOUT_RESOURCE: Mapping[str, str] = {
    "sqs:ListQueues": "SQS knows no resource for a list of queues",
    "xray:PutTraceSegments": "X-Ray knows no resource to write traces to",
    "xray:PutTelemetryRecords": "X-Ray knows no resource to write telemetry to",
    **PIPE_WITHOUT_RESOURCE,
    **MAP_WITHOUT_RESOURCE,
}
WITHIN: Mapping[str, str] = {
    "payloads": "data over the limit of SQS gets names of its own, all under payloads/ in the stack's bucket",
    "stack": "whoever asks for a stack by its name does not know the id that its ARN ends in",
    "executions": "an execution is named after the run that started it; the state machine is named in full",
    **BATCH_WITHIN,
    **MAP_WITHIN,
}

APART = "itself"
"""A function's role cannot name the function, which names the role: such rows are a policy of their own."""
PERMISSIONS: Mapping[Role, tuple[Permission, ...]] = {
    "Feeder": (
        STORE,
        *HAND_OVER,
        Permission("sqs", ("SendMessage",), "failures", "where Lambda puts passes that failed"),
        Permission("lambda", ("Invoke",), APART, "more shards than one invocation feeds go to others"),
        LOGS,
        TRACES,
    ),
    "Dispatcher": (
        consume("dispatch", HIDE),
        STORE,
        *HAND_OVER,
        TELL_DEAD,
        Permission("lambda", ("Invoke",), "targets.functions", "Lambda targets"),
        Permission("states", ("StartExecution", "StartSyncExecution"), "targets.machines", "Step Functions targets"),
        Permission("states", ("DescribeExecution",), "executions", "ask for an execution whose start was cut off"),
        Permission("events", ("PutEvents", "DescribeEventBus"), "targets.buses", "event targets, once a bus is there"),
        LOGS,
        TRACES,
    ),
    "Worker": (consume("work", HIDE), STORE, *HAND_OVER, PLAN, FINALIZE, TELL_DEAD, LOGS, TRACES),
    "AdHoc": (
        STORE,
        *HAND_OVER,
        SEE_QUEUES,
        Permission("s3", ("PutObject",), "payloads", "data over the limit of SQS"),
        Permission("sqs", ("SendMessage",), "failures", "where Lambda puts asynchronous calls that failed"),
        LOGS,
        TRACES,
    ),
    "DeadLetters": (
        consume("dispatch.dead"),
        consume("work.dead"),
        STORE,
        *HAND_OVER,
        TELL_DEAD,
        LOGS,
        TRACES,
    ),
    # People and programs that use the client; attached to nobody by the stack itself.
    "Client": (
        Permission("cloudformation", ("DescribeStacks",), "stack", "find the table and the queues by the stack's name"),
        STORE,
        Permission("sqs", ("SendMessage", "SendMessageBatch"), "dispatch", "hand what is due to the dispatcher"),
        Permission("sqs", ("SendMessage", "SendMessageBatch"), "work", "hand tasks and batches to the worker"),
        Permission(
            "sqs", ("SendMessage", "SendMessageBatch"), "targets.sqs", "one-offs go straight to standard queues"
        ),
        Permission(
            "sqs",
            (
                "SendMessage",
                "SendMessageBatch",
                "ReceiveMessage",
                "ChangeMessageVisibility",
                "DeleteMessage",
                "DeleteMessageBatch",
                "GetQueueAttributes",
            ),
            "queues",
            "one-offs go straight to the app's own queues, and `rota queue` sends and receives",
        ),
        Permission("sqs", ("ListQueues",), "*", "`rota queue list`"),
        *CLIENT_ROWS,
    ),
    **{role: BATCH_PERMISSIONS[role] for role in BATCH_PERMISSIONS},
    **{role: PIPE_PERMISSIONS[role] for role in PIPE_PERMISSIONS},
    **{role: MAP_PERMISSIONS[role] for role in MAP_PERMISSIONS},
    "Planner": (*BATCH_PERMISSIONS["Planner"], START_MAPS, FOLLOW_MAPS),
}


def resources(plan: StackPlan, logs: str | None = None) -> dict[str, list[Any]]:
    """What the keys of the table stand for. logs: the logical name of the function's log group."""
    found: dict[str, list[Any]] = {
        "table": [arn("Table")],
        "dispatch": [arn("DispatchQueue")],
        "work": [arn("WorkerQueue")],
        "dead": [arn("DeadQueue")],
        "dispatch.dead": [arn("DispatchDeadQueue")],
        "work.dead": [arn("WorkerDeadQueue")],
        "failures": [arn("FailureQueue")],
        "queues": [arn(queue_resource(name)) for name in plan.queues],
        "payloads": [{"Fn::Sub": "${Bucket.Arn}/payloads/*"}],
        "targets.functions": [_said(it) for it in plan.functions],
        "targets.sqs": [_said(it) for it in plan.sqs],
        "targets.machines": [_said(it) for it in plan.machines],
        "targets.buses": [_said(it) for it in plan.buses],
        "executions": [_said(execution_arns(it)) for it in plan.machines],
        APART: [arn("Feeder")],
        "stack": [{"Fn::Sub": f"{_HERE}stack/${{AWS::StackName}}/*"}],
        "*": ["*"],
        **batch_resources(plan),
        **pipe_places(plan),
        **map_places(plan),
        "map.failures": [arn(queue_resource(MAP_FAILURES))] * bool(plan.maps),
    }
    found["logs"] = [] if logs is None else [arn(logs)]
    return found


def queue_resource(name: str) -> str:
    """The logical name of an embedded queue. It may hold letters and digits only, so other names get a digest."""
    if name.isalnum() and name.islower():
        return f"Queue{name.capitalize()}"
    plain = "".join(letter for letter in name if letter.isalnum())
    return f"Queue{plain}{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def actions_of(permission: Permission) -> list[str]:
    """The IAM actions of a row, sorted."""
    calls = [f"{permission.service}:{call}" for call in permission.calls]
    return sorted({action for call in calls for action in ACTIONS.get(call, (call,))})


def statements(role: Role, plan: StackPlan, logs: str | None = None, *, apart: bool = False) -> list[Json]:
    """The policy of a role: one statement a row, except where the plan has nothing that it could be about. apart: the
    rows that are a policy of their own."""
    places = resources(plan, logs)
    return [
        {"Sid": _sid(row), "Effect": "Allow", "Action": actions_of(row), "Resource": places[row.on]}
        for row in PERMISSIONS[role]
        if places[row.on] and (row.on == APART) == apart
    ]


def check_length(role: Role, plan: StackPlan) -> None:
    """InvalidError if the app names more targets than a policy has room for."""
    most = _LONGEST_POLICY.get(role, _LONGEST_IN_ROLE)
    used = len(msgspec.json.encode(statements(role, plan))) + _ARN_MORE * len(plan.queues)
    if used > most:
        allowed = (
            f"an app with fewer queues and targets of AWS: the policy for {role} would have {used:,} characters, and "
            f"IAM allows {most:,}"
        )
        raise InvalidError("app", plan.app, allowed)


def _sid(row: Permission) -> str:
    """A name that tells the row, of letters and digits as IAM wants it."""
    calls = row.calls[0] if len(row.calls) < 5 else "Use"
    on = "Any" if row.on == "*" else "".join(part.capitalize() for part in row.on.split("."))
    return f"{calls}{on}"


def _said(text: str) -> Any:
    """An ARN with or without parts that only CloudFormation knows."""
    return {"Fn::Sub": text} if "${" in text else text
