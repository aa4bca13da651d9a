"""A schedule: its definition, which the user writes, and its state, which rota keeps."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

import msgspec

from rota.core.errors import InvalidError, NeverFiresError
from rota.core.ids import check_id, epoch_ms, iso, moment
from rota.core.limits import check_flag, check_list, check_number, check_text
from rota.core.payload import NULL
from rota.core.retry import Retry
from rota.core.run import Delivery, Run, RunKey, RunSpec
from rota.core.target import AnyTarget
from rota.core.triggers import AnyTrigger, At, Cron, Every, Tick

Misfire = Literal["skip", "once", "earliest", "all"]
Overlap = Literal["allow", "skip", "queue_one", "queue_all", "cancel_previous"]
Status = Literal["active", "paused", "finished"]
SkipReason = Literal["misfire", "overlap", "paused", "excluded", "daylight_gap", "max_executions"]


def _one_of(field: str, value: object, kind: object) -> None:
    allowed = get_args(kind)
    if value not in allowed:
        raise InvalidError(field, value, "one of " + ", ".join(allowed))


def check_tags(given: object) -> tuple[str, ...]:
    """The tags in order, each once; InvalidError unless they are a list of at most 20."""
    tags = tuple(sorted({check_id("tags", tag) for tag in check_list("tags", given, "at most 20 tags")}))
    if len(tags) > 20:
        raise InvalidError("tags", given, "at most 20 tags")
    return tags


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A definition. payload: JSON bytes. grace: seconds a tick may be late before it counts as a misfire. retry,
    timeout (seconds): None means the task's own. precise: start within
    milliseconds of the time, where the engine otherwise rounds it up to a second. owner: the app that declares it, or
    "" if made by hand."""

    id: str
    trigger: AnyTrigger
    target: AnyTarget
    payload: bytes = NULL
    misfire: Misfire = "once"
    grace: float = 60.0
    overlap: Overlap = "skip"
    max_executions: int | None = None
    retry: Retry | None = None
    timeout: float | None = None
    delivery: Delivery = "at_least_once"
    precise: bool = False
    tags: tuple[str, ...] = ()
    description: str = ""
    owner: str = ""

    def __post_init__(self) -> None:
        check_id("id", self.id)
        if not isinstance(self.trigger, Cron | Every | At):
            raise InvalidError("trigger", self.trigger, "a rota.Cron, rota.Every or rota.At")
        _one_of("misfire", self.misfire, Misfire)
        _one_of("overlap", self.overlap, Overlap)
        _one_of("delivery", self.delivery, Delivery)
        check_number("grace", self.grace, 0, 31_536_000)
        check_flag("precise", self.precise)
        if self.max_executions is not None:
            check_number("max_executions", self.max_executions, 1, 2**53, whole=True)
        if self.timeout is not None:
            check_number("timeout", self.timeout, 0, 604_800, above=True)
        if self.retry is not None and not isinstance(self.retry, Retry):
            raise InvalidError("retry", self.retry, "None or a rota.Retry")
        if self.tags != ():
            check_tags(self.tags)
        if self.description != "":
            check_text("description", self.description)
        if self.misfire == "all" and self.overlap in ("skip", "queue_one", "cancel_previous"):
            raise InvalidError(
                "misfire",
                "all",
                f"not with overlap={self.overlap!r}, which would drop what is caught up; use 'queue_all' or 'allow'",
            )
        if self.delivery == "at_most_once" and self.retry is not None and self.retry.attempts > 1:
            raise InvalidError("delivery", "at_most_once", f"only with retry.attempts=1, not {self.retry.attempts}")

    @property
    def spec(self) -> RunSpec:
        return RunSpec(self.target, self.retry, self.timeout, self.delivery, self.precise)


class Pause(msgspec.Struct, frozen=True):
    """Who paused a schedule, when (epoch ms) and why."""

    by: str
    at: int
    reason: str = ""

    def __str__(self) -> str:
        return f"paused by {self.by} at {iso(self.at)}" + (f" ({self.reason})" if self.reason else "")


