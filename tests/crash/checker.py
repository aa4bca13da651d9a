"""Was every promise kept? In the manner of the Jepsen analysis of Chronos: what should have happened is computed anew,
from the triggers and the acknowledgements, and held against the ledger and what the tasks themselves wrote down.

    ledger       every nominal tick, from the creation of its schedule to the last one decided, is covered by exactly
                 one row, and no row covers or counts anything else
    firings      a run belongs to every fired tick and to no skipped one; no more than max_executions
    one-offs     what was acknowledged is stored, and ran: at least once, or at most once
    attempts     nothing runs that was not accepted, nor early; attempts of a run are numbered from 1, never backwards,
                 and those without a trace are recorded as cut off; one engine runs an attempt once, and no two runs
                 of a schedule at once unless it allows that
    end          nothing is open, and the file is sound

The checker uses of rota only the triggers (which have vectors of their own) and never the code that decides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from tests.crash.history import History, Kept, Line, Row

from rota.core.ids import parse_run_id, run_id
from rota.core.schedule import StoredSchedule
from rota.core.triggers import At

ENDED = frozenset({"succeeded", "failed", "cancelled", "interrupted"})
ONE_AT_A_TIME = frozenset({"skip", "queue_one", "queue_all"})


def check(history: History) -> list[str]:
    """What was not kept, in sentences; none if all was."""
    return [
        *history.damage,
        *_ledger(history),
        *_firings(history),
        *_one_offs(history),
        *_attempts(history),
        *_lives(history),
        *_end(history),
    ]


def nominal_ticks(made: StoredSchedule, until: int) -> list[int]:
    """The ticks of a schedule from its creation, as `made` says, to `until`."""
    trigger, after = made.schedule.trigger, made.state.created
    if isinstance(trigger, At):
        after = -1
    found: list[int] = []
    while (tick := trigger.next_tick(after)) is not None and tick.at <= until:
        after = tick.at
        found.append(after)
    return found


def _decided_until(history: History, name: str) -> int:
    """The last instant up to which ticks were decided: before the next one, or the ledger's end if there is none."""
    stored = history.stored.get(name)
    if stored is not None and stored.state.next_tick is not None:
        return stored.state.next_tick - 1
    return max((row.last for row in history.ledger.get(name, ())), default=-1)


def _ledger(history: History) -> Iterator[str]:
    for name in sorted(history.ledger.keys() - history.created.keys()):
        yield f"ledger rows of {name}, which nobody created"
    for name, made in history.created.items():
        ticks = nominal_ticks(made, _decided_until(history, name))
        rows = sorted(history.ledger.get(name, ()))
        yield from (f"{name}: {problem}" for problem in _tiles(ticks, rows))


def _tiles(ticks: list[int], rows: list[Row]) -> Iterator[str]:
    """Whether `rows` cover each of `ticks` once, and nothing else."""
    covered = Counter[int]()
    at = 0
    for row in rows:
        inside = []
        while at > 0 and ticks[at - 1] >= row.first:
            at -= 1
        while at < len(ticks) and ticks[at] <= row.last:
            if ticks[at] >= row.first:
                inside.append(ticks[at])
            at += 1
        covered.update(inside)
        if not inside or inside[0] != row.first or inside[-1] != row.last:
            yield f"the ledger row {row} does not begin and end at a tick"
        elif len(inside) != row.ticks:
            yield f"the ledger row {row} covers {len(inside)} ticks"
        if row.outcome == "fired" and row.ticks != 1:
            yield f"the ledger row {row} stands for several firings"
    for tick in ticks:
        if covered[tick] != 1:
            yield f"tick {tick} has {covered[tick]} ledger rows"


def _firings(history: History) -> Iterator[str]:
    ran: dict[str, set[str]] = defaultdict(set)
    for line in history.lines:
        if line.kind == "begin":
            ran[parse_run_id(line.run)[0]].add(line.run)
    by_schedule: dict[str, list[tuple[str, Kept]]] = defaultdict(list)
    for name, run in history.runs.items():
        by_schedule[run.schedule_id].append((name, run))
    for name, made in history.created.items():
        rows = history.ledger.get(name, [])
        fired = {run_id(name, row.first) for row in rows if row.outcome == "fired"}
        for missing in sorted(fired - history.runs.keys()):
            yield f"{missing} was fired, but there is no such run"
        by_hand = {run.id for run in history.one_offs.values()}
        ticks = {run_id(name, at) for at in nominal_ticks(made, _decided_until(history, name))}
        for one, _ in by_schedule[name]:
            if one in ticks and one not in fired and one not in by_hand:
                yield f"{one} is a run, but its tick did not fire"
        limit = made.schedule.max_executions
        if limit is not None:
            if len(fired) > limit:
                yield f"{name}: {len(fired)} ticks fired, of at most {limit}"
            if len(ran[name] & ticks) > limit:
                yield f"{name}: {len(ran[name] & ticks)} of its runs were seen, of at most {limit}"
        stored = history.stored.get(name)
        if stored is not None and stored.state.fired != len(fired):
            yield f"{name}: {len(fired)} ticks fired, but it counts {stored.state.fired}"


