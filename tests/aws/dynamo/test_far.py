"""The far tier as a feeder sees it: order, fences, leases and marks."""

from __future__ import annotations

import msgspec
import pytest
from tests.aws.dynamo.conftest import DynamoStores
from tests.aws.dynamo.feeding import LEASE, feed, feed_shard, names

from rota.aws.dynamo.far import DynamoFar
from rota.aws.dynamo.places import SHARDS
from rota.aws.dynamo.table import Table
from rota.core.errors import InvalidError
from rota.core.run import Run
from rota.ports.far_tier import DueRun, DueTick, Shard
from rota.testing.conformance.values import (
    HOUR,
    LARGEST,
    SPEC,
    T0,
    again,
    begun,
    change,
    deletion,
    ended,
    fired,
    one_off,
    recurring,
    stored,
)

NOW = T0


@pytest.fixture
def far(table: Table) -> DynamoFar:
    return DynamoFar(table)


class TestPages:
    def test_a_shard_is_read_in_time_order_across_hours_and_pages_tile(
        self, far: DynamoFar, stores: DynamoStores
    ) -> None:
        runs = [one_off(f"r{n:03}", T0 + n * 71_000) for n in range(120)]
        stores.runs.accept(runs)
        seen = []
        for shard in far.shards():
            entries = feed_shard(far, shard, T0 + 119 * 71_000, NOW, limit=3)
            assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
            seen += entries
        assert sorted(entry.run.key for entry in seen if isinstance(entry, DueRun)) == [run.key for run in runs]

    def test_an_entry_comes_back_as_the_run_that_it_is(self, far: DynamoFar, stores: DynamoStores) -> None:
        small, large = one_off("small", payload=b'{"n":1}'), one_off("large", payload=LARGEST)
        stores.runs.accept([small, large])
        entries = feed(far, T0, NOW)
        assert sorted(entries, key=str) == sorted([DueRun(small), DueRun(large)], key=str)

    def test_only_what_is_due_within_the_lease_is_read(self, far: DynamoFar, stores: DynamoStores) -> None:
        stores.runs.accept([one_off("now", T0), one_off("edge", T0 + 10), one_off("later", T0 + 11)])
        assert sorted(names(feed(far, T0 + 10, NOW))) == ["edge", "now"]
        assert names(feed(far, T0 + 20, NOW)) == ["later"]
        assert feed(far, T0 + 20, NOW) == []

    def test_only_pending_runs_are_read(self, far: DynamoFar, stores: DynamoStores) -> None:
        runs = [one_off(name) for name in ("pending", "running", "cancelled", "done")]
        stores.runs.accept([*runs, recurring("s"), recurring("s", T0 + 1, held=True)])
        stores.runs.claim([begun(runs[1])])
        stores.runs.cancel([runs[2].key], NOW)
        stores.runs.settle([ended(runs[3])])
        assert sorted(names(feed(far, T0 + 5, NOW))) == ["pending", "s"]

    def test_another_attempt_is_read_when_it_is_due_and_not_before(self, far: DynamoFar, stores: DynamoStores) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        assert names(feed(far, T0, NOW)) == ["a"]
        stores.runs.settle([again(run, T0 + HOUR)], [begun(run)])
        assert feed(far, T0 + HOUR - 1, NOW) == []
        [entry] = feed(far, T0 + HOUR, NOW)
        assert entry == DueRun(msgspec.structs.replace(run, due=T0 + HOUR, attempt=1))

    def test_a_signpost_to_a_run_that_is_due_elsewhere_by_now_leads_nowhere(
        self, far: DynamoFar, stores: DynamoStores
    ) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        stores.runs.settle([again(run, T0 + HOUR)])
        [second] = stores.runs.due(T0 + HOUR, 1)
        stores.runs.settle([again(second, T0 + 2 * HOUR)])
        assert feed(far, T0 + HOUR, NOW) == []
        assert names(feed(far, T0 + 2 * HOUR, NOW)) == ["a"]

    def test_a_run_due_at_another_time_than_scheduled_is_read_when_it_is_due(
        self, far: DynamoFar, stores: DynamoStores
    ) -> None:
        run = Run("jittered", T0, T0 + 90_000, SPEC, recurring=True)
        stores.runs.accept([run])
        assert feed(far, T0 + 89_999, NOW) == []
        assert feed(far, T0 + 90_000, NOW) == [DueRun(run)]

    def test_a_redriven_run_is_read_again(self, far: DynamoFar, stores: DynamoStores) -> None:
        run = one_off("a")
        stores.runs.accept([run])
        stores.runs.settle([msgspec.structs.replace(ended(run, "failed"), dead=True)])
        feed(far, T0 + HOUR, NOW)
        stores.runs.redrive([run.key], T0 + 2 * HOUR)
        assert names(feed(far, T0 + 2 * HOUR, NOW)) == ["a"]


