"""EventBridge rules and EventBridge Scheduler: stock looks every 10 seconds, knows no time zone, and takes a schedule
that was made anew for the one of that name that fired before."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

from ministack.services import eventbridge, scheduler

from rota.testing.emulator.guard import expect, replace, rewrite, setting

_UTC = dt.UTC


def mend() -> None:
    """Patch both; a rule fires in UTC, as on AWS."""
    setting(scheduler, "_SCHEDULE_TICK_INTERVAL", 10, 1)
    setting(eventbridge, "_SCHEDULER_TICK_INTERVAL", 10, 1)
    expect(scheduler._at_time_epoch, "scheduler._at_time_epoch", "6f3f5ab6fca1")
    expect(eventbridge._cron_next_fire, "eventbridge._cron_next_fire", "6c0efd26b612")
    rewrite(
        scheduler,
        "_tick_schedules",
        "0ece514e9120",
        {
            "_at_time_epoch(expr)": "_rota_at(expr, sched)",
            "_eb._cron_next_fire(fields, last_dt)": "_rota_cron(fields, last_dt, sched)",
        },
        _rota_at=_at,
        _rota_cron=next_cron,
    )
    replace(scheduler, "_create_schedule", "5b205607c15c", _not_yet_fired)
    replace(scheduler, "_update_schedule", "93f7fec4f7d8", _not_yet_fired)


def _not_yet_fired(change: Any) -> Any:
    def changed(name: str, body: dict[str, Any]) -> Any:
        answer = change(name, body)
        if answer[0] < 400:
            key = f"{body.get('GroupName', 'default')}/{name}"
            scheduler._schedule_last_fired.pop((scheduler.get_account_id(), scheduler.get_region(), key), None)
        return answer

    return changed


def _zone(schedule: dict[str, Any]) -> dt.tzinfo:
    return zoneinfo.ZoneInfo(schedule.get("ScheduleExpressionTimezone") or "UTC")


def _at(expression: str, schedule: dict[str, Any]) -> float | None:
    """The time that at(...) means, in epoch seconds; None for another expression."""
    as_utc = scheduler._at_time_epoch(expression)
    if as_utc is None:
        return None
    wall = dt.datetime.fromtimestamp(as_utc, _UTC)
    return wall.replace(tzinfo=_zone(schedule)).timestamp()


def next_cron(fields: Any, last: dt.datetime, schedule: dict[str, Any]) -> dt.datetime | None:
    """The first time after `last` that cron fields mean."""
    zone = _zone(schedule)
    wall = last.astimezone(zone).replace(tzinfo=_UTC)
    found: dt.datetime | None = eventbridge._cron_next_fire(fields, wall)
    return found and found.replace(tzinfo=zone).astimezone(_UTC)