class State(msgspec.Struct, frozen=True):
    """What rota keeps of a schedule. next_tick: nominal, epoch ms; None once there is none left. next_skip: why that
    tick will not fire, if its trigger says so. fired: firings that count against max_executions."""

    next_tick: int | None
    next_skip: str | None = None
    fired: int = 0
    paused: Pause | None = None
    version: int = 1
    created: int = 0
    updated: int = 0


class StoredSchedule(msgspec.Struct, frozen=True):
    """A definition with its state."""

    schedule: Schedule
    state: State

    @property
    def id(self) -> str:
        return self.schedule.id

    @property
    def status(self) -> Status:
        if self.state.paused is not None:
            return "paused"
        return "finished" if self.state.next_tick is None else "active"

    @property
    def next(self) -> datetime | None:
        """The next tick as an aware datetime, None if there is none or the schedule is paused."""
        if self.state.next_tick is None or self.state.paused is not None:
            return None
        return moment(self.state.next_tick)


class TickRow(msgspec.Struct, frozen=True):
    """One row of the tick ledger. scheduled: the (first) tick it covers; until: the last; count: how many, both ends
    included. decided: when the row was written. All epoch ms."""

    schedule_id: str
    scheduled: int
    outcome: Literal["fired", "skipped"]
    decided: int
    reason: SkipReason | None = None
    detail: str = ""
    count: int = 1
    until: int = -1

    def __post_init__(self) -> None:
        if self.until == -1:
            msgspec.structs.force_setattr(self, "until", self.scheduled)


class Change(msgspec.Struct, frozen=True):
    """All that one decision about a schedule writes, in one transaction, if the stored version is still `version`.

    after: the new schedule and state (version + 1), or None to delete it. redefined: the definition differs too.
    ticks: ledger rows. runs: accepted runs. cancel: open runs of the schedule, those of `runs` included, to cancel
    (pending and held ones end at once, running ones are asked to stop). at: when it was decided, epoch ms."""

    schedule_id: str
    version: int
    after: StoredSchedule | None
    ticks: tuple[TickRow, ...] = ()
    runs: tuple[Run, ...] = ()
    cancel: tuple[RunKey, ...] = ()
    redefined: bool = False
    at: int = 0


def first_tick(trigger: AnyTrigger, now: int) -> Tick | None:
    """The first tick of a schedule made at `now`: strictly after it, save that a one-off in the past is still to
    fire."""
    return trigger.next_tick(epoch_ms(trigger.when) - 1 if isinstance(trigger, At) else now)


def check_fires(schedule: Schedule, tick: Tick | None, now: int) -> Tick:
    """`tick`, with which `schedule` is to go on; NeverFiresError if there is none, or neither it nor any after it will
    fire."""
    late = now - round(schedule.grace * 1000)
    why = ""
    if tick is not None:
        if isinstance(schedule.trigger, At) and schedule.misfire == "skip" and tick.at < late:
            why = f"; it is past by more than the grace period of {schedule.grace:g} s, and misfire='skip' skips it"
        elif tick.skip is None or schedule.trigger.next_fired(tick.at) is not None:
            return tick
        else:
            why = "; every tick it has is excluded or in a daylight gap"
    raise NeverFiresError(
        "trigger",
        schedule.trigger.explain(),
        f"a trigger that fires after {iso(now)}{why}",
        schedule=schedule.id,
    )


def new_schedule(schedule: Schedule, now: int) -> StoredSchedule:
    """`schedule` as it is stored when made at `now`; NeverFiresError if no tick of its trigger will fire."""
    tick = check_fires(schedule, first_tick(schedule.trigger, now), now)
    # Versions begin with the time, so that a decision about a schedule never fits another one made later under its id.
    return StoredSchedule(schedule, State(tick.at, tick.skip, version=max(1, now), created=now, updated=now))
