"""What the template tells the functions of a stack, and what a stack tells its clients: one validated struct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import msgspec

from rota.core.errors import InvalidError
from rota.core.limits import check_number

LONGEST_DELAY = 900
"""Seconds: SQS delays no message longer."""
SLACK = 600
"""Seconds by which clocks of functions and clients may differ before a writer misses that a feeder was there first."""

_NAMES = {
    "stack": "ROTA_STACK",
    "table": "ROTA_TABLE",
    "dispatch_queue": "ROTA_DISPATCH_QUEUE_URL",
    "worker_queue": "ROTA_WORKER_QUEUE_URL",
    "dead_queue": "ROTA_DEAD_QUEUE_URL",
    "bucket": "ROTA_BUCKET",
    "app": "ROTA_APP",
    "queue_prefix": "ROTA_QUEUE_PREFIX",
}
_NUMBERS = {
    "horizon": "ROTA_HORIZON",
    "feeder_period": "ROTA_FEEDER_PERIOD",
    "retention_days": "ROTA_RETENTION_DAYS",
    "shards": "ROTA_SHARDS",
}
_OPTIONAL = {"dead_queue", "bucket", "app"}
_OUTPUTS = {
    "table": "Table",
    "dispatch_queue": "DispatchQueueUrl",
    "worker_queue": "WorkerQueueUrl",
    "dead_queue": "DeadQueueUrl",
    "bucket": "BucketName",
    "queue_prefix": "QueuePrefix",
}
_NAMED_OUTPUTS = {"queues": "QueueNames", "tasks": "TaskNames", "batches": "BatchNames"}
_NAMED = {"tasks": "ROTA_TASKS", "batches": "ROTA_BATCHES"}
_COUNTED_OUTPUTS = {"horizon": "Horizon", "feeder_period": "FeederPeriod", "retention_days": "RetentionDays"}


class StackSettings(msgspec.Struct, frozen=True, kw_only=True):
    """dispatch_queue, worker_queue, dead_queue: URLs. app: module or module:attribute; the worker's alone. horizon,
    feeder_period: seconds. shards: of the far tier; 0 leaves them as they are. queue_prefix: an embedded queue NAME is
    the SQS queue with the URL `{queue_prefix}NAME`. large_payloads: data that is too large goes to the bucket, and a
    pointer to it to the target. queues, tasks, batches: what the stack's app has, by name; None: not known."""

    stack: str
    table: str
    dispatch_queue: str
    worker_queue: str
    queue_prefix: str
    dead_queue: str = ""
    bucket: str = ""
    app: str = ""
    horizon: int = 150
    feeder_period: int = 60
    retention_days: int = 30
    shards: int = 0
    large_payloads: bool = False
    queues: tuple[str, ...] | None = None
    tasks: tuple[str, ...] | None = None
    batches: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        # A message of the near tier has its due time ahead of it by up to the horizon, and SQS is to hold it that long.
        check_number("ROTA_HORIZON", self.horizon, 60, LONGEST_DELAY - 60, whole=True)
        check_number("ROTA_FEEDER_PERIOD", self.feeder_period, 60, self.horizon - 30, whole=True)
        check_number("ROTA_SHARDS", self.shards, 0, 512, whole=True)
        check_number("ROTA_RETENTION_DAYS", self.retention_days, 1, 3650, whole=True)

    def may_have_queue(self, name: str) -> bool:
        """Whether the app may have an embedded queue of this name, as far as the stack tells: its own are none."""
        own = (self.dispatch_queue, self.worker_queue, self.dead_queue)
        return f"{self.queue_prefix}{name}" not in own and (self.queues is None or name in self.queues)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """From the environment of a function. InvalidError names the variable."""
        found: dict[str, object] = {}
        for field, name in _NAMES.items():
            text = environ.get(name, "")
            if not text and field not in _OPTIONAL:
                raise InvalidError(name, text, "the environment variable that the template of the stack sets")
            found[field] = text
        for field, name in _NUMBERS.items():
            text = environ.get(name, "")
            if text:
                if not (text.isascii() and text.isdigit()):
                    raise InvalidError(name, text, "a whole number")
                found[field] = int(text)
        found |= _names(_NAMED, environ)
        return cls(**found, large_payloads=environ.get("ROTA_LARGE_PAYLOADS", "") == "1")  # type: ignore[arg-type]

    @classmethod
    def from_outputs(cls, stack: str, outputs: Mapping[str, str]) -> Self:
        """From the outputs of a CloudFormation stack. InvalidError if it is none of rota's."""
        missing = [name for name in _OUTPUTS.values() if name not in outputs]
        if missing:
            raise InvalidError("stack", stack, f"a stack that `rota deploy` made; this one has no output {missing[0]}")
        found: dict[str, object] = {field: outputs[name] for field, name in _OUTPUTS.items()}
        found |= {field: int(outputs[name]) for field, name in _COUNTED_OUTPUTS.items() if name in outputs}
        found |= _names(_NAMED_OUTPUTS, outputs)
        return cls(stack=stack, **found)  # type: ignore[arg-type]


def _names(known: Mapping[str, str], told: Mapping[str, str]) -> dict[str, object]:
    """A stack whose app has very many does not tell them, nor does one that an older rota made."""
    found = {field: told[name] for field, name in known.items() if name in told}
    return {field: msgspec.json.decode(text, type=tuple[str, ...]) for field, text in found.items()}