class TestTicks:
    def test_a_schedule_is_read_at_its_next_tick_with_the_version_of_its_definition(
        self, far: DynamoFar, stores: DynamoStores
    ) -> None:
        row = stored("s", T0 + 5)
        stores.schedules.create([row, stored("paused", paused=True), stored("over", None)])
        assert feed(far, T0 + HOUR, NOW) == [DueTick("s", T0 + 5, row.state.updated)]

    def test_storing_a_tick_twice_is_storing_it_once(self, far: DynamoFar) -> None:
        tick = DueTick("s", T0 + 7, 3)
        far.put_ticks([tick, tick, DueTick("other", T0, 1)])
        far.put_ticks([tick])
        assert sorted(names(feed(far, T0 + HOUR, NOW))) == ["other", "s"]

    def test_a_decision_leaves_the_chain_to_the_feeder_and_a_new_definition_begins_another(
        self, far: DynamoFar, stores: DynamoStores
    ) -> None:
        row = stored("s", T0)
        stores.schedules.create([row])
        assert names(feed(far, T0, NOW)) == ["s"]
        decision = change(row, T0 + HOUR, ticks=(fired("s", T0),))
        assert decision.after is not None
        state = msgspec.structs.replace(decision.after.state, updated=row.state.updated)
        after = msgspec.structs.replace(decision.after, state=state)
        stores.schedules.apply([msgspec.structs.replace(decision, after=after)])
        assert feed(far, T0 + 2 * HOUR, NOW) == []
        edited = change(after, T0 + 3 * HOUR)
        stores.schedules.apply([edited])
        assert edited.after is not None
        assert feed(far, T0 + 3 * HOUR, NOW) == [DueTick("s", T0 + 3 * HOUR, edited.after.state.updated)]

    def test_what_remains_of_a_deleted_schedule_is_of_an_older_version(
        self, far: DynamoFar, stores: DynamoStores
    ) -> None:
        row = stored("s", T0)
        stores.schedules.create([row])
        stores.schedules.apply([deletion(row)])
        assert stores.schedules.get(names(feed(far, T0, NOW))) == []


