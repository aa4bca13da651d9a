"""What may be set when a stack is deployed, the conditions that follow from it, and what is looked up by it.

CloudFormation cannot compute, so numbers that depend on others (a visibility timeout is six function timeouts) are
tables, and the parameter has only the values that its table has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rota.core.errors import InvalidError

Json = dict[str, Any]
TIMEOUTS = (30, 60, 120, 300, 600, 900)
VISIBILITY_PER_TIMEOUT = 6
"""What AWS asks for between a queue and the function that reads it, so that a message whose batch was throttled or
retried is not handed out a second time meanwhile."""
LOG_RETENTIONS = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
_PERIODS = (1, 2, 3, 5)
_LATE = 180
"""Seconds that the oldest message may be older than the horizon before its alarm rings."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter. kind: CloudFormation's type. service: of the ARNs that it lists."""

    about: str
    default: str
    kind: str = "String"
    allowed: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None
    pattern: str | None = None
    service: str | None = None

    @property
    def declared(self) -> Json:
        shape: Json = {"Type": self.kind, "Default": self.default, "Description": self.about}
        if self.allowed:
            shape["AllowedValues"] = list(self.allowed)
        if self.least is not None:
            shape["MinValue"] = self.least
        if self.most is not None:
            shape["MaxValue"] = self.most
        if self.pattern is not None:
            shape["AllowedPattern"] = self.pattern
        return shape

    @property
    def phrase(self) -> str:
        """What is allowed, in words."""
        if self.allowed:
            return "one of " + ", ".join(self.allowed)
        if self.least is not None:
            return f"a whole number from {self.least} to {self.most}"
        return self.about

    def allows(self, value: str) -> bool:
        """Whether the template, and what it makes, takes this value."""
        if self.least is not None and self.most is not None:
            return value.isascii() and value.isdecimal() and self.least <= int(value) <= self.most
        if self.service is not None:
            entry = re.compile(rf"\s*arn:aws[a-z-]*:{self.service}:[^\s,]+\s*")
            return not value or all(map(entry.fullmatch, value.split(",")))
        if self.pattern is not None:
            return re.search(self.pattern, value) is not None
        return not self.allowed or value in self.allowed


def _number(about: str, default: int, least: int, most: int) -> Parameter:
    return Parameter(about=about, default=str(default), kind="Number", least=least, most=most)


def _choice(about: str, default: object, *allowed: object) -> Parameter:
    return Parameter(about=about, default=str(default), allowed=tuple(map(str, allowed)))


def _arns(about: str, service: str) -> Parameter:
    return Parameter(about=about, default="", kind="CommaDelimitedList", service=service)


PARAMETERS: Mapping[str, Parameter] = {
    "Memory": _number("MB of memory of the engine's functions (all but the worker)", 512, 128, 10240),
    "WorkerMemory": _number("MB of memory of the worker, which runs tasks and chunks", 1024, 128, 10240),
    "DispatcherTimeout": _choice("Seconds that the dispatcher may take for ten messages", 120, *TIMEOUTS),
    "WorkerTimeout": _choice("Seconds that a task or a chunk may take", 300, *TIMEOUTS),
    "BatchTimeout": _choice("Seconds that a chunk of a batch run may take", 300, *TIMEOUTS),
    "PlannerTimeout": _choice("Seconds that planning, or finishing, a batch run may take at a time", 900, *TIMEOUTS),
    "FeederTimeout": _number("Seconds that one pass of the feeder may take", 300, 10, 900),
    "FeederPeriod": _choice("Minutes between passes of the feeder", 1, *_PERIODS),
    "DispatcherConcurrency": _number("Dispatchers at once", 50, 2, 1000),
    "WorkerConcurrency": _number("Workers at once", 50, 2, 1000),
    "BatchConcurrency": _number("Chunks at once, of all batch runs together", 50, 2, 1000),
    "AdHocConcurrency": _number("Ad-hoc functions at once", 20, 1, 1000),
    "ReserveConcurrency": _choice(
        "Whether to set that much of the account's concurrency aside; no in an account with a quota of 10",
        "yes",
        "yes",
        "no",
    ),
    "Shards": _number("Shards of the far tier; raise it as firings grow, any time", 4, 1, 256),
    "RetentionDays": _number("Days that runs, ticks and dead letters are kept", 30, 1, 3650),
    "LogRetentionDays": _choice("Days that logs are kept", 30, *LOG_RETENTIONS),
    "LogLevel": _choice("From which level on functions log", "INFO", "DEBUG", "INFO", "WARNING", "ERROR"),
    "LargePayloads": _choice(
        "Whether data over the limit of SQS goes to the bucket, with a pointer", "no", "yes", "no"
    ),
    "PayloadDays": _number(
        "Days that such data is kept from when it was given; more than one-offs are ahead of their time", 3650, 1, 36500
    ),
    "TraceCalls": _choice("Whether each call to AWS is traced; imports more at a cold start", "no", "yes", "no"),
    "TableProtection": _choice("Whether the table refuses to be deleted", "no", "yes", "no"),
    "PipelineSchedule": Parameter(
        about="When pipelines start, such as rate(1 hour) or cron(30 2 * * ? *) in UTC, or nothing",
        default="",
        pattern=r"^$|^(rate|cron)\(.+\)$",
    ),
    "AlarmTopicArn": Parameter(
        about="The ARN of an SNS topic that alarms are told to, or nothing",
        default="",
        pattern=r"^$|^arn:aws[a-z-]*:sns:\S+$",
    ),
    "ExtraFunctionArns": _arns("Lambda functions that schedules made later may invoke: ARNs and commas", "lambda"),
    "ExtraQueueArns": _arns("SQS queues that schedules made later may send to: ARNs and commas", "sqs"),
    "ExtraStateMachineArns": _arns("State machines that schedules made later may start: ARNs and commas", "states"),
    "ExtraEventBusArns": _arns("Event buses that schedules made later may put events on: ARNs and commas", "events"),
    "WorkerPolicyArns": _arns("IAM policies for what the tasks themselves call: ARNs and commas", "iam"),
}

