"""The near tier: what is due within the horizon, in memory, bounded in count.

Two orders, of schedules by next tick and of pending runs by due time, each a window onto the store: everything up to
`covered` is in the heap, or running, or settled. Work that appears inside the window (accepted by this process,
freed, retried) is added by who made it or, if another process wrote it, found by `rescan`; work beyond it is found
when the window moves on. `known` remembers the runs that were taken from the store and are not settled yet, because
until then the store still calls them pending.
"""

from __future__ import annotations

import bisect
import heapq
import threading
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from rota.core.run import Run, RunKey
from rota.core.schedule import StoredSchedule
from rota.ports.runs import RunStore
from rota.ports.schedules import ScheduleStore

PAGE = 1000


class NearRuns:
    """Pending runs that are due soon."""

    def __init__(self, store: RunStore, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._heap: list[tuple[int, RunKey, Run]] = []
        self._last: Run | None = None
        self.known: set[RunKey] = set()
        self.covered: int = 0
        self.hungry: bool = False
        """There is more to load than the limit allowed; see `settled`."""
        self._lock = threading.Lock()
        self._arrived: list[Run] = []
        self._meanwhile: set[RunKey] = set()
        """What was settled since the store was last asked: its answer may hold them still."""

    def load(self, until: int) -> bool:
        """Move the window on towards `until` by one page; True if there is more to load."""
        self.hungry = len(self.known) >= self._limit
        if self.hungry:
            return False
        page = self._ask(until, PAGE, self._last)
        self._add(page, self._meanwhile)
        if page:
            self._last = page[-1]
        if len(page) == PAGE:
            self.covered = page[-1].due
            return True
        self.covered = max(self.covered, until)
        return False

    def rescan(self) -> set[RunKey] | None:
        """Find what another process wrote into the window, and forget what it cancelled or moved. Answers all that is
        pending in the window; None if that is too much: the window then ends with what was seen, and `load` goes on."""
        limit = min(len(self.known), self._limit) + PAGE
        page = self._ask(self.covered, limit, None)
        pending = {(run.due, RunKey(run.schedule_id, run.scheduled)) for run in page}
        kept = [entry for entry in self._heap if entry[:2] in pending]
        if len(kept) < len(self._heap):
            self.known.difference_update(key for due, key, _ in self._heap if (due, key) not in pending)
            heapq.heapify(kept)
            self._heap = kept
        self._add(page, self._meanwhile)
        if len(page) < limit:
            return {key for _, key in pending}
        self._last, self.covered = page[-1], page[-1].due
        return None

    def _ask(self, until: int, limit: int, after: Run | None) -> list[Run]:
        self._meanwhile = set()
        return self._store.due(until, limit, after)

    def add(self, runs: Iterable[Run]) -> bool:
        """Runs that just became pending; those beyond the window are left to `load`. True if any was taken."""
        return self._add([run for run in runs if run.due <= self.covered and not run.held])

    def _add(self, runs: list[Run], gone: AbstractSet[RunKey] = frozenset()) -> bool:
        """gone: another thread adds to it before it takes from `known`, so `known` is to be looked at first."""
        heap, known = self._heap, self.known
        new = []
        for run in runs:
            key = RunKey(run.schedule_id, run.scheduled)
            if key not in known and key not in gone:
                known.add(key)
                new.append((run.due, key, run))
        if len(new) > len(heap) // 8:
            heap += new
            heap.sort()  # a sorted list is a heap, and sorting what is nearly sorted costs little
        else:
            for entry in new:
                heapq.heappush(heap, entry)
        return bool(new)

    def settled(self, keys: Iterable[RunKey], arrived: Iterable[Run] = ()) -> bool:
        """For any thread: an attempt of these runs ended, and then these became pending. True if there is something for
        `take_in`, or room that `load` lacked."""
        settled = set(keys)
        with self._lock:
            # What arrived before may have been found by a rescan, and be what has ended now.
            self._arrived = [run for run in self._arrived if run.key not in settled]
            self._arrived += arrived
            self._meanwhile.update(settled)
            self.known.difference_update(settled)
            return bool(self._arrived) or (self.hungry and len(self.known) <= self._limit // 2)

    def take_in(self) -> None:
        """Add what arrived."""
        with self._lock:
            arrived, self._arrived = self._arrived, []
            self.add(arrived)

    def take(self, now: int) -> list[tuple[RunKey, Run]]:
        """Remove and answer the runs due at `now`."""
        heap = self._heap
        if heap and heap[0][0] <= now and len(heap) > PAGE // 2:
            heap.sort()
            cut = bisect.bisect_right(heap, now, key=lambda entry: entry[0])
            taken, self._heap = heap[:cut], heap[cut:]
            return [(key, run) for _, key, run in taken]
        found = []
        while heap and heap[0][0] <= now:
            _, key, run = heapq.heappop(heap)
            found.append((key, run))
        return found

    def next_due(self) -> int | None:
        return self._heap[0][0] if self._heap else None


class NearSchedules:
    """Schedules whose next tick is soon. Those that were put off (see `put_off`) are kept apart: they are taken as
    their tick comes, not ahead of it."""

    def __init__(self, store: ScheduleStore, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._order: list[tuple[int, str]] = []
        self._put_off: list[tuple[int, str]] = []
        self._rows: dict[str, StoredSchedule] = {}
        self._last: tuple[int, str] | None = None
        self.covered: int = 0

    def load(self, until: int) -> bool:
        """Move the window on towards `until` by one page; True if there is more to load."""
        if len(self._rows) >= self._limit:
            return False
        return self._extend(self._store.due(until, PAGE, self._last), PAGE, max(self.covered, until))

    def rescan(self) -> None:
        """Find what others created or changed inside the window, and forget what is not there any more."""
        limit = len(self._rows) + PAGE
        self._rows.clear()
        self._order.clear()
        self._put_off.clear()
        self._extend(self._store.due(self.covered, limit), limit, self.covered)

    def _extend(self, page: list[StoredSchedule], limit: int, until: int) -> bool:
        """Take a page in. If it is full, the window ends with it; else it reaches to `until`."""
        for row in page:
            self._rows[row.id] = row
            self._order.append((row.state.next_tick or 0, row.id))
        self._order.sort()
        if page:
            self._last = (page[-1].state.next_tick or 0, page[-1].id)
        full = len(page) == limit
        self.covered = self._last[0] if full and self._last else until
        return full

    def put(self, row: StoredSchedule) -> None:
        """The state of a schedule after a decision."""
        at = row.state.next_tick
        if at is not None and at <= self.covered and row.state.paused is None:
            self._rows[row.id] = row
            bisect.insort(self._order, (at, row.id))

    def put_off(self, rows: Iterable[StoredSchedule]) -> None:
        """Put back what was taken ahead of its tick and cannot be decided yet."""
        for row in rows:
            self._rows[row.id] = row
            bisect.insort(self._put_off, (row.state.next_tick or 0, row.id))

    def take(self, until: int, limit: int) -> list[StoredSchedule]:
        """Remove and answer up to `limit` schedules that tick at or before `until`."""
        taken = self._cut(self._put_off, until, limit)
        return taken + self._cut(self._order, until, limit - len(taken))

    def take_ahead(self, until: int, limit: int) -> list[StoredSchedule]:
        """The same, without those that were put off."""
        return self._cut(self._order, until, limit)

    def _cut(self, order: list[tuple[int, str]], until: int, limit: int) -> list[StoredSchedule]:
        end = min(limit, bisect.bisect_right(order, until, key=lambda entry: entry[0]))
        entries = order[:end]
        del order[:end]
        taken = []
        for at, name in entries:
            row = self._rows.get(name)
            if row is not None and row.state.next_tick == at:
                del self._rows[name]
                taken.append(row)
        return taken

    def crowd(self, within: int) -> tuple[int, int] | None:
        """The earliest tick that was not put off, and how many there are from it on `within` so many milliseconds."""
        if not self._order:
            return None
        first = self._order[0][0]
        return first, bisect.bisect_right(self._order, first + within, key=lambda entry: entry[0])

    def next_put_off(self) -> int | None:
        return self._put_off[0][0] if self._put_off else None
