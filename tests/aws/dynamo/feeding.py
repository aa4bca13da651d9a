"""A feeder as small as can be."""

from __future__ import annotations

from rota.ports.far_tier import AnyDue, DueRun, FarTier, Shard

LEASE = 60_000


def feed(far: FarTier, until: int, now: int, holder: str = "feeder", *, limit: int = 100) -> list[AnyDue]:
    """Hand over all that is due at `until`: answers it, in time order within each shard."""
    return [entry for shard in far.shards() for entry in feed_shard(far, shard, until, now, holder, limit=limit)]


def feed_shard(
    far: FarTier, shard: Shard, until: int, now: int, holder: str = "feeder", *, limit: int = 100
) -> list[AnyDue]:
    lease = far.take(shard, until, now, LEASE, holder)
    if lease is None:
        return []
    found: list[AnyDue] = []
    after: str | None = None
    while True:
        page, after = far.page(lease, after, limit)
        found += page
        if after is None:
            far.done(lease, until)
            return found


def names(entries: list[AnyDue]) -> list[str]:
    return [entry.run.schedule_id if isinstance(entry, DueRun) else entry.schedule_id for entry in entries]
