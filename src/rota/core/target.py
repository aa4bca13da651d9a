"""What a firing does, as data. Carrying it out is `rota.targets`' business."""

from __future__ import annotations

from typing import Literal, get_args
from urllib.parse import unquote

import msgspec

from rota.core.aws_names import (
    check_bus,
    check_detail_type,
    check_function,
    check_group,
    check_machine,
    check_queue,
    check_source,
)
from rota.core.errors import InvalidError
from rota.core.http_rules import check_headers, check_url
from rota.core.ids import check_id
from rota.core.limits import check_flag, check_number
from rota.core.reach import check_public

_ALLOWED = (
    "a task, 'task:NAME', 'queue:NAME', 'batch:NAME', 'lambda:NAME', 'sqs:URL', 'stepfunctions:ARN', 'events:BUS', the "
    "ARN of a function, queue, state machine or event bus, or an http(s) URL"
)


Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
METHODS: tuple[Method, ...] = get_args(Method)


class TaskTarget(msgspec.Struct, frozen=True, tag="task", tag_field="kind"):
    """Run the task of this name with the payload as its one argument."""

    name: str

    def __post_init__(self) -> None:
        check_id("target.task", self.name)

    def __str__(self) -> str:
        return f"task:{self.name}"


class QueueTarget(msgspec.Struct, frozen=True, tag="queue", tag_field="kind"):
    """Send the payload to the embedded queue of this name."""

    name: str

    def __post_init__(self) -> None:
        check_id("target.queue", self.name)

    def __str__(self) -> str:
        return f"queue:{self.name}"


class HttpTarget(msgspec.Struct, frozen=True, tag="http", tag_field="kind", omit_defaults=True):
    """Call an HTTP endpoint with the payload as JSON body (for GET and HEAD: none).

    timeout: seconds for the whole call. Status 2xx is success; 408, 425, 429 and 5xx are tried again if the retry
    policy says so; any other status is a failure that another try cannot help. allow_private: permit loopback,
    private and link-local addresses. They are refused otherwise: one in the URL when the target is handed over, one
    that a name leads to when it is called.
    """

    url: str
    method: Method = "POST"
    headers: dict[str, str] = {}
    timeout: float = 30.0
    allow_private: bool = False

    def __post_init__(self) -> None:
        check_url(self.url)
        if self.method not in METHODS:
            raise InvalidError("target.method", self.method, "one of " + ", ".join(METHODS))
        check_headers(self.headers)
        check_number("target.timeout", self.timeout, 0, 900, above=True)
        check_flag("target.allow_private", self.allow_private)

    def __str__(self) -> str:
        return self.url


class BatchTarget(msgspec.Struct, frozen=True, tag="batch", tag_field="kind"):
    """Start the batch of this name; the payload goes to a generator that asks for it."""

    name: str

    def __post_init__(self) -> None:
        check_id("target.batch", self.name)

    def __str__(self) -> str:
        return f"batch:{self.name}"


class LambdaTarget(msgspec.Struct, frozen=True, tag="lambda", tag_field="kind", omit_defaults=True):
    """Invoke a Lambda function with the payload as its event.

    function: NAME, NAME:QUALIFIER (a version or an alias) or the function's ARN. asynchronous: hand the event to
    Lambda's own queue and be done when it is accepted; otherwise wait for the function's answer, which the run keeps.
    """

    function: str
    asynchronous: bool = False

    def __post_init__(self) -> None:
        check_function(self.function)
        check_flag("target.asynchronous", self.asynchronous)

    def __str__(self) -> str:
        return f"lambda:{self.function}{'?asynchronous' if self.asynchronous else ''}"


class SqsTarget(msgspec.Struct, frozen=True, tag="sqs", tag_field="kind", omit_defaults=True):
    """Send the payload to an SQS queue.

    queue: its URL or ARN; a FIFO queue's name ends in .fifo. group: the message group; None means the schedule's id on
    a FIFO queue, and none on a standard one.
    """

    queue: str
    group: str | None = None

    def __post_init__(self) -> None:
        check_queue(self.queue)
        if self.group is not None:
            check_group(self.group)

    @property
    def fifo(self) -> bool:
        return self.queue.endswith(".fifo")

    def __str__(self) -> str:
        return f"sqs:{self.queue}{'' if self.group is None else f'?group={self.group}'}"


