"""client.schedules: make, see, change and remove schedules."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Container, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack, get_args

import msgspec

from rota.app import define_schedule
from rota.core.errors import InvalidError
from rota.core.limits import check_list, check_text
from rota.core.payload import encode_payload
from rota.core.retry import Retry
from rota.core.run import Delivery
from rota.core.schedule import Misfire, Overlap, Schedule, StoredSchedule, TickRow, check_tags
from rota.core.target import parse_target
from rota.core.triggers import AnyTrigger
from rota.ports.clock import Clock
from rota.ports.runs import RunStore
from rota.ports.schedules import ScheduleQuery, ScheduleStore
from rota.service import preview, schedules
from rota.service.preview import UpdatePlan
from rota.service.schedules import EVER
from rota.service.why import instants_in, why

When = datetime | str | float
Status = Literal["active", "paused", "finished"]
MOST_ROWS = 10_000
_DEFINITIONS = "schedules made with rota.define_schedule"


class ScheduleChanges(TypedDict, total=False):
    """What `update` and `preview` may change: the arguments of `create`, but for the id."""

    trigger: AnyTrigger
    target: object
    payload: object
    misfire: Misfire
    grace: float
    overlap: Overlap
    max_executions: int | None
    retry: Retry | None
    timeout: float | None
    delivery: Delivery
    precise: bool
    tags: Sequence[str]
    description: str


class Schedules:
    """Schedules by id. Every call may raise StoreError; those that take an id raise NotFoundError, which names near
    ids."""

    def __init__(
        self,
        store: ScheduleStore,
        runs: RunStore,
        clock: Clock,
        tasks: Container[str] | None,
        actor: str,
        notify: Callable[[], None],
    ) -> None:
        self._store = store
        self._runs = runs
        self._clock = clock
        self._tasks = tasks
        self._actor = actor
        self._notify = notify

    def create(
        self,
        id: str,
        trigger: AnyTrigger,
        target: object,
        *,
        payload: object = None,
        misfire: Misfire = "once",
        grace: float = 60.0,
        overlap: Overlap = "skip",
        max_executions: int | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        delivery: Delivery = "at_least_once",
        precise: bool = False,
        tags: Sequence[str] = (),
        description: str = "",
    ) -> StoredSchedule:
        """Store a schedule; its first tick is the first one after now (a one-off in the past fires at once).

        target: a task, a target value, or a text such as "queue:NAME" or a URL. payload: JSON, at most 256 KiB. grace,
        timeout: seconds. precise: within milliseconds on AWS too. Raises InvalidError, NeverFiresError or ExistsError;
        then nothing is stored."""
        made = define_schedule(
            id,
            trigger,
            target,
            payload=payload,
            misfire=misfire,
            grace=grace,
            overlap=overlap,
            max_executions=max_executions,
            retry=retry,
            timeout=timeout,
            delivery=delivery,
            precise=precise,
            tags=tags,
            description=description,
        )
        return self.create_many([made])[0]

    def create_many(self, definitions: Iterable[Schedule]) -> builtins.list[StoredSchedule]:
        """Store many schedules in one transaction, all or none. Make them with `rota.define_schedule`."""
        given: builtins.list[Schedule] = []
        for one in check_list("definitions", definitions, _DEFINITIONS):
            if not isinstance(one, Schedule):
                raise InvalidError("definitions", one, _DEFINITIONS)
            given.append(one)
        made = schedules.create(self._store, given, self._clock.now(), self._tasks)
        self._notify()
        return made

    def get(self, id: str) -> StoredSchedule:
        """One schedule with its state."""
        return schedules.find(self._store, id)

    def get_many(self, ids: Sequence[str]) -> builtins.list[StoredSchedule]:
        """Those of `ids` that exist, in the order asked."""
        return self._store.get([check_text("ids", one) for one in check_list("ids", ids, "ids of schedules")])

    def list(
        self,
        *,
        tag: str | None = None,
        status: Status | None = None,
        search: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> builtins.list[StoredSchedule]:
        """Schedules by id. search: part of id or description. after: the last id of the page before."""
        if status is not None and status not in get_args(Status):
            raise InvalidError("status", status, "one of " + ", ".join(get_args(Status)))
        return self._store.list(
            ScheduleQuery(
                tag=None if tag is None else check_text("tag", tag),
                status=status,
                search=None if search is None else check_text("search", search),
                after=None if after is None else check_text("after", after),
                limit=check_limit(limit),
            )
        )

    def update(self, id: str, **changes: Unpack[ScheduleChanges]) -> StoredSchedule:
        """Change parts of the definition. The next tick stays unless the trigger differs. Raises what `create` raises,
        and ConflictError if others keep changing it at the same time."""
        redefine = _redefinition(changes)
        updated = schedules.update(self._store, id, redefine, self._clock.now(), self._tasks)
        self._notify()
        return updated

    def preview(self, id: str, **changes: Unpack[ScheduleChanges]) -> UpdatePlan:
        """What `update` with the same arguments would do to the ticks of the next year; nothing is stored."""
        stored = schedules.find(self._store, id)
        definition = _redefinition(changes)(stored.schedule)
        return preview.preview(self._store, stored, definition, self._clock.now(), self._tasks)

    def pause(self, id: str, reason: str = "") -> StoredSchedule:
        """Fire nothing until `resume`; runs that were accepted go on. ConflictError if it is paused or finished
        already."""
        paused = schedules.pause(self._store, id, self._actor, reason, self._clock.now())
        self._notify()
        return paused

    def resume(self, id: str) -> StoredSchedule:
        """Go on with the next tick. Those that passed are one row of the ledger, skipped as paused. ConflictError if it
        is not paused."""
        resumed = schedules.resume(self._store, id, self._clock.now())
        self._notify()
        return resumed

    def trigger(self, id: str, *, payload: object = None) -> str:
        """Run it now, and answer the run id. This ignores pause and overlap policy and does not count as an execution,
        but while the run is open a tick may find it in its way. payload: instead of the schedule's own; None keeps
        that."""
        body = None if payload is None else encode_payload(payload)
        run = schedules.trigger(self._store, self._runs, id, body, self._clock.now())
        self._notify()
        return run.id

    def delete(self, id: str) -> None:
        """Remove it and cancel its pending and held runs; running ones go on. Its ledger and its runs stay on
        record."""
        schedules.delete(self._store, self._runs, id, self._clock.now())
        self._notify()

    def ticks(
        self, id: str, start: When | None = None, end: When | None = None, limit: int = 100
    ) -> builtins.list[TickRow]:
        """The ledger, newest first: rows that cover some instant of [start, end]. Text without offset is read in the
        schedule's zone. Still answered after the schedule is deleted, as long as rows are kept."""
        stored = self._store.get([check_text("id", id)])
        zone = stored[0].schedule.trigger.timezone if stored else "UTC"
        first = -EVER if start is None else instants_in("start", start, zone)[0]
        last = EVER if end is None else instants_in("end", end, zone)[-1]
        rows = self._store.ticks(id, first, last, check_limit(limit), newest_first=True)
        if not rows and not stored:
            schedules.find(self._store, id)
        return rows

    def why(self, id: str, when: When) -> str:
        """Why it fired, or did not fire, at `when`: always a sentence. Text without offset is read in the schedule's
        zone, so that one can ask for a time that does not exist there."""
        return why(self._store, self._runs, id, when, self._clock.now())


def check_limit(limit: object, most: int = MOST_ROWS) -> int:
    """`limit` if it may bound a page, else InvalidError."""
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= most:
        raise InvalidError("limit", limit, f"a whole number from 1 to {most}")
    return limit


def _redefinition(changes: ScheduleChanges) -> Callable[[Schedule], Schedule]:
    """A function that gives a definition those changes; InvalidError where they are wrong whatever the definition
    is."""
    allowed = ScheduleChanges.__annotations__
    values: dict[str, Any] = dict(changes)
    for name in values:
        if name not in allowed:
            raise InvalidError("update", name, "one of " + ", ".join(allowed))
    if "target" in values:
        values["target"] = parse_target(values["target"])
    if "payload" in values:
        values["payload"] = encode_payload(values["payload"])
    if "tags" in values:
        values["tags"] = check_tags(values["tags"])

    def redefine(schedule: Schedule) -> Schedule:
        return msgspec.structs.replace(schedule, **values)

    return redefine
