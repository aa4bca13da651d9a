"""A generator as source: how far it is consumed, where it goes on, and what it may yield."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.connectors.driving import drive, finish

from rota.connectors.open import open_source
from rota.connectors.options import Generator
from rota.core.chunk import ChunkSize
from rota.core.errors import InvalidError, SourceError


class Batcher:
    """Counts how far it was consumed."""

    def __init__(self, total: int, fail_at: int | None = None) -> None:
        self.total = total
        self.made = 0
        self.fail_at = fail_at

    def __call__(self) -> Iterator[object]:
        for i in range(self.total):
            if i == self.fail_at:
                raise OSError("no more")
            self.made = i + 1
            yield {"n": i}


def test_a_generator_is_consumed_no_further_than_one_chunk_ahead(tmp_path: Path) -> None:
    batcher = Batcher(100_000_000)
    plan = open_source(batcher, tmp_path).plan(ChunkSize(items=10))
    next(plan)
    next(plan)
    assert batcher.made <= 30


@pytest.mark.parametrize("total", [0, 1, 10, 11])
def test_a_generator_goes_on_behind_the_last_chunk(tmp_path: Path, total: int) -> None:
    size = ChunkSize(items=5)
    whole = drive(Generator(Batcher(total)), size, tmp_path)
    assert whole.values() == [{"n": i} for i in range(total)]
    assert whole.positions() == list(range(total))
    for stop, chunk in enumerate(whole.chunks):
        rest = list(open_source(Batcher(total), tmp_path).plan(size, after=chunk))
        assert rest == whole.chunks[stop + 1 :]


def test_a_generator_may_take_the_number_to_start_from(tmp_path: Path) -> None:
    starts: list[int] = []

    def batcher(start: int = 0) -> Iterator[object]:
        starts.append(start)
        return iter(range(start, 12))

    first = next(open_source(batcher, tmp_path).plan(ChunkSize(items=5)))
    rest = list(open_source(batcher, tmp_path).plan(ChunkSize(items=5), after=first))
    assert finish(batcher, [first, *rest], tmp_path).values() == list(range(12))
    assert starts == [0, 5]


def test_a_generator_that_shrank_since_the_last_chunk_is_sealed_by_an_empty_one(tmp_path: Path) -> None:
    first = next(open_source(Batcher(12), tmp_path).plan(ChunkSize(items=5)))
    rest = list(open_source(Batcher(5), tmp_path).plan(ChunkSize(items=5), after=first))
    assert len(finish(Generator(Batcher(5)), [first, *rest], tmp_path).values()) == 5


def test_a_generator_that_fails_says_after_how_many_items(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"failed after 7 items: OSError: no more"):
        list(open_source(Batcher(20, fail_at=7), tmp_path).plan(ChunkSize(items=5)))
    with pytest.raises(SourceError, match="item 1 of generator"):
        list(open_source(lambda: [1, object()], tmp_path).plan(ChunkSize(items=5)))


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({1, 2}, "set is not JSON"),
        ({"at": datetime(2026, 1, 1, tzinfo=UTC)}, "datetime is not JSON, at ['at']"),
        ([b"x"], "bytes is not JSON, at [0]"),
        ({"by": {7: "x"}}, "the key 7 is not text, at ['by']"),
        (math.nan, "nan is not a number in JSON"),
    ],
)
def test_a_generator_yields_nothing_that_would_arrive_as_something_else(
    tmp_path: Path, item: object, reason: str
) -> None:
    for before, size in ((3, ChunkSize(items=5)), (999, ChunkSize(bytes=500)), (10_000, ChunkSize(items=1000))):
        items = [*range(before), *[item] * 50]
        with pytest.raises(SourceError, match="is no JSON value: " + re.escape(reason)) as refused:
            list(open_source(lambda items=items: items, tmp_path).plan(size))
        assert before > 999 or f"item {before} of generator" in str(refused.value)


def test_a_generator_may_yield_tuples(tmp_path: Path) -> None:
    items = [(1, "a"), {"pair": (1, 2)}]
    assert drive(Generator(lambda: items), ChunkSize(items=3), tmp_path).values() == [[1, "a"], {"pair": [1, 2]}]


def test_a_generator_with_demands_is_refused() -> None:
    def batcher(path: str) -> list[str]:
        return [path]

    with pytest.raises(InvalidError, match="demands path"):
        open_source(batcher).check()
