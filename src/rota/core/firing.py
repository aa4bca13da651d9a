"""What becomes of the ticks that are due: the decision at the heart of rota.

`plan` looks at one schedule, the number of its runs that are open, and the time, and answers with one `Change`: a
ledger row for every due tick, the runs that fire, and the next state. It is pure; a store carries the change out in
one transaction, and only if nobody changed the schedule in between. So a crash leaves either all of a decision or
nothing of it, and the next engine decides again from the same state: each tick gets exactly one row, and `fired`
counts what was accepted.

A tick later than the grace period is a misfire. With one or more misfires among the due ticks:
    skip      the misfired ones are one skipped row; those within grace fire
    once      the latest due tick fires, all before it are one skipped row
    earliest  the earliest due tick fires, all after it are one skipped row
    all       every one fires, a page at a time
Ranges are counted by the trigger's arithmetic, not walked, so a year offline costs no more than a minute. Ticks that
the trigger itself skips (excluded, daylight gap) get rows of their own, except inside a range, whose reason they
share.
"""

from __future__ import annotations

from rota.core.run import Run, RunKey
from rota.core.schedule import Change, Schedule, SkipReason, State, StoredSchedule, TickRow
from rota.core.triggers import Tick, jitter_ms

PAGE = 1000


class OpenRuns:
    """The open runs of one schedule, as `plan` needs them, earliest first. keys: every one; held: those of them that
    wait for another."""

    __slots__ = ("held", "keys")

    def __init__(self, keys: tuple[RunKey, ...] = (), held: tuple[RunKey, ...] = ()) -> None:
        self.keys: tuple[RunKey, ...] = keys
        self.held: tuple[RunKey, ...] = held


NO_RUNS = OpenRuns()


class _Decision:
    """The rows and runs of one plan while it is made."""

    def __init__(self, stored: StoredSchedule, open_runs: OpenRuns, now: int) -> None:
        self.schedule: Schedule = stored.schedule
        self.state: State = stored.state
        self.now = now
        self.fired = stored.state.fired
        self.open = len(open_runs.keys)
        self.held = list(open_runs.held)
        self.keys = open_runs.keys
        self.ticks: list[TickRow] = []
        self.runs: list[Run] = []
        self.cancel: list[RunKey] = []

    @property
    def exhausted(self) -> bool:
        limit = self.schedule.max_executions
        return limit is not None and self.fired >= limit

    def skip(self, first: int, last: int, count: int, reason: SkipReason, detail: str = "") -> None:
        if count:
            self.ticks.append(TickRow(self.schedule.id, first, "skipped", self.now, reason, detail, count, last))

    def take(self, tick: Tick) -> None:
        """One tick whose turn it is: fire it unless the trigger, the limit or the overlap policy says otherwise."""
        if tick.skip is not None:
            self.skip(tick.at, tick.at, 1, tick.skip)  # type: ignore[arg-type]
            return
        if self.exhausted:
            self.skip(tick.at, tick.at, 1, "max_executions")
            return
        schedule, held = self.schedule, False
        if self.open and schedule.overlap != "allow":
            if schedule.overlap == "skip" or (schedule.overlap == "queue_one" and self.held):
                self.skip(tick.at, tick.at, 1, "overlap", self._in_the_way())
                return
            if schedule.overlap == "cancel_previous":
                self.cancel += [key for key in (*self.keys, *(run.key for run in self.runs)) if key not in self.cancel]
            else:
                held = True
                self.held.append(RunKey(schedule.id, tick.at))
        due = tick.at
        if schedule.trigger.jitter:
            due += jitter_ms(RunKey(schedule.id, tick.at).id, schedule.trigger.jitter)
        self.runs.append(Run(schedule.id, tick.at, due, schedule.spec, schedule.payload, recurring=True, held=held))
        self.ticks.append(TickRow(schedule.id, tick.at, "fired", self.now))
        self.open += 1
        self.fired += 1

    def _in_the_way(self) -> str:
        """Which run is going on, and under `queue_one` also which one waits for it."""
        opened = (*self.keys, *(run.key for run in self.runs))
        if self.schedule.overlap == "skip":
            return f"{opened[0].id} was still open"
        going = next((key for key in opened if key not in self.held), opened[0])
        return f"{going.id} was still open, and {self.held[0].id} already waited for it"

    def change(self, following: Tick | None) -> Change:
        if self.exhausted:
            following = None
        state = State(
            following.at if following else None,
            following.skip if following else None,
            self.fired,
            self.state.paused,
            self.state.version + 1,
            self.state.created,
            self.state.updated,
        )
        after = StoredSchedule(self.schedule, state)
        return Change(
            self.schedule.id,
            self.state.version,
            after,
            tuple(self.ticks),
            tuple(self.runs),
            tuple(self.cancel),
            at=self.now,
        )


