"""Every store: two writers at once, thousands of ids, and each thing happens once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest

from rota.core.errors import ExistsError
from rota.core.run import RunKey
from rota.ports.queues import NewMessage
from rota.ports.runs import RunQuery
from rota.ports.schedules import ScheduleQuery
from rota.testing.conformance.values import (
    T0,
    begun,
    change,
    ended,
    fired,
    one_off,
    recurring,
    skipped,
    stored,
)
from rota.testing.stores import Stores

T = TypeVar("T")
Rivals = tuple[Stores, Stores]
STEP = 100


@pytest.fixture
def rivals(stores: Stores) -> Rivals:
    """Two doors to the same data; override it where another process would open a connection of its own."""
    return stores, stores


def _both(rivals: Rivals, work: Callable[[Stores, int], T]) -> tuple[T, T]:
    """What `work` answers for each rival; both begin at the same moment."""
    ready = Barrier(2)

    def begin(number: int) -> T:
        ready.wait()
        return work(rivals[number], number)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(begin, (0, 1))
    return first, second


def _steps(total: int, number: int) -> Iterable[range]:
    """Ranges that cover `total`, forwards for one rival and backwards for the other, so that they meet."""
    starts = range(0, total, STEP)
    return (range(start, min(start + STEP, total)) for start in (reversed(starts) if number else starts))


class TestRaces:
    count = 10_000

    def test_each_run_is_claimed_once(self, rivals: Rivals) -> None:
        runs = [one_off(f"r{n:05}") for n in range(self.count)]
        rivals[0].runs.accept(runs)

        def claim(stores: Stores, number: int) -> list[RunKey]:
            won: list[RunKey] = []
            for step in _steps(self.count, number):
                claims = [begun(runs[n], T0 + number) for n in step]
                won += [claims[n].run.key for n, mine in enumerate(stores.runs.claim(claims)) if mine]
            return won

        first, second = _both(rivals, claim)
        assert Counter(first + second) == Counter(run.key for run in runs)
        owners = {claimed.run.key: claimed.started for claimed in rivals[1].runs.running()}
        assert owners == dict.fromkeys(first, T0) | dict.fromkeys(second, T0 + 1)

    def test_each_tick_is_decided_once(self, rivals: Rivals) -> None:
        rows = [stored(f"s{n:05}") for n in range(self.count)]
        rivals[0].schedules.create(rows)

        def decide(stores: Stores, number: int) -> int:
            won = 0
            for step in _steps(self.count, number):
                changes = []
                for n in step:
                    name = rows[n].id
                    tick = skipped(name, T0, T0, 1) if number else fired(name, T0)
                    run = recurring(name, T0 + 1 + number)
                    changes.append(change(rows[n], ticks=(tick,), runs=(run,), fired=1 + number))
                won += sum(stores.schedules.apply(changes))
            return won

        assert sum(_both(rivals, decide)) == self.count
        after = rivals[1].schedules.list(ScheduleQuery(limit=self.count + 1))
        assert len(after) == self.count
        assert {row.state.version for row in after} == {2}
        pending = {run.schedule_id: run.scheduled for run in rivals[1].runs.due(2**60, 2 * self.count)}
        assert pending == {row.id: T0 + row.state.fired for row in after}
        for row in after[:: self.count // 100]:
            [tick] = rivals[0].schedules.ticks(row.id, 0, 2**60, 10)
            assert (tick.outcome == "fired") == (row.state.fired == 1)

    def test_an_id_is_given_once(self, rivals: Rivals) -> None:
        total = self.count // 10

        def create(stores: Stores, number: int) -> int:
            won = 0
            for n in range(total) if number else reversed(range(total)):
                try:
                    stores.schedules.create([stored(f"s{n:05}", T0 + number)])
                    won += 1
                except ExistsError:
                    pass
            return won

        assert sum(_both(rivals, create)) == total
        assert len(rivals[0].schedules.list(ScheduleQuery(limit=2 * total))) == total

    def test_a_run_is_accepted_once(self, rivals: Rivals) -> None:
        total = self.count // 10

        def accept(stores: Stores, number: int) -> int:
            won = 0
            for n in range(total) if number else reversed(range(total)):
                try:
                    stores.runs.accept([one_off(f"r{n:05}"), one_off(f"mine{number}-{n:05}")])
                    won += 1
                except ExistsError:
                    pass
            return won

        assert sum(_both(rivals, accept)) == total
        names = [run.schedule_id for run in rivals[1].runs.due(T0, 10 * total)]
        assert len(names) == len(set(names)) == 2 * total

    def test_each_held_run_is_released_once(self, rivals: Rivals) -> None:
        names = [f"s{n:03}" for n in range(self.count // 100)]
        rivals[0].runs.accept([recurring(name, T0 + n, held=n > 0) for name in names for n in range(5)])

        def drain(stores: Stores, _: int) -> list[RunKey]:
            released = []
            for name in names:
                for n in range(5):
                    released += [run.key for run in stores.runs.settle([ended(recurring(name, T0 + n))])]
            return released

        first, second = _both(rivals, drain)
        assert not [key for key, times in Counter(first + second).items() if times > 1]
        assert rivals[0].runs.due(2**60, self.count) == []
        assert len(rivals[1].runs.list(RunQuery(state="succeeded", limit=self.count))) == 5 * len(names)

    def test_a_message_has_one_receiver(self, rivals: Rivals) -> None:
        messages = [NewMessage("q", b"%d" % n, T0) for n in range(self.count)]
        rivals[0].queues.send(messages, T0)

        def receive(stores: Stores, _: int) -> list[bytes]:
            got: list[bytes] = []
            while page := stores.queues.receive("q", STEP, 60_000, T0):
                got += [message.body for message in page]
                assert all(stores.queues.ack([message.receipt for message in page]))
            return got

        first, second = _both(rivals, receive)
        assert Counter(first + second) == Counter(message.body for message in messages)
        assert rivals[1].queues.sizes().get("q", 0) == 0
