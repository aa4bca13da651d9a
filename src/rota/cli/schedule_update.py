"""rota schedule update: first the plan, then, if the user agrees, the change."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import msgspec
import typer

from rota.cli.definition import TriggerOptions, aimed, policies, retry_text, target_text
from rota.cli.options import (
    TARGETS,
    AllowPrivate,
    Anchor,
    AppName,
    AtText,
    CronText,
    Delivery,
    Description,
    Dialect,
    Dst,
    End,
    EveryText,
    Exclude,
    ExcludeFile,
    Grace,
    Header,
    Jitter,
    Json,
    MaxExecutions,
    Method,
    Misfire,
    Overlap,
    Payload,
    Precise,
    RetryAttempts,
    RetryFactor,
    RetryInitial,
    RetryJitter,
    RetryMaximum,
    ScheduleId,
    Start,
    Tag,
    Timeout,
    Timezone,
    Url,
)
from rota.cli.output import note, print_json, say
from rota.cli.session import connect
from rota.cli.shapes import schedule_shape
from rota.core.errors import InvalidError
from rota.core.ids import epoch_ms
from rota.core.retry import Retry
from rota.core.schedule import Schedule
from rota.core.triggers import Cron, Every
from rota.service.phrasing import shown
from rota.service.preview import WALKED, UpdatePlan
from rota.wiring import DEFAULT_URL

NewTarget = Annotated[str | None, typer.Option("--target", metavar="TARGET", help=TARGETS)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Apply the plan without asking.")]


def update(
    id: ScheduleId,
    target: NewTarget = None,
    cron: CronText = None,
    every: EveryText = None,
    at: AtText = None,
    timezone: Timezone = None,
    dialect: Dialect = None,
    dst: Dst = None,
    anchor: Anchor = None,
    start: Start = None,
    end: End = None,
    exclude: Exclude = None,
    exclude_file: ExcludeFile = None,
    jitter: Jitter = None,
    method: Method = None,
    header: Header = None,
    allow_private: AllowPrivate = None,
    payload: Payload = None,
    misfire: Misfire = None,
    grace: Grace = None,
    overlap: Overlap = None,
    max_executions: MaxExecutions = None,
    timeout: Timeout = None,
    delivery: Delivery = None,
    precise: Precise = None,
    tag: Tag = None,
    description: Description = None,
    retry_attempts: RetryAttempts = None,
    retry_initial: RetryInitial = None,
    retry_factor: RetryFactor = None,
    retry_maximum: RetryMaximum = None,
    retry_jitter: RetryJitter = None,
    yes: Yes = False,
    app: AppName = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Change a schedule: show which ticks of the next year that adds, removes and moves, ask, then do it.

    The --retry options together replace the whole retry policy. With --json nothing is asked: --yes applies the
    plan."""
    wanted = TriggerOptions(
        cron=cron,
        every=every,
        at=at,
        timezone=timezone,
        dialect=dialect,
        dst=dst,
        anchor=anchor,
        start=start,
        end=end,
        exclude=exclude,
        exclude_file=exclude_file,
        jitter=jitter,
    )
    changes = policies(
        payload=payload,
        misfire=misfire,
        grace=grace,
        overlap=overlap,
        max_executions=max_executions,
        timeout=timeout,
        delivery=delivery,
        precise=precise,
        tags=tag,
        description=description,
        retry=(retry_attempts, retry_initial, retry_factor, retry_maximum, retry_jitter),
    )
    with connect(url, app) as client:
        old = client.schedules.get(id).schedule
        if not (target is None and method is None and header is None and allow_private is None):
            changes["target"] = aimed(target or old.target, method, header, allow_private)
        trigger = wanted.change(old.trigger)
        if trigger is not None:
            changes["trigger"] = trigger
        if not changes:
            raise InvalidError("update", None, "at least one option that changes something")
        plan = client.schedules.preview(id, **changes)
        if not json:
            _show(plan)
        applied = bool(plan.fields) and (yes or (not json and _agreed()))
        row = client.schedules.update(id, **changes) if applied else client.schedules.get(id)
    if json:
        print_json({"applied": applied, "plan": _plan_shape(plan), "schedule": schedule_shape(row)})
    elif applied:
        following = row.state.next_tick
        say(f"{id} updated" + (f"; next tick {shown(following, row.schedule.trigger.timezone)}" if following else ""))
    elif plan.fields:
        note("nothing was changed")
        raise typer.Exit(1)


def _agreed() -> bool:
    if not sys.stdin.isatty():
        note("not applied: --yes applies it")
        return False
    return typer.confirm("Apply?", err=True)


def _show(plan: UpdatePlan) -> None:
    if not plan.fields:
        say(f"{plan.before.id} is like that already: there is nothing to change")
        return
    for field in plan.fields:
        say(f"{field}:")
        say(f"  before  {_said(plan.before, field)}")
        say(f"  after   {_said(plan.after, field)}")
    zone = plan.after.trigger.timezone
    start, until = (shown(epoch_ms(moment), zone) for moment in (plan.start, plan.until))
    say(f"ticks from {start} to {until}: {plan.added:,} added, {plan.removed:,} removed, {plan.moved:,} moved")
    if not plan.complete:
        say(f"not compared after {until}: more than {WALKED:,} ticks a year are too many to compare")
    say(f"ticks a year: {plan.before_count:,} before, {plan.after_count:,} after")
    for moment in plan.added_examples:
        say(f"  added    {moment.isoformat()}")
    _more(plan.added, len(plan.added_examples))
    for moment in plan.removed_examples:
        say(f"  removed  {moment.isoformat()}")
    _more(plan.removed, len(plan.removed_examples))
    for old, new in plan.moved_examples:
        say(f"  moved    {old.isoformat()} to {new.isoformat()}")
    _more(plan.moved, len(plan.moved_examples))


def _more(count: int, seen: int) -> None:
    if count > seen:
        say(f"           and {count - seen:,} more")


def _said(schedule: Schedule, field: str) -> str:
    value: Any = getattr(schedule, field)
    if field == "trigger":
        how = f" ({value.text})" if isinstance(value, Cron) else ""
        return f"{value.explain()}{how}" if isinstance(value, Cron | Every) else str(value.explain())
    if field == "payload":
        return str(value.decode())
    if field == "tags":
        return ", ".join(value) or "none"
    if field == "target":
        return target_text(value)
    if isinstance(value, Retry):
        return retry_text(value)
    return "none" if value in (None, "") else msgspec.json.encode(value).decode().strip('"')


def _plan_shape(plan: UpdatePlan) -> dict[str, Any]:
    shape: dict[str, Any] = msgspec.to_builtins(plan)
    del shape["before"], shape["after"]
    changed = {field: {"before": _said(plan.before, field), "after": _said(plan.after, field)} for field in plan.fields}
    return shape | {"fields": changed}
