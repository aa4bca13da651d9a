"""Use case: decide on the ticks that are due.

A decision is made from what the store holds, and stored only if the schedule did not change in between; a decision
that lost that race is simply made again at the next call. Nothing is kept here, so a crash at any point is healed by
calling again.
"""

from __future__ import annotations

from collections.abc import Sequence

from rota.core.firing import NO_RUNS, PAGE, plan
from rota.core.schedule import Change, StoredSchedule
from rota.ports.schedules import ScheduleStore

LIMIT = 500


def decide(
    store: ScheduleStore, due: Sequence[StoredSchedule], now: int, lead: int = 0, page: int = PAGE
) -> list[Change]:
    """Decide on the ticks of `due` up to `now + lead` (epoch ms) and store the decisions; answers those that were
    stored. page: walk at most so many ticks of each, where the store takes many small changes rather than a large
    one."""
    watched = [row.id for row in due if row.schedule.overlap != "allow"]
    open_runs = store.open_runs(watched) if watched else {}
    changes = [
        change for row in due if (change := plan(row, open_runs.get(row.id, NO_RUNS), now, lead, page)) is not None
    ]
    if not changes:
        return []
    return [change for change, stored in zip(changes, store.apply(changes), strict=True) if stored]


def decide_ahead(
    store: ScheduleStore, due: Sequence[StoredSchedule], now: int
) -> tuple[list[Change], list[StoredSchedule]]:
    """Decide on the next tick of each of `due`, and on no later one, ahead of its time; answers what was stored, and
    those that must wait because a run of theirs is open: it may have ended by then, and the overlap policy asks."""
    watched = [row.id for row in due if row.schedule.overlap != "allow"]
    open_runs = store.open_runs(watched) if watched else {}
    waiting = [row for row in due if row.id in open_runs]
    changes = []
    for row in due:
        at = row.state.next_tick
        if at is not None and row.id not in open_runs:
            change = plan(row, NO_RUNS, now, max(0, at - now))
            if change is not None:
                changes.append(change)
    stored = store.apply(changes) if changes else []
    return [change for change, done in zip(changes, stored, strict=True) if done], waiting


def tick(store: ScheduleStore, now: int, lead: int = 0, limit: int = LIMIT) -> list[Change]:
    """Decide on up to `limit` schedules that are due at `now + lead`; answers what was stored. Call again while it
    answers anything."""
    return decide(store, store.due(now + lead, limit), now, lead)
