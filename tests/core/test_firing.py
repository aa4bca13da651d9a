"""The decision about due ticks, against a model that walks them one by one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rota.core.firing import NO_RUNS, OpenRuns, paused_row, plan
from rota.core.ids import epoch_ms
from rota.core.run import RunKey
from rota.core.schedule import Change, Misfire, Overlap, Pause, Schedule, State, StoredSchedule, TickRow
from rota.core.target import TaskTarget
from rota.core.triggers import AnyTrigger, At, Cron, Every, Tick, jitter_ms
from rota.testing import MemoryStores

DAY = 86_400_000
T0 = epoch_ms(datetime(2026, 3, 28, tzinfo=UTC))
"""The day before daylight saving time begins in Berlin."""

EXCLUDED = ("2026-03-28", "2026-03-30/2026-03-31", "2026-03-29T10:00:00+02:00")
TRIGGERS: list[AnyTrigger] = [
    Every("90m"),
    Every("1h", exclude=EXCLUDED, jitter=300),
    Every("17m", timezone="Europe/Berlin", exclude=EXCLUDED, end="2026-03-29T12:00:00Z"),
    Cron("0 0/30 * * * ?", timezone="Europe/Berlin"),
    Cron("0 30 2 * * ?", timezone="Europe/Berlin", dst="aws"),
    Cron("0 30 2 * * ?", timezone="Europe/Berlin", dst="quartz", exclude=EXCLUDED),
    Cron("0 15 0/3 ? * SAT,SUN", timezone="Europe/Berlin", exclude=EXCLUDED, end="2026-03-29T20:00:00Z"),
    At("2026-03-29T01:30:00Z"),
]


def _stored(trigger: AnyTrigger, start: int = T0, **policies: Any) -> StoredSchedule:
    tick = trigger.next_tick(start)
    schedule = Schedule(id="s", trigger=trigger, target=TaskTarget("enrich"), **policies)
    return StoredSchedule(schedule, State(tick.at if tick else None, tick.skip if tick else None, created=start))


def _walk(trigger: AnyTrigger, after: int, until: int) -> list[Tick]:
    ticks = []
    tick = trigger.next_tick(after)
    while tick is not None and tick.at <= until:
        ticks.append(tick)
        tick = trigger.next_tick(tick.at)
    return ticks


def _expand(rows: list[TickRow], ticks: list[Tick]) -> list[tuple[int, str]]:
    """What the ledger says of each tick, after checking that its rows tile the ticks."""
    told: list[tuple[int, str]] = []
    for row in rows:
        covered = [tick.at for tick in ticks if row.scheduled <= tick.at <= row.until]
        assert (covered[0], covered[-1], len(covered)) == (row.scheduled, row.until, row.count)
        told += [(at, row.reason or row.outcome) for at in covered]
    assert [at for at, _ in told] == [tick.at for tick in ticks]
    return told


def _model(row: StoredSchedule, ticks: list[Tick], open_runs: OpenRuns, now: int) -> list[tuple[int, str]]:
    """The policies at the top of `core.firing`, tick by tick."""
    schedule, fired, still_open, held = row.schedule, row.state.fired, len(open_runs.keys), len(open_runs.held)
    misfires = [tick for tick in ticks if tick.at < now - schedule.grace * 1000]
    candidates = ticks
    if misfires and schedule.misfire == "skip":
        candidates = ticks[len(misfires) :]
    elif misfires and schedule.misfire != "all":
        could = [tick for tick in ticks if tick.skip is None]
        candidates = could[-1:] if schedule.misfire == "once" else could[:1]
    told = []
    for tick in ticks:
        if tick not in candidates:
            told.append((tick.at, "misfire"))
        elif schedule.max_executions is not None and fired >= schedule.max_executions:
            told.append((tick.at, "max_executions"))
        elif tick.skip is not None:
            told.append((tick.at, tick.skip))
        elif still_open and (schedule.overlap == "skip" or (schedule.overlap == "queue_one" and held)):
            told.append((tick.at, "overlap"))
        else:
            held += bool(still_open and schedule.overlap in ("queue_one", "queue_all"))
            fired += 1
            still_open += 1
            told.append((tick.at, "fired"))
    return told


def _allowed(misfire: Misfire, overlap: Overlap) -> bool:
    return misfire != "all" or overlap in ("allow", "queue_all")


POLICIES = st.tuples(st.sampled_from(get_args(Misfire)), st.sampled_from(get_args(Overlap))).filter(
    lambda p: _allowed(*p)
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[StoredSchedule, OpenRuns, int, int]:
    """A schedule, its open runs, the time, and the lead."""
    misfire, overlap = draw(POLICIES)
    start = T0 + draw(st.integers(-DAY, DAY))
    row = _stored(
        draw(st.sampled_from(TRIGGERS)),
        start,
        misfire=misfire,
        overlap=overlap,
        grace=draw(st.sampled_from([0, 1, 60, 3600, 90_000])),
        max_executions=draw(st.none() | st.integers(1, 5)),
    )
    count = draw(st.integers(0, 3))
    keys = tuple(RunKey("s", start - 10 + n) for n in range(count))
    open_runs = OpenRuns(keys, keys[draw(st.integers(min(1, count), count)) :])
    return row, open_runs, start + draw(st.integers(0, 2 * DAY)), draw(st.sampled_from([0, 0, 1000, 60_000]))


class TestPlan:
    @given(situations())
    def test_every_due_tick_gets_one_row_and_the_policies_hold(
        self, situation: tuple[StoredSchedule, OpenRuns, int, int]
    ) -> None:
        row, open_runs, now, lead = situation
        change = plan(row, open_runs, now, lead)
        until = now + lead
        if row.state.next_tick is None or row.state.next_tick > until:
            assert change is None
            return
        assert change is not None
        assert change.after is not None
        trigger, limit = row.schedule.trigger, row.schedule.max_executions
        ticks = _walk(trigger, row.state.created, until)
        told = _expand(list(change.ticks), ticks)
        assert told == _model(row, ticks, open_runs, now)
        fired = [at for at, what in told if what == "fired"]
        assert [run.scheduled for run in change.runs] == fired
        state = change.after.state
        assert state.fired == len(fired)
        assert limit is None or state.fired <= limit
        following = trigger.next_tick(until) if limit is None or state.fired < limit else None
        assert (state.next_tick, state.next_skip) == ((following.at, following.skip) if following else (None, None))
        assert (change.version, state.version) == (row.state.version, row.state.version + 1)
        assert all(tick.decided == now for tick in change.ticks)

    @given(situations(), st.integers(1, 7))
    def test_pages_come_to_the_same_as_one_plan(
        self, situation: tuple[StoredSchedule, OpenRuns, int, int], page: int
    ) -> None:
        row, _, now, lead = situation
        stores = MemoryStores()
        stores.schedules.create([row])
        while True:
            [current] = stores.schedules.get(["s"])
            change = plan(current, stores.schedules.open_runs(["s"]).get("s", NO_RUNS), now, lead, page)
            if change is None:
                break
            assert stores.schedules.apply([change]) == [True]
        whole = plan(row, NO_RUNS, now, lead, 10**6)
        if whole is None:
            return
        assert whole.after is not None
        [after] = stores.schedules.get(["s"])
        assert msgspec.structs.replace(after.state, version=0) == msgspec.structs.replace(whole.after.state, version=0)
        paged = stores.schedules.ticks("s", 0, 2**60, 10**6)
        ticks = _walk(row.schedule.trigger, row.state.created, now + lead)
        assert _expand(paged, ticks) == _expand(list(whole.ticks), ticks)

    @given(
        st.sampled_from(TRIGGERS),
        st.lists(st.integers(1, DAY // 2), min_size=1, max_size=8),
        POLICIES,
        st.integers(1, 6),
    )
    def test_never_more_firings_than_allowed_over_a_life(
        self, trigger: AnyTrigger, steps: list[int], policies: tuple[Misfire, Overlap], limit: int
    ) -> None:
        row = _stored(trigger, misfire=policies[0], overlap=policies[1], max_executions=limit)
        now, runs = T0, 0
        for step in steps:
            now += step
            change = plan(row, NO_RUNS, now)
            if change is not None:
                assert change.after is not None
                runs += len(change.runs)
                row = change.after
            assert runs == row.state.fired <= limit
        assert (row.state.next_tick is None) == (runs == limit or trigger.next_tick(now) is None)

    def test_nothing_is_due_before_its_time_after_the_end_or_while_paused(self) -> None:
        row = _stored(Every("1h"))
        hour = T0 + 3_600_000
        assert plan(row, NO_RUNS, hour - 1) is None
        assert plan(row, NO_RUNS, hour - 1, lead=1) is not None
        paused = msgspec.structs.replace(row.state, paused=Pause("ann", T0))
        assert plan(StoredSchedule(row.schedule, paused), NO_RUNS, hour) is None
        over = msgspec.structs.replace(row.state, next_tick=None)
        assert plan(StoredSchedule(row.schedule, over), NO_RUNS, hour) is None

    def test_a_tick_exactly_as_late_as_the_grace_period_is_no_misfire(self) -> None:
        row = _stored(Every("1h"), grace=60, misfire="skip")
        hour = T0 + 3_600_000
        assert [tick.outcome for tick in _change(row, hour + 60_000).ticks] == ["fired"]
        assert [tick.reason for tick in _change(row, hour + 60_001).ticks] == ["misfire"]

    def test_an_outage_of_ten_years_is_one_row_and_walks_nothing(self) -> None:
        row = _stored(Every("1s"), misfire="once")
        now = T0 + 3653 * DAY
        change = _change(row, now)
        skipped, fired = change.ticks
        assert (skipped.count, skipped.scheduled, skipped.until) == (3653 * 86400 - 1, T0 + 1000, now - 1000)
        assert (fired.outcome, fired.scheduled) == ("fired", now)
        assert [run.scheduled for run in change.runs] == [now]

    def test_jitter_moves_the_run_and_not_the_tick(self) -> None:
        row = _stored(Every("1h", jitter=600))
        [run] = _change(row, T0 + 3_600_000).runs
        assert run.scheduled == T0 + 3_600_000
        assert run.due == run.scheduled + jitter_ms(run.id, 600)
        assert 0 <= run.due - run.scheduled < 600_000

    def test_a_tick_in_a_daylight_gap_says_so(self) -> None:
        row = _stored(Cron("0 30 2 * * ?", timezone="Europe/Berlin", dst="aws"), T0 + DAY // 2)
        change = _change(row, T0 + 2 * DAY, grace=2 * 86_400)
        assert [tick.reason for tick in change.ticks] == ["daylight_gap"]
        assert change.runs == ()

    def test_runs_carry_the_schedules_policies(self) -> None:
        row = _stored(Every("1h"), payload=b"[1]", timeout=5.0, delivery="at_most_once")
        [run] = _change(row, T0 + 3_600_000).runs
        assert (run.spec, run.payload, run.recurring, run.held) == (row.schedule.spec, b"[1]", True, False)

    def test_a_tick_promised_by_old_zone_rules_is_kept(self) -> None:
        """The time zone database changes: the stored next tick is no tick of the trigger any more."""
        stale = T0 + 600_000
        for misfire in get_args(Misfire):
            row = _stored(Every("1h"), misfire=misfire, overlap="allow")
            row = StoredSchedule(row.schedule, msgspec.structs.replace(row.state, next_tick=stale))
            for now in (stale, stale + 120_000):
                change = _change(row, now)
                assert [(tick.scheduled, tick.count) for tick in change.ticks] == [(stale, 1)]
                assert change.after is not None
                assert change.after.state.next_tick == T0 + 3_600_000
            covered, _ = paused_row(row, stale)
            assert covered is not None
            assert (covered.scheduled, covered.until, covered.count) == (stale, stale, 1)


def _change(row: StoredSchedule, now: int, open_runs: OpenRuns = NO_RUNS, **policies: Any) -> Change:
    row = StoredSchedule(msgspec.structs.replace(row.schedule, **policies), row.state)
    change = plan(row, open_runs, now)
    assert change is not None
    return change


class TestOverlap:
    """One run of 11:00 is open; the ticks of 01:00 and 02:00 after it are due, both within grace."""

    NOW = T0 + 2 * 3_600_000
    OPEN = RunKey("s", T0 - 3_600_000)

    def _plan(self, overlap: Overlap, open_runs: OpenRuns | None = None) -> Change:
        row = _stored(Every("1h"), overlap=overlap, grace=86_400)
        return _change(row, self.NOW, open_runs or OpenRuns((self.OPEN,)))

    def test_allow(self) -> None:
        change = self._plan("allow")
        assert [run.held for run in change.runs] == [False, False]
        assert change.cancel == ()

    def test_skip_names_the_run_that_was_open(self) -> None:
        change = self._plan("skip")
        assert [tick.reason for tick in change.ticks] == ["overlap", "overlap"]
        assert change.ticks[0].detail == f"{self.OPEN.id} was still open"

    def test_skip_holds_within_one_plan(self) -> None:
        change = self._plan("skip", NO_RUNS)
        assert [tick.reason for tick in change.ticks] == [None, "overlap"]
        assert change.ticks[1].detail == f"{change.runs[0].id} was still open"

    def test_queue_one(self) -> None:
        change = self._plan("queue_one")
        assert [run.held for run in change.runs] == [True]
        assert [tick.reason for tick in change.ticks] == [None, "overlap"]
        assert change.ticks[1].detail == f"{self.OPEN.id} was still open, and {change.runs[0].id} already waited for it"

    def test_queue_one_names_the_run_that_goes_on_and_the_one_that_waits(self) -> None:
        earlier = RunKey("s", T0 - 7_200_000)
        change = self._plan("queue_one", OpenRuns((earlier, self.OPEN), (earlier,)))
        assert [tick.reason for tick in change.ticks] == ["overlap", "overlap"]
        assert change.ticks[0].detail == f"{self.OPEN.id} was still open, and {earlier.id} already waited for it"

    def test_queue_all(self) -> None:
        assert [run.held for run in self._plan("queue_all").runs] == [True, True]
        assert [run.held for run in self._plan("queue_all", NO_RUNS).runs] == [False, True]

    def test_cancel_previous_leaves_the_latest(self) -> None:
        change = self._plan("cancel_previous")
        assert [run.held for run in change.runs] == [False, False]
        assert change.cancel == (self.OPEN, change.runs[0].key)


class TestPausedRow:
    @given(st.sampled_from(TRIGGERS), st.integers(0, 2 * DAY))
    def test_all_that_passed_is_one_row(self, trigger: AnyTrigger, passed: int) -> None:
        row = _stored(trigger)
        pause = Pause("ann", T0, "holiday")
        row = StoredSchedule(row.schedule, msgspec.structs.replace(row.state, paused=pause))
        now = T0 + passed
        covered, following = paused_row(row, now)
        ticks = _walk(trigger, T0, now)
        assert following == trigger.next_tick(now)
        assert (covered is None) == (not ticks)
        if covered is not None:
            assert _expand([covered], ticks) == [(tick.at, "paused") for tick in ticks]
            assert covered.detail == "paused by ann at 2026-03-28T00:00:00Z (holiday)"

    def test_a_finished_schedule_has_nothing_to_tell(self) -> None:
        row = _stored(At("2026-01-01T00:00:00Z"))
        assert row.state.next_tick is None
        assert paused_row(row, T0) == (None, None)
