"""Use case: forget what is older than the retention, in steps small enough to disturb nobody."""

from __future__ import annotations

from rota.ports.runs import RunStore
from rota.ports.schedules import ScheduleStore

STEP = 1000


def reap(schedules: ScheduleStore, runs: RunStore, before: int, step: int = STEP) -> int:
    """Remove one step of ledger rows and one of finished runs older than `before` (epoch ms); answers how many rows
    went. Dead letters stay until purged. Call again while it answers anything."""
    return schedules.forget_ticks(before, step) + runs.forget_runs(before, step)
