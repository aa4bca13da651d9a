"""The far tier in memory keeps the promises of the port, on which every test beside this one leans."""

from __future__ import annotations

from rota.core.run import Claim
from rota.ports.far_tier import AnyDue, DueRun, DueTick, FarTier, Shard
from rota.testing import MemoryStores
from rota.testing.conformance.values import T0, begun, one_off, stored
from rota.testing.memory.far import MemoryFarTier

LEASE = 60_000


def read(far: FarTier, until: int, holder: str = "one", now: int = T0) -> list[AnyDue]:
    """Everything up to `until`, two entries at a time, and the marks moved there."""
    found: list[AnyDue] = []
    for shard in far.shards():
        lease = far.take(shard, until, now, LEASE, holder)
        assert lease is not None
        after: str | None = None
        while True:
            page, after = far.page(lease, after, 2)
            found += page
            if after is None:
                break
        assert far.done(lease, until)
    return found


def made(shards: int = 3) -> tuple[MemoryStores, MemoryFarTier]:
    stores = MemoryStores()
    return stores, MemoryFarTier(stores.state, shards)


def test_entries_are_read_once_in_the_order_of_time_and_by_shard() -> None:
    stores, far = made(1)
    stores.runs.accept([one_off(f"r{n}", T0 + n % 7) for n in range(20)])
    stores.schedules.create([stored("s", T0 + 3)])
    entries = read(far, T0 + 6)
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert len(entries) == 21
    assert DueTick("s", T0 + 3, stored("s", T0 + 3).state.updated) in entries
    assert read(far, T0 + 6) == []


def test_a_run_that_is_claimed_or_due_later_is_not_read() -> None:
    stores, far = made()
    runs = [one_off("claimed", T0), one_off("later", T0 + 10), one_off("now", T0)]
    stores.runs.accept(runs)
    stores.runs.claim([Claim(runs[0], T0)])
    assert read(far, T0 + 5) == [DueRun(runs[2])]
    assert read(far, T0 + 10) == [DueRun(runs[1])]
    assert begun(runs[0]).run == runs[0]


def test_a_shard_is_one_feeder_s_until_its_lease_ends() -> None:
    _, far = made(1)
    [shard] = far.shards()
    first = far.take(shard, T0 + 5, T0, LEASE, "one")
    assert first is not None
    assert far.take(shard, T0 + 9, T0, LEASE, "two") is None
    second = far.take(shard, T0 + 9, T0 + LEASE, LEASE, "two")
    assert second is not None
    assert not far.done(first, T0 + 5)
    assert far.done(second, T0 + 9)
    assert far.marks() == {shard: T0 + 9}
    assert far.fences(["any"]) == {"any": T0 + 9}


def test_new_shards_begin_where_the_old_ones_were_read_to_and_old_ones_go_when_they_are_empty() -> None:
    stores, far = made(2)
    stores.runs.accept([one_off(f"old{n}", T0 + 100) for n in range(9)])
    read(far, T0 + 50)
    assert len(far.resize(5, T0)) == 7
    stores.runs.accept([one_off(f"new{n}", T0 + 100) for n in range(9)])
    assert set(far.fences(["new1", "new2", "new3"]).values()) == {T0 + 50}
    assert len(read(far, T0 + 100)) == 18
    stores.runs.cancel([one_off(f"old{n}", T0 + 100).key for n in range(9)], T0)
    shards = far.resize(1, T0)
    assert {shard.generation for shard in shards} == {2, 3}
    assert Shard(3, 0, 1) in shards


def test_a_tick_that_is_stored_twice_is_one() -> None:
    _, far = made()
    far.put_ticks([DueTick("s", T0, 1), DueTick("s", T0, 1)])
    far.put_ticks([DueTick("s", T0, 1)])
    assert read(far, T0) == [DueTick("s", T0, 1)]


def test_what_was_handed_over_is_known_by_id_in_all_generations() -> None:
    _, far = made(1)
    assert far.handed(["a"]) == {"a": 0}
    read(far, T0)
    assert far.handed(["a", "b"]) == {"a": T0, "b": T0}
    [old] = far.shards()
    assert far.take(old, T0 + 5, T0, LEASE, "two") is not None
    assert far.handed(["a"]) == {"a": T0}, "the fence says nothing of what was handed over"
