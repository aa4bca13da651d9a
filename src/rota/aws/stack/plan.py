"""What a stack has to hold for one app: read from the app, before any template is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from rota.app import App
from rota.aws.platform import Platform
from rota.aws.stack.batch_places import sinks_of, sources_of, tables_of
from rota.core.errors import InvalidError
from rota.core.target import AnyTarget, EventTarget, LambdaTarget, QueueTarget, SqsTarget, StepFunctionsTarget

LONGEST_QUEUE = 60
"""Characters of SQS's 80 that are left for the name of an embedded queue, behind the stack's name."""
DATA = "data"
"""The queue that ad-hoc schedules fire into unless they name another target."""
MAP_FAILURES = "map-failures"
"""The queue that is told of map runs that failed."""
_LONGEST_NAMES = 1000
"""Bytes of a list of names in an output, or in an environment, of which Lambda takes 4 KB in all."""
T = TypeVar("T", bound=AnyTarget)
_QUEUE = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_QUEUE}}}")


class StackPlan(msgspec.Struct, frozen=True, kw_only=True):
    """app: its name. module: what the worker loads, "module" or "module:ATTRIBUTE". queues: names of embedded queues,
    `data` among them. tasks: their names. functions, sqs, machines, buses: the ARNs that schedules and notifications
    fire at; `${AWS::Region}` and its like stand for what a target leaves open. batches: their names. sources, sinks:
    `bucket/key` in S3 that they read and write, with `*` for what is open. pipelines, maps: those of the batches that
    are one. engine_code, worker_code: folder or archive of each bundle."""

    app: str
    module: str
    version: str
    platform: Platform
    engine_code: str
    worker_code: str
    queues: tuple[str, ...] = (DATA,)
    tasks: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    sqs: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    buses: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    pipelines: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()
    sink_tables: tuple[str, ...] = ()


def plan_stack(
    app: App, module: str, version: str, platform: Platform, *, engine_code: str = "engine", worker_code: str = "worker"
) -> StackPlan:
    """The plan for `app`. InvalidError for an embedded queue whose name SQS does not allow."""
    targets = [schedule.target for schedule in app.schedules.values()]
    targets += [target for batch in app.batches.values() for target in batch.notify]
    names = {DATA, *(target.name for target in targets if isinstance(target, QueueTarget))}
    if any(batch.topology == "map" for batch in app.batches.values()):
        names.add(MAP_FAILURES)
    for name in sorted(names):
        check_queue_name(name)
    return StackPlan(
        app=app.name,
        module=module,
        version=version,
        platform=platform,
        engine_code=engine_code,
        worker_code=worker_code,
        queues=tuple(sorted(names)),
        tasks=tuple(sorted(app.tasks)),
        functions=_sorted(function_arn(it.function) for it in _of(targets, LambdaTarget)),
        sqs=_sorted(queue_arn(it.queue) for it in _of(targets, SqsTarget)),
        machines=_sorted(machine_arn(it.machine) for it in _of(targets, StepFunctionsTarget)),
        buses=_sorted(bus_arn(it.bus) for it in _of(targets, EventTarget)),
        batches=tuple(sorted(app.batches)),
        pipelines=tuple(sorted(name for name, batch in app.batches.items() if batch.topology == "pipeline")),
        maps=tuple(sorted(name for name, batch in app.batches.items() if batch.topology == "map")),
        sources=sources_of(app),
        sinks=sinks_of(app),
        sink_tables=tables_of(app),
    )


def listed(names: Sequence[str]) -> str | None:
    """Names as text for an output or an environment; None if they are too many to be told."""
    text = json.dumps(names, separators=(",", ":"))
    return text if len(text) <= _LONGEST_NAMES else None


def check_queue_name(name: str) -> None:
    """InvalidError unless an embedded queue of this name can be an SQS queue."""
    if not _QUEUE.fullmatch(name):
        allowed = f"at most {LONGEST_QUEUE} letters, digits, - and _ where the queue is to be one of SQS"
        raise InvalidError("target.queue", name, allowed)


def function_arn(function: str) -> str:
    """The ARN that invoking `function` is a matter of; a bare name is a function of the stack's account and region."""
    here = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:"
    return function if function.startswith("arn:") else here + function


def queue_arn(queue: str) -> str:
    """The ARN of a queue that goes by its URL."""
    if queue.startswith("arn:"):
        return queue
    parts = urlsplit(queue)
    found = re.search(r"(?:^|\.)sqs\.([a-z]{2,}(?:-[a-z]+)+-\d+)\.", parts.hostname or "")
    account, name = parts.path.split("/")[-2:]
    return f"arn:${{AWS::Partition}}:sqs:{found[1] if found else '${AWS::Region}'}:{account}:{name}"


def machine_arn(machine: str) -> str:
    """The ARN of a state machine without version or alias: permissions are given for the machine."""
    return ":".join(machine.split(":")[:7])


def bus_arn(bus: str) -> str:
    """The ARN of an event bus; one that goes by its name is of the stack's account and region."""
    here = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/"
    return bus if bus.startswith("arn:") else here + bus


def execution_arns(machine: str) -> str:
    """The executions of a state machine, whatever their names, which come from run ids."""
    return machine.replace(":stateMachine:", ":execution:") + ":*"


def _of(targets: Iterable[AnyTarget], kind: type[T]) -> list[T]:
    return [target for target in targets if isinstance(target, kind)]


def _sorted(arns: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(arns)))
