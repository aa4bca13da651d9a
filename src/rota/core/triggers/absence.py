"""Why a wall-clock time has no tick: clocks were put forward over it, or it comes twice."""

from __future__ import annotations

from datetime import UTC

from rota.core.triggers.daylight import Evaluator, Reading
from rota.core.triggers.instants import to_datetime
from rota.core.triggers.zones import Segment

_IN_GAP = {
    Reading.ELAPSED: "a sub-daily schedule goes on with the time that passes",
    Reading.FIRST_MOVED: "its tick stands at the end of the gap",
    Reading.FIRST: 'dst="aws" skips it',
    Reading.SECOND: 'dst="quartz" skips it',
}


def absence_in_words(ticks: Evaluator, at: int) -> str | None:
    """None where daylight saving does not explain it. `at` in epoch seconds."""
    segment = ticks.zone.segment(at)
    lost = _lost(ticks, segment, at)
    if lost is None:
        segment = ticks.zone.segment(segment.end)
        lost = _lost(ticks, segment, at)
    if lost is None:
        return _repeated(ticks, at)
    end = segment.start + segment.offset
    skipped = f"{_wall(lost)} does not exist in {ticks.zone.name}: clocks go forward to {_wall(end)}"
    return f"{skipped}; {_IN_GAP[ticks.reading]}"


def _lost(ticks: Evaluator, segment: Segment, at: int) -> int | None:
    """The wall time of the schedule in the gap before `segment` that `at` speaks of.

    Such a time has no instant of its own: it arrives here read with the offset before the gap, with the one after
    it, or as the gap's end.
    """
    begin, end = segment.start + segment.before, segment.start + segment.offset
    if at == segment.start:
        found = ticks.wall.next(begin)
        return found if found is not None and found < end else None
    for local in (at + segment.before, at + segment.offset):
        if begin <= local < end and ticks.wall.holds(local):
            return local
    return None


def _repeated(ticks: Evaluator, at: int) -> str | None:
    segment = ticks.zone.segment(at)
    local = at + segment.offset
    if ticks.reading is Reading.ELAPSED or not ticks.wall.holds(local):
        return None
    if local < segment.start + segment.before:
        which, fired = "first", local - segment.before
    elif local >= segment.end + segment.after:
        which, fired = "second", local - segment.after
    else:
        return None
    shown = to_datetime(fired * 1000, ticks.zone.info).isoformat()
    return f"{_wall(local)} comes twice in {ticks.zone.name}, as clocks go back; it fires the {which} time, at {shown}"


def _wall(local: int) -> str:
    return to_datetime(local * 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