_OPTIONAL = (
    "AlarmTopicArn",
    "ExtraEventBusArns",
    "ExtraFunctionArns",
    "ExtraQueueArns",
    "ExtraStateMachineArns",
    "PipelineSchedule",
    "WorkerPolicyArns",
)
_SWITCHES = ("ReserveConcurrency", "LargePayloads", "TableProtection", "TraceCalls")


def check_parameters(given: Mapping[str, str]) -> None:
    """InvalidError for a parameter that the template does not have, or a value that it refuses."""
    for name, value in given.items():
        parameter = PARAMETERS.get(name)
        if parameter is None:
            raise InvalidError("set", name, "one of " + ", ".join(PARAMETERS))
        if not parameter.allows(value):
            raise InvalidError(name, value, parameter.phrase)


def parse_parameters(texts: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE texts as a mapping. InvalidError for another form, a name that is unknown or given twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidError("set", text, "NAME=VALUE, such as Memory=512")
        if name in found:
            raise InvalidError("set", text, f"one value for {name}")
        found[name] = value
    check_parameters(found)
    return found


def declared_parameters() -> Json:
    """The Parameters of a template."""
    return {name: parameter.declared for name, parameter in PARAMETERS.items()}


def mappings() -> Json:
    """The Mappings of a template."""
    return {
        "Visibility": {str(seconds): {"Seconds": str(seconds * VISIBILITY_PER_TIMEOUT)} for seconds in TIMEOUTS},
        "Period": {str(minutes): _period(minutes) for minutes in _PERIODS},
    }


def _period(minutes: int) -> Json:
    """A feeder looks two periods and a half ahead: one pass may be missed, and nothing is late."""
    horizon = minutes * 150
    return {
        "Rate": "rate(1 minute)" if minutes == 1 else f"rate({minutes} minutes)",
        "Seconds": str(minutes * 60),
        "Horizon": str(horizon),
        "OldestMessage": str(horizon + _LATE),
        "Silence": str(minutes * 180),
    }


def conditions() -> Json:
    """The Conditions of a template: `Has…` for what is optional, the name itself for a switch."""
    has: Json = {}
    for name in _OPTIONAL:
        value: Json = {"Ref": name}
        listed = PARAMETERS[name].kind == "CommaDelimitedList"
        text = {"Fn::Select": [0, value]} if listed else value
        has[f"Has{name}"] = {"Fn::Not": [{"Fn::Equals": [text, ""]}]}
    return has | {name: {"Fn::Equals": [{"Ref": name}, "yes"]} for name in _SWITCHES}


def looked_up(table: str, parameter: str, column: str) -> Json:
    """The entry of a mapping for what a parameter says."""
    return {"Fn::FindInMap": [table, {"Ref": parameter}, column]}


def visibility(timeout: str) -> Json:
    """The visibility timeout of a queue whose function has the timeout of this parameter."""
    return looked_up("Visibility", timeout, "Seconds")


def only_if(condition: str, value: object) -> Json:
    """`value` if the condition holds, else nothing at all."""
    return {"Fn::If": [condition, value, {"Ref": "AWS::NoValue"}]}
