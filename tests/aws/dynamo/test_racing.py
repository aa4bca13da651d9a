"""Creators and feeders at once: whatever the order of their steps, nothing is lost."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.aws.dynamo.conftest import DynamoStores
from tests.aws.dynamo.feeding import LEASE, feed, feed_shard, names
from tests.aws.dynamo.metering import Metered

from rota.aws.dynamo.far import SETTLED, DynamoFar
from rota.aws.dynamo.keys import spread
from rota.aws.dynamo.places import SHARDS, STALE
from rota.aws.dynamo.runs import DynamoRuns
from rota.aws.dynamo.table import Table
from rota.core.errors import ExistsError
from rota.core.run import Run
from rota.ports.far_tier import AnyDue
from rota.ports.runs import RunQuery
from rota.testing.clock import FakeClock
from rota.testing.conformance.values import HOUR, T0, begun, ended, one_off

NOW = T0
_examples = itertools.count(1)


def create(stores: DynamoStores | DynamoRuns, far: DynamoFar, run: Run) -> list[str]:
    """What a writer does: store, then look at the fence; answers what it hands over itself."""
    runs = stores if isinstance(stores, DynamoRuns) else stores.runs
    runs.accept([run])
    return [run.schedule_id] if run.due <= far.fences([run.schedule_id])[run.schedule_id] else []


def handed(entries: list[AnyDue]) -> list[str]:
    return names(entries)


class TestFeedersAndCreators:
    def test_each_run_is_seen_by_the_feeder_or_by_who_made_it(self, table: Table, stores: DynamoStores) -> None:
        runs = [one_off(f"r{n:03}", T0 + random.Random(n).randrange(HOUR // 4)) for n in range(300)]
        far, over = DynamoFar(table), threading.Event()
        until = [T0]

        def feeder() -> list[str]:
            found: list[str] = []
            while True:
                last = over.is_set()
                until[0] += HOUR // 40
                found += handed(feed(DynamoFar(table), min(until[0], T0 + HOUR), NOW, "feeder"))
                if last and until[0] >= T0 + HOUR:
                    return found

        def creator(part: int) -> list[str]:
            store = DynamoRuns(table)
            return [name for run in runs[part::3] for name in create(store, far, run)]

        with ThreadPoolExecutor(4) as pool:
            feeding = pool.submit(feeder)
            made = [name for part in pool.map(creator, range(3)) for name in part]
            over.set()
            fed = feeding.result()
        assert set(fed) | set(made) == {run.schedule_id for run in runs}
        assert set(made), "the race took place"
        assert max(Counter(fed).values()) == 1

    def test_two_feeders_share_the_shards_and_lose_nothing(self, table: Table, stores: DynamoStores) -> None:
        runs = [one_off(f"r{n:03}", T0 + n * 10_000) for n in range(200)]
        stores.runs.accept(runs)

        def feeder(name: str) -> list[str]:
            far, found = DynamoFar(table), list[str]()
            for step in range(1, 11):
                found += handed(feed(far, T0 + step * 200_000, NOW, name))
            return found

        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(feeder, ["one", "two"])
        late = handed(feed(DynamoFar(table), T0 + 2_000_000, NOW + LEASE, "last"))
        assert Counter(first + second + late) == Counter(run.schedule_id for run in runs)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_in_every_order_of_steps(self, table: Table, data: st.DataObject) -> None:
        """The steps of a feeder and a writer, one request each, in any order that each of them would make them in."""
        number = next(_examples)
        start = T0 + number * 50 * HOUR
        until = start + 20 * HOUR
        run = one_off(f"x{number}", start + data.draw(st.integers(1, 40)) * HOUR)
        turns = data.draw(st.lists(st.booleans(), min_size=30, max_size=30))
        relay = _Relay(turns)
        writer_table, feeder_table = relay.table(table, who=True), relay.table(table, who=False)
        far = DynamoFar(feeder_table)
        [shard] = [one for one in DynamoFar(table).shards() if one.number == spread(run.schedule_id, SHARDS)]

        def write() -> list[str]:
            try:
                return create(DynamoRuns(writer_table), DynamoFar(writer_table), run)
            finally:
                relay.leave(who=True)

        def read() -> list[str]:
            try:
                return handed(feed_shard(far, shard, until, NOW))
            finally:
                relay.leave(who=False)

        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(write), pool.submit(read)]
            seen = [name for one in both for name in one.result()]
        if run.due <= until:
            assert run.schedule_id in seen
        else:
            assert run.schedule_id not in seen


class _Relay:
    """Lets one of two threads make a request at a time, in the order that was drawn."""

    def __init__(self, turns: list[bool]) -> None:
        self._turns = turns
        self._gone: set[bool] = set()
        self._changed = threading.Condition()

    def table(self, table: Table, *, who: bool) -> Table:
        client = Metered(table._client)
        client.before = lambda _method, _arguments: self._wait(who)
        return Table(client, table.name)

    def _wait(self, who: bool) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._turns or self._turns[0] == who or self._turns[0] in self._gone)
            if self._turns:
                self._turns.pop(0)
            self._changed.notify_all()

    def leave(self, *, who: bool) -> None:
        with self._changed:
            self._gone.add(who)
            self._changed.notify_all()


class TestGenerations:
    def test_what_is_in_an_older_generation_is_read_and_found(self, table: Table, stores: DynamoStores) -> None:
        far = DynamoFar(table)
        old = [one_off(f"old{n}", T0 + n) for n in range(20)]
        stores.runs.accept(old)
        assert len(far.resize(3, NOW)) == SHARDS + 3
        new = [one_off(f"new{n}", T0 + n) for n in range(20)]
        runs = DynamoRuns(table)
        runs.accept(new)
        assert sorted(handed(feed(far, T0 + 50, NOW))) == sorted(run.schedule_id for run in old + new)
        assert all(runs.claim([begun(run) for run in old + new]))
        runs.settle([ended(run) for run in old + new])
        assert len(runs.list(RunQuery(state="succeeded", limit=100))) == 40
        assert all(runs.get(run.key) is not None for run in old + new)

    def test_a_process_that_has_not_heard_of_it_loses_nothing_and_is_not_lost(self, table: Table) -> None:
        clock = FakeClock(T0)
        stale, far = DynamoRuns(table, clock=clock), DynamoFar(table, clock=clock)
        stale.accept([one_off("before")])
        feed(far, T0 + HOUR, NOW)
        far.resize(4, NOW)
        fresh = DynamoRuns(table, clock=clock)
        run = one_off("elsewhere", T0 + 2 * HOUR)
        fresh.accept([run])
        assert stale.claim([begun(run)]) == [True], "a miss makes it ask again"
        blind = DynamoRuns(table, clock=FakeClock(T0))
        blind.get(run.key)
        far.resize(5, NOW)
        late = one_off("late", T0 + 30)
        assert create(blind, far, late) == ["late"], "it writes to the older one, whose fence counts"

    def test_who_asks_for_fences_hears_of_a_generation_that_another_wrote_to(self, table: Table) -> None:
        unaware = DynamoFar(table, clock=FakeClock(T0))
        unaware.fences(["late"])
        DynamoFar(table).resize(3, NOW)
        for shard in DynamoFar(table).shards():
            if shard.generation == 2:
                feed_shard(DynamoFar(table), shard, T0 + HOUR, NOW)
        late = one_off("late", T0 + 30)
        assert create(DynamoRuns(table), unaware, late) == ["late"]

    def test_a_generation_is_dropped_when_nothing_of_it_is_ahead_and_nobody_writes_to_it(
        self, table: Table, stores: DynamoStores
    ) -> None:
        far = DynamoFar(table)
        stores.runs.accept([one_off("far-away", T0 + 20 * HOUR)])
        far.resize(2, NOW)
        assert len(far.resize(2, NOW + SETTLED - 1)) == SHARDS + 2, "somebody may still write to it"
        assert len(far.resize(2, NOW + SETTLED)) == SHARDS + 2, "an entry is ahead"
        feed(far, T0 + 21 * HOUR, NOW)
        assert [shard.generation for shard in far.resize(2, NOW + SETTLED)] == [2, 2]
        assert stores.runs.get(one_off("far-away", T0 + 20 * HOUR).key) is not None

    def test_the_id_of_an_open_run_in_an_older_generation_is_taken(self, table: Table, stores: DynamoStores) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        DynamoFar(table).resize(3, NOW)
        newer = DynamoRuns(table)
        with pytest.raises(ExistsError):
            newer.accept([run])
        newer.settle([ended(run)])
        newer.accept([run])
        assert [record.state for record in newer.list(RunQuery())] == ["pending"]

    def test_under_load_nothing_is_lost(self, table: Table) -> None:
        runs = [one_off(f"r{n:03}", T0 + (n * 7919) % HOUR) for n in range(400)]
        over = threading.Event()

        def creator(part: int) -> list[str]:
            clock = FakeClock(T0)
            store, far, found = DynamoRuns(table, clock=clock), DynamoFar(table, clock=clock), list[str]()
            for number, run in enumerate(runs[part::2]):
                if number % 20 == 0:
                    clock.set(clock.now() + STALE // 2)
                found += create(store, far, run)
            return found

        def feeder() -> list[str]:
            found, step = list[str](), 0
            while not over.is_set() or step < 20:
                step += 1
                found += handed(feed(DynamoFar(table), T0 + min(step, 20) * HOUR // 20, NOW))
            return found + handed(feed(DynamoFar(table), T0 + HOUR, NOW))

        with ThreadPoolExecutor(4) as pool:
            feeding = pool.submit(feeder)
            creating = [pool.submit(creator, part) for part in range(2)]
            for shards in (4, 16, 3):
                DynamoFar(table).resize(shards, NOW)
            made = [name for one in creating for name in one.result()]
            over.set()
            fed = feeding.result()
        assert set(made) | set(fed) == {run.schedule_id for run in runs}