class TestLeases:
    def test_a_shard_is_one_feeders_until_its_lease_ends(self, far: DynamoFar) -> None:
        shard = far.shards()[0]
        mine = far.take(shard, T0, NOW, LEASE, "one")
        assert mine is not None
        assert (mine.shard, mine.until, mine.expires, mine.holder) == (shard, T0, NOW + LEASE, "one")
        assert far.take(shard, T0, NOW + LEASE - 1, LEASE, "two") is None
        assert far.take(shard, T0, NOW + LEASE, LEASE, "two") is not None
        assert not far.done(mine, T0), "it is another's by now"

    def test_a_feeder_renews_its_own_lease(self, far: DynamoFar) -> None:
        shard = far.shards()[0]
        far.take(shard, T0, NOW, LEASE, "one")
        again = far.take(shard, T0 + 5, NOW + 1, LEASE, "one")
        assert again is not None
        assert again.until == T0 + 5

    def test_done_gives_the_shard_up_when_that_is_all(self, far: DynamoFar) -> None:
        shard = far.shards()[0]
        lease = far.take(shard, T0, NOW, LEASE, "one")
        assert lease is not None
        assert far.done(lease, T0 - 5)
        assert far.marks()[shard] == T0 - 5
        assert far.take(shard, T0, NOW, LEASE, "two") is None
        assert far.done(lease, T0)
        following = far.take(shard, T0 + 5, NOW, LEASE, "two")
        assert following is not None
        assert following.start == T0

    def test_the_mark_never_falls(self, far: DynamoFar) -> None:
        shard = far.shards()[0]
        lease = far.take(shard, T0, NOW, LEASE, "one")
        assert lease is not None
        assert far.done(lease, T0 - 5)
        assert far.done(lease, T0 - 9)
        assert far.marks()[shard] == T0 - 5

    def test_a_feeder_that_died_leaves_its_entries_to_the_next(self, far: DynamoFar, stores: DynamoStores) -> None:
        stores.runs.accept([one_off(f"r{n}") for n in range(30)])
        for shard in far.shards():
            lease = far.take(shard, T0, NOW, LEASE, "dead")
            assert lease is not None
            far.page(lease, None, 10)
        assert feed(far, T0, NOW + 1, "next") == []
        assert len(feed(far, T0, NOW + LEASE, "next")) == 30

    def test_a_feeder_that_was_down_for_an_hour_reads_from_where_it_was_in_time_order(
        self, far: DynamoFar, stores: DynamoStores
    ) -> None:
        stores.runs.accept([one_off("before")])
        feed(far, T0, NOW)
        missed = [one_off(f"m{n:02}", T0 + n * 120_000) for n in range(1, 60)]
        stores.runs.accept(missed)
        for shard in far.shards():
            entries = feed_shard(far, shard, T0 + 2 * HOUR, NOW + 2 * HOUR, limit=2)
            assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
            missed = [run for run in missed if run.schedule_id not in names(entries)]
        assert missed == []


class TestFences:
    def test_a_fence_is_raised_by_taking_and_never_falls(self, far: DynamoFar) -> None:
        assert far.fences(["a", "b"]) == {"a": 0, "b": 0}
        feed(far, T0 + 9, NOW)
        assert far.fences(["a", "b"]) == {"a": T0 + 9, "b": T0 + 9}
        feed(far, T0 + 3, NOW)
        assert far.fences(["a"]) == {"a": T0 + 9}
        assert far.fences([]) == {}

    def test_it_is_raised_before_anything_is_read(self, far: DynamoFar) -> None:
        for shard in far.shards():
            far.take(shard, T0 + 9, NOW, LEASE, "one")
        assert far.fences(["a"]) == {"a": T0 + 9}
        assert set(far.marks().values()) == {0}
        assert far.handed(["a", "b"]) == {"a": 0, "b": 0}

    def test_what_was_handed_over_is_the_mark_of_all_shards_that_an_id_may_lie_in(self, far: DynamoFar) -> None:
        feed(far, T0 + 9, NOW)
        assert far.handed(["a", "b"]) == {"a": T0 + 9, "b": T0 + 9}
        far.resize(len(far.shards()) + 1, NOW)
        assert far.handed(["a"]) == {"a": 0}, "of the new shard nobody has said anything yet"
        feed(far, T0 + 10, NOW)
        assert far.handed(["a"]) == {"a": T0 + 10}

    def test_a_run_is_withdrawn_only_before_a_feeder_may_have_read_it(
        self, far: DynamoFar, stores: DynamoStores
    ) -> None:
        early, late = one_off("early", T0), one_off("late", T0 + HOUR)
        stores.runs.accept([early, late])
        for shard in far.shards():
            far.take(shard, T0 + 5, NOW, LEASE, "one")
        assert not stores.runs.withdraw(early.key, NOW)
        assert stores.runs.withdraw(late.key, NOW)
        assert not stores.runs.withdraw(late.key, NOW)
        assert names(feed(far, T0 + HOUR, NOW, "one")) == ["early"]
        record = stores.runs.get(late.key)
        assert record is not None
        assert record.state == "cancelled"


def test_a_new_table_has_shards(far: DynamoFar) -> None:
    assert far.shards() == [Shard(1, number, SHARDS) for number in range(SHARDS)]


@pytest.mark.parametrize("shards", [0, -1, 513, True])
def test_a_number_of_shards_that_cannot_be_is_refused(far: DynamoFar, shards: int) -> None:
    with pytest.raises(InvalidError, match="shards"):
        far.resize(shards, NOW)
