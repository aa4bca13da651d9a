"""What a firing does, as data. Carrying it out is `rota.targets`' business."""

from __future__ import annotations

from typing import Literal

import msgspec

from rota.core.errors import InvalidError
from rota.core.http_rules import check_headers, check_url
from rota.core.ids import check_id
from rota.core.limits import check_number

_ALLOWED = "a task, 'task:NAME', 'queue:NAME', 'batch:NAME' or an http(s) URL"


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
    private and link-local addresses, which are refused otherwise.
    """

    url: str
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[str, str] = {}
    timeout: float = 30.0
    allow_private: bool = False

    def __post_init__(self) -> None:
        check_url(self.url)
        check_headers(self.headers)
        check_number("target.timeout", self.timeout, 0, 900, above=True)

    def __str__(self) -> str:
        return self.url


class BatchTarget(msgspec.Struct, frozen=True, tag="batch", tag_field="kind"):
    """Start the batch of this name; the payload goes to a generator that asks for it."""

    name: str

    def __post_init__(self) -> None:
        check_id("target.batch", self.name)

    def __str__(self) -> str:
        return f"batch:{self.name}"


AnyTarget = TaskTarget | QueueTarget | HttpTarget | BatchTarget


def parse_target(value: object) -> AnyTarget:
    """A target from what users write: a target value, a registered task, "task:NAME", "queue:NAME" or a URL."""
    if isinstance(value, TaskTarget | QueueTarget | HttpTarget | BatchTarget):
        return value
    if isinstance(value, str):
        kind, _, rest = value.partition(":")
        if kind == "task" and rest:
            return TaskTarget(rest)
        if kind == "queue" and rest:
            return QueueTarget(rest)
        if kind == "batch" and rest:
            return BatchTarget(rest)
        if kind in ("http", "https"):
            return HttpTarget(value)
        raise InvalidError("target", value, _ALLOWED)
    name = getattr(value, "rota_task", None)
    if isinstance(name, str):
        return TaskTarget(name)
    raise InvalidError("target", value, _ALLOWED + " (decorate the function with @app.task)")
