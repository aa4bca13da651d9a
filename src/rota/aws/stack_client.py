"""The client of a stack, from its parts: the same `Client` as on one machine, over DynamoDB and SQS."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from botocore.exceptions import ClientError

from rota.app import App
from rota.aws.engine import Parts
from rota.aws.near import MISSING
from rota.aws.queues import SqsQueues
from rota.aws.sessions import translating
from rota.aws.settings import StackSettings
from rota.client import Client
from rota.connectors.aws_errors import DENIED, code_of
from rota.core.errors import InvalidError, NotFoundError
from rota.core.run import RunSpec
from rota.core.target import BatchTarget, QueueTarget, TaskTarget
from rota.ports.batches import BatchStore
from rota.service.batches import NOWHERE, Surroundings
from rota.system import RandomIds

_BY_URL = "give the queue's URL as sqs:URL"


class _NoBatches:
    """Stands where a batch store would."""

    def __getattr__(self, name: str) -> Any:
        allowed = "a stack whose app declares batches; declare one and deploy, or give a sqlite URL"
        raise InvalidError("url", "aws://", allowed)


class KnownTargets:
    """Refuses, before anything is stored, what a stack cannot fire: a queue, task or batch that it does not have. The
    stack's own queues are none of the app's, as far as it tells its app's or they take part in firing."""

    def __init__(self, sqs: Any, settings: StackSettings, *, batches: bool = False) -> None:
        self._sqs = sqs
        self._settings = settings
        self._batches = batches
        self._known: set[str] = set()

    def __call__(self, spec: RunSpec) -> None:
        target = spec.target
        if isinstance(target, BatchTarget) and not self._batches:
            raise InvalidError("target", str(target), "a batch only where the stack's app declares batches")
        if isinstance(target, BatchTarget):
            _named("batch", target.name, self._settings.batches)
        if isinstance(target, TaskTarget):
            _named("task", target.name, self._settings.tasks)
        if isinstance(target, QueueTarget) and target.name not in self._known:
            self._look(target.name)
            self._known.add(target.name)

    def _look(self, name: str) -> None:
        url = f"{self._settings.queue_prefix}{name}"
        missing, cure = "the stack has none of this name", "name it as a target in the app and deploy"
        if not self._settings.may_have_queue(name):
            raise NotFoundError("queue", name, f"{missing}; {cure}, or {_BY_URL}")
        with translating("sqs", queue=name):
            try:
                self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            except ClientError as error:
                if code_of(error) in MISSING:
                    raise NotFoundError("queue", name, f"{missing}; {cure}, or {_BY_URL}") from None
                # Who may see the stack's queues and no others is denied what does not exist.
                if code_of(error) in DENIED:
                    lacks = "the credentials in use lack the permission sqs:GetQueueAttributes"
                    raise NotFoundError(
                        "queue", name, f"{missing}, or {lacks}; {cure}, grant it, or {_BY_URL}"
                    ) from error
                raise


def _named(kind: str, name: str, known: tuple[str, ...] | None) -> None:
    if known is not None and name not in known:
        said = ", ".join(known) or "none"
        raise NotFoundError(kind, name, f"the app of the stack has: {said}; declare it there and deploy")


def client_of(
    parts: Parts,
    app: App | None = None,
    actor: str = "unknown",
    close: Callable[[], None] | None = None,
    batches: BatchStore | None = None,
    around: Surroundings = NOWHERE,
    known: KnownTargets | None = None,
) -> Client:
    """app: lets it check task names. batches: the store of a stack that has them. around: what they are started
    with. known: what the stack can fire; unless given, batches if there is a store of them."""
    check = known or KnownTargets(parts.sqs, parts.settings, batches=batches is not None)
    schedules, runs = parts.handing(check)
    return Client(
        schedules,
        runs,
        SqsQueues(parts.sqs, parts.settings, parts.near, parts.clock),
        batches or cast(BatchStore, _NoBatches()),
        parts.clock,
        RandomIds(),
        app=app,
        around=around,
        actor=actor,
        close=close or parts.near.close,
        sleep=time.sleep,
    )