def _one_offs(history: History) -> Iterator[str]:
    begun = Counter(line.run for line in history.lines if line.kind == "begin")
    for name, one_off in history.one_offs.items():
        kept = history.runs.get(name)
        if kept is None:
            yield f"{name} was acknowledged, but is not stored"
        elif kept.state != "cancelled" or not one_off.may_be_cancelled:
            if kept.state == "cancelled":
                yield f"{name} was cancelled, which nobody asked for"
            if one_off.delivery == "at_least_once" and not begun[name]:
                yield f"{name} was acknowledged, but never ran"
    for name, run in history.runs.items():
        if run.delivery == "at_most_once" and begun[name] > 1:
            yield f"{name} ran {begun[name]} times, of at most once"
        if run.state == "succeeded" and not begun[name]:
            yield f"{name} succeeded, but never ran"
        if run.delivery == "at_least_once" and run.state == "interrupted":
            yield f"{name} was given up as interrupted, though it is delivered at least once"


def _attempts(history: History) -> Iterator[str]:
    last: dict[str, int] = {}
    for line in history.lines:
        if line.kind != "begin":
            continue
        if line.run not in history.runs:
            yield f"{line.run} ran, but was never accepted"
        scheduled = parse_run_id(line.run)[1]
        if line.at < scheduled:
            yield f"{line.run} began {scheduled - line.at} ms early"
        before = last.get(line.run, 0)
        unseen = {(line.run, number) for number in range(before + 1, line.attempt)}
        if line.attempt < max(before, 1) or not unseen <= history.cut_off:
            yield f"{line.run}: attempt {line.attempt} came after attempt {before}"
        last[line.run] = line.attempt
    for name, run in history.runs.items():
        if run.state in ("succeeded", "failed") and run.attempt < last.get(name, 0):
            yield f"{name}: attempt {last[name]} was seen, {run.attempt} is recorded"


def _lives(history: History) -> Iterator[str]:
    """One engine at a time, and each runs an attempt once. What a dead engine had begun is over."""
    begun: set[tuple[str, int]] = set()
    going: dict[str, set[str]] = {}
    life, dead, by_hand = "", set[str](), _by_hand(history)
    for line in history.lines:
        if line.life in dead:
            yield f"engine {line.life} wrote after its successor"
        if line.life != life:
            dead.add(life)
            life, begun, going = line.life, set(), defaultdict(set)
        yield from _step(history, line, begun, going, by_hand)


def _by_hand(history: History) -> set[str]:
    """The runs that no tick stands for. Those acknowledged are not all: who asked for one may have been killed before
    writing that down."""
    found = set(history.one_offs)
    for name, made in history.created.items():
        ticks = set(nominal_ticks(made, _decided_until(history, name)))
        found |= {one for one, run in history.runs.items() if run.schedule_id == name and run.scheduled not in ticks}
    return found


def _step(
    history: History, line: Line, begun: set[tuple[str, int]], going: dict[str, set[str]], by_hand: set[str]
) -> Iterable[str]:
    problems: list[str] = []
    if line.kind == "ready":
        return problems
    name = line.run.partition("@")[0]
    if line.kind == "begin":
        if (line.run, line.attempt) in begun:
            problems.append(f"{line.run}: engine {line.life} ran attempt {line.attempt} twice")
        made = history.created.get(name)
        if made is not None and made.schedule.overlap in ONE_AT_A_TIME and line.run not in by_hand:
            others = going[name] - {line.run} - by_hand
            problems += [f"{line.run} began while {other} was going on" for other in sorted(others)]
        begun.add((line.run, line.attempt))
        going[name].add(line.run)
    else:
        going[name].discard(line.run)
    return problems


def _end(history: History) -> Iterator[str]:
    for name, run in history.runs.items():
        if run.state not in ENDED:
            yield f"{name} is {run.state} still"
