"""What a sample says of the whole: how long a batch run will take, how much will fail, how large its results will be.

Every figure has a range. Items of one chunk resemble each other, so means vary by chunk, not by item: the range of a
mean
is two standard errors over chunks, and with a single chunk half and double. The share of failures has Wilson's
interval at
95 %, which is sensible where none failed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from rota.core.errors import InvalidError


class Probe(msgspec.Struct, frozen=True):
    """Some items of one chunk, attempted. items: how many the chunk has. seconds: for the attempted ones, in one
    worker.
    size: bytes of their results."""

    items: int
    attempted: int
    failed: int
    seconds: float
    size: int


class Range(msgspec.Struct, frozen=True):
    """A likely value, between a low and a high one."""

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> Range:
        return Range(self.low * factor, self.likely * factor, self.high * factor)


class Estimate(msgspec.Struct, frozen=True):
    """chunks: planned; complete: whether those are all; if not, the figures are for those alone. attempted: items that
    the sample ran. failed: items; size: bytes of results; seconds: for the whole batch run."""

    chunks: int
    complete: bool
    attempted: int
    items: Range
    failed: Range
    seconds: Range
    size: Range


def estimate(
    probes: Sequence[Probe],
    chunks: int,
    *,
    complete: bool,
    concurrency: int,
    rate_limit: float | None = None,
    items: int | None = None,
) -> Estimate:
    """From probes of some of `chunks` chunks. items: how many there are in all, where the planner knows."""
    tried = [one for one in probes if one.attempted]
    attempted = sum(one.attempted for one in tried)
    if items is not None:
        total = Range(items, items, items)
    elif probes:
        total = _mean([one.items for one in probes]).times(chunks)
    else:
        total = Range(0, 0, 0)
    if not tried:
        if total.high:
            raise InvalidError("sample", 0, "at least one item")
        nothing = Range(0, 0, 0)
        return Estimate(chunks, complete, 0, total, nothing, nothing, nothing)
    share = _share(sum(one.failed for one in tried), attempted)
    each = _mean([one.seconds / one.attempted for one in tried])
    bulk = _mean([one.size / one.attempted for one in tried])
    seconds = _product(each, total).times(1 / max(1, min(concurrency, chunks)))
    if rate_limit is not None:
        floor = total.times(1 / rate_limit)
        seconds = Range(max(seconds.low, floor.low), max(seconds.likely, floor.likely), max(seconds.high, floor.high))
    return Estimate(chunks, complete, attempted, total, _product(share, total), seconds, _product(bulk, total))


def spread(count: int, most: int) -> list[int]:
    """Up to `most` numbers below `count`, evenly spread, first and last included."""
    if count <= most:
        return list(range(count))
    if most == 1:
        return [0]
    return sorted({round(at * (count - 1) / (most - 1)) for at in range(most)})


def _mean(values: Sequence[float]) -> Range:
    mean = sum(values) / len(values)
    if len(values) == 1:
        return Range(mean / 2, mean, mean * 2)
    error = 2 * math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    return Range(max(0.0, mean - error), mean, mean + error)


def _share(failed: int, attempted: int) -> Range:
    z = 1.96
    share, square = failed / attempted, z * z / attempted
    centre = (share + square / 2) / (1 + square)
    half = z * math.sqrt(share * (1 - share) / attempted + square / (4 * attempted)) / (1 + square)
    # Where the share is 0 or 1 that is one end, save for the rounding.
    return Range(max(0.0, min(share, centre - half)), share, min(1.0, max(share, centre + half)))


def _product(one: Range, other: Range) -> Range:
    return Range(one.low * other.low, one.likely * other.likely, one.high * other.high)