def plan(stored: StoredSchedule, open_runs: OpenRuns, now: int, lead: int = 0, page: int = PAGE) -> Change | None:
    """Decide on the ticks due up to `now + lead` (epoch ms); None if there are none.

    lead: how far ahead of its time a tick may be decided, so that its run can start on the millisecond. page: at most
    this many ticks are walked; what is left is decided by the next plan, at once."""
    state, trigger = stored.state, stored.schedule.trigger
    until = now + lead
    if state.next_tick is None or state.paused is not None or state.next_tick > until:
        return None
    decision = _Decision(stored, open_runs, now)
    tick: Tick | None = Tick(state.next_tick, state.next_skip)
    assert tick is not None
    first, misfire = tick.at, stored.schedule.misfire
    cutoff = now - round(stored.schedule.grace * 1000)
    if first < cutoff and misfire != "all":
        if trigger.next_tick(first - 1) != tick:
            # The time zone's rules changed since: what was promised stands, and the new rules hold after it.
            decision.take(tick)
            tick = trigger.next_tick(first)
        if tick is not None and tick.at < cutoff:
            tick = _collapse(decision, tick.at, cutoff, until)
    walked = 0
    while tick is not None and tick.at <= until:
        if decision.exhausted:
            last = trigger.latest_tick(tick.at - 1, until) or tick
            count = max(1, trigger.count_ticks(tick.at - 1, last.at))
            decision.skip(tick.at, last.at, count, "max_executions")
            return decision.change(None)
        if walked == page:
            break
        decision.take(tick)
        tick = trigger.next_tick(tick.at)
        walked += 1
    return decision.change(tick)


def _collapse(decision: _Decision, first: int, cutoff: int, until: int) -> Tick | None:
    """Deal with a backlog whose first tick is a misfire, as the policy says; answers the tick to go on from."""
    trigger, misfire = decision.schedule.trigger, decision.schedule.misfire
    detail = f"later than the grace period of {decision.schedule.grace:g} s"
    if misfire == "skip":
        last = trigger.latest_tick(first - 1, cutoff - 1)
        assert last is not None
        decision.skip(first, last.at, trigger.count_ticks(first - 1, last.at), "misfire", detail)
        return trigger.next_tick(last.at)
    end = trigger.latest_tick(first - 1, until)
    assert end is not None
    chosen = _firing(decision, first, end.at, latest=misfire == "once")
    if chosen is None:
        decision.skip(first, end.at, trigger.count_ticks(first - 1, end.at), "misfire", detail)
        return trigger.next_tick(end.at)
    note = f"{detail}; {RunKey(decision.schedule.id, chosen).id} stands for it"
    before = trigger.latest_tick(first - 1, chosen - 1)
    if before is not None:
        decision.skip(first, before.at, trigger.count_ticks(first - 1, before.at), "misfire", note)
    decision.take(Tick(chosen, None))
    if chosen < end.at:
        after = trigger.next_tick(chosen)
        assert after is not None
        decision.skip(after.at, end.at, trigger.count_ticks(chosen, end.at), "misfire", note)
    return trigger.next_tick(end.at)


def _firing(decision: _Decision, first: int, last: int, *, latest: bool) -> int | None:
    """The latest (or earliest) tick of [first, last] that the trigger does not itself skip."""
    trigger = decision.schedule.trigger
    if latest:
        return trigger.latest_fired(first - 1, last)
    at = trigger.next_fired(first - 1)
    return at if at is not None and at <= last else None


def paused_row(stored: StoredSchedule, now: int) -> tuple[TickRow | None, Tick | None]:
    """The ledger row for the ticks that passed while `stored` was paused, and the tick to go on from."""
    state, trigger = stored.state, stored.schedule.trigger
    if state.next_tick is None:
        return None, None
    if state.next_tick > now:
        return None, Tick(state.next_tick, state.next_skip)
    last = trigger.latest_tick(state.next_tick - 1, now) or Tick(state.next_tick, None)
    count = max(1, trigger.count_ticks(state.next_tick - 1, last.at))
    row = TickRow(stored.id, state.next_tick, "skipped", now, "paused", str(state.paused), count, last.at)
    return row, trigger.next_tick(last.at)
