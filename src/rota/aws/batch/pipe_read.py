"""Starts a pipeline, and reads what it is to work on: the function that an EventBridge schedule or a URL calls.

It checks everything that can be known before, stores the batch run, and cuts its source into chunks itself. What it has
no time for, and what a death of it would leave behind, the planner goes on with: a message to the planner is sent
before the first chunk is cut, to arrive when this function's time is over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Container, Mapping
from typing import Any, cast

import msgspec

from rota.aws.batch.ledger import Ledger, find
from rota.aws.batch.messages import PlanMessage, encode_batch_message
from rota.aws.batch.planner import Planner
from rota.aws.batch.post import Post
from rota.aws.batch.sending import SendingBatches
from rota.aws.batch.settings import BatchSettings
from rota.aws.near import NearTier
from rota.client.batches import Batches, StartOptions
from rota.core.batch import Batch
from rota.core.errors import InvalidError, StoreError
from rota.core.ids import check_id
from rota.ports.clock import Clock
from rota.processing.marks import ATTEMPTS
from rota.service.batches import Surroundings

log: logging.Logger = logging.getLogger("rota.batch")
BACKUP = 300_000
"""Milliseconds after which the planner looks whether all is planned: longer than this function may take."""


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to start. The rest is instead of what is declared. id: two calls with the same one start one batch run.
    scheduled: the time that a schedule fires for, which makes an id too."""

    batch: str
    source: str | None = None
    sink: str | None = None
    payload: Any = None
    chunk_items: int | None = None
    chunk_bytes: int | None = None
    concurrency: int | None = None
    tolerated_failures: int | str | None = None
    rate_limit: float | None = None
    timeout: float | None = None
    notify: str | list[str] | None = None
    max_cost: float | None = None
    id: str = ""
    scheduled: str = ""


class _LatePost(Post):
    """Has the planner come when somebody else should have planned."""

    def __init__(self, near: NearTier, settings: BatchSettings, clock: Clock) -> None:
        super().__init__(near, settings)
        self._clock = clock

    def plan(self, message: PlanMessage, due: int = 0) -> None:
        super().plan(message, max(due, self._clock.now() + BACKUP))


class Reader:
    """declared, tasks: those of the app."""

    def __init__(
        self,
        ledger: Ledger,
        near: NearTier,
        settings: BatchSettings,
        clock: Clock,
        planner: Planner,
        declared: Mapping[str, Batch],
        around: Surroundings,
        tasks: Container[str] | None = None,
    ) -> None:
        self._ledger = ledger
        self._planner = planner
        self._store = SendingBatches(ledger, _LatePost(near, settings, clock), clock)
        self._batches = Batches(self._store, clock, declared, around, lambda: None, time.sleep, tasks)

    def start(self, event: object, left: Callable[[], int]) -> dict[str, Any]:
        """Start a batch run and plan it as far as time allows; answers its id, how many chunks are planned, and whether
        that is all. left: milliseconds that the function may still take. Raises InvalidError, NotFoundError,
        SourceError and ConflictError for what cannot work, StoreError."""
        asked = _asked(event)
        cause = _cause(asked)
        made = (self._batches.draft if cause else self._batches.prepare)(asked.batch, **_options(asked))
        [run] = self._store.accept([msgspec.structs.replace(made, cause=cause)])
        try:
            # A source that was readable a moment ago and is not now is no reason to answer nothing.
            self._planner.handle(encode_batch_message(PlanMessage(run.id)), ATTEMPTS, left)
        except StoreError:
            log.warning("%s is left to the planner", run.id, exc_info=True)
        found = find(self._ledger, run.key) or run
        return {"run": found.id, "state": found.shown_state, "chunks": found.planned, "all": found.sealed is not None}


def _asked(event: object) -> Asked:
    try:
        return msgspec.convert(event, Asked)
    except msgspec.ValidationError as error:
        raise InvalidError("event", event, f'an object such as {{"batch": "orders"}} ({error})') from None


def _options(asked: Asked) -> StartOptions:
    names = [name for name in StartOptions.__annotations__ if name != "topology"]
    given = {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}
    return cast(StartOptions, {**given, "topology": "pipeline"})


def _cause(asked: Asked) -> str:
    """What a second call with the same meaning is known by; "" where each starts a batch run of its own."""
    if asked.id:
        return f"{asked.batch}/{check_id('id', asked.id)}"
    return f"{asked.batch}@{asked.scheduled}" if asked.scheduled else ""