class StepFunctionsTarget(msgspec.Struct, frozen=True, tag="stepfunctions", tag_field="kind", omit_defaults=True):
    """Start an execution of a state machine with the payload as its input.

    machine: its ARN, or that of a version or an alias. synchronous: wait for the end of the execution, which only
    Express machines offer, and keep its output; otherwise the run is done when the execution has started.
    """

    machine: str
    synchronous: bool = False

    def __post_init__(self) -> None:
        check_machine(self.machine)
        check_flag("target.synchronous", self.synchronous)

    def __str__(self) -> str:
        return f"stepfunctions:{self.machine}{'?synchronous' if self.synchronous else ''}"


class EventTarget(msgspec.Struct, frozen=True, tag="events", tag_field="kind", omit_defaults=True):
    """Put an event on an EventBridge event bus, with the payload as its detail.

    bus: its name or ARN. source, detail_type: what the event says of itself, for rules to match. A payload that is no
    JSON object is the `payload` of one, and none is an empty one.
    """

    bus: str = "default"
    source: str = "rota"
    detail_type: str = "rota run"

    def __post_init__(self) -> None:
        check_bus(self.bus)
        check_source(self.source)
        check_detail_type(self.detail_type)

    def __str__(self) -> str:
        others = [f"source={_quoted(self.source)}"] if self.source != "rota" else []
        others += [f"detail_type={_quoted(self.detail_type)}"] if self.detail_type != "rota run" else []
        return f"events:{self.bus}{'?' if others else ''}{'&'.join(others)}"


AwsTarget = LambdaTarget | SqsTarget | StepFunctionsTarget | EventTarget
AnyTarget = TaskTarget | QueueTarget | HttpTarget | BatchTarget | AwsTarget
_SERVICES = {"lambda": "lambda", "sqs": "sqs", "states": "stepfunctions", "events": "events"}


def parse_target(value: object) -> AnyTarget:
    """A target from what users write: a target value, a registered task, or a text, as `read_target` takes it.
    InvalidError also for a URL that no call would be permitted to reach."""
    target = read_target(value)
    if isinstance(target, HttpTarget) and not target.allow_private:
        check_public(target.url)
    return target


def read_target(value: object) -> AnyTarget:
    """A target that may yet be changed.

    Texts: "task:NAME", "queue:NAME", "batch:NAME", a URL, "lambda:NAME", "sqs:URL", "stepfunctions:ARN", "events:BUS",
    or the ARN of one of these four. "?asynchronous" behind a function, "?group=ID" behind a queue, "?synchronous"
    behind a state machine and "?source=NAME&detail_type=TEXT" behind an event bus set these fields.
    """
    if isinstance(value, AnyTarget):
        return value
    if isinstance(value, str):
        kind, _, rest = value.partition(":")
        if kind == "arn":
            kind, rest = _SERVICES.get(rest.split(":")[1] if ":" in rest else "", ""), value
        if kind == "task" and rest:
            return TaskTarget(rest)
        if kind == "queue" and rest:
            return QueueTarget(rest)
        if kind == "batch" and rest:
            return BatchTarget(rest)
        if kind in ("http", "https"):
            return HttpTarget(value)
        if kind in _SERVICES.values() and rest:
            return _of_aws(kind, rest)
        raise InvalidError("target", value, _ALLOWED)
    name = getattr(value, "rota_task", None)
    if isinstance(name, str):
        return TaskTarget(name)
    raise InvalidError("target", value, _ALLOWED + " (decorate the function with @app.task)")


def _of_aws(kind: str, text: str) -> AnyTarget:
    """A target of AWS from what follows its kind: the name and, behind a question mark, an option."""
    name, mark, option = text.partition("?")
    if kind == "lambda":
        if option != "asynchronous" and mark:
            raise InvalidError("target.function", text, "'lambda:NAME' or 'lambda:NAME?asynchronous'")
        return LambdaTarget(name, bool(mark))
    if kind == "sqs":
        if mark and not option.startswith("group="):
            raise InvalidError("target.queue", text, "'sqs:URL' or 'sqs:URL?group=ID'")
        return SqsTarget(name, option.removeprefix("group=") if mark else None)
    if kind == "events":
        return EventTarget(name, **_event_options(text, option) if mark else {})
    if option != "synchronous" and mark:
        raise InvalidError("target.machine", text, "'stepfunctions:ARN' or 'stepfunctions:ARN?synchronous'")
    return StepFunctionsTarget(name, bool(mark))


def _event_options(text: str, options: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for option in options.split("&"):
        name, equals, value = option.partition("=")
        if name not in ("source", "detail_type") or not equals or name in found:
            raise InvalidError("target.bus", text, "'events:BUS' or 'events:BUS?source=NAME&detail_type=TEXT'")
        found[name] = unquote(value)
    return found


def _quoted(text: str) -> str:
    """`text` as an option that can be told from the next."""
    return text.replace("%", "%25").replace("&", "%26")
