"""Decisions that need no engine: tolerance, verdicts, meeting chunks, halving, estimates."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rota.core.batch import BatchRun, BatchSpec
from rota.core.chunk import Chunk, ChunkSize, Extent, Origin
from rota.core.completion import Frontier, verdict
from rota.core.errors import InvalidError
from rota.core.estimate import Estimate, Probe, Range, estimate, spread
from rota.core.isolation import Isolation
from rota.core.receipt import Counts
from rota.core.tolerance import Tolerance, parse_tolerance

ORIGIN = Origin("a.csv", "1", 1000)


def run(tolerated: Tolerance, **more: object) -> BatchRun:
    spec = BatchSpec(
        batch="b", task="t", source={}, sink={}, size=ChunkSize(1), concurrency=1, tolerated=tolerated, timeout=60
    )
    return BatchRun(name="b", created=0, spec=spec, directory="/b", state="running", started=0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "count", "percent"), [(5, 5, None), ("7", 7, None), ("2.5%", 0, 2.5), ("100 %", 0, 100)]
)
def test_tolerances_that_users_write(text: object, count: int, percent: float | None) -> None:
    assert parse_tolerance(text) == Tolerance(count, percent)


@pytest.mark.parametrize("text", ["101%", "-1", -1, "some", None, 2.5, True])
def test_tolerances_that_are_refused(text: object) -> None:
    with pytest.raises(InvalidError, match="tolerated_failures"):
        parse_tolerance(text)


def test_a_percentage_is_of_all_items_once_that_number_is_known() -> None:
    half = Tolerance(percent=50)
    assert not half.exceeded(Counts(10, 0, 10), None), "ten items say nothing yet"
    assert not half.exceeded(Counts(1000, 499, 501), None), "nor do a thousand, of a number that nobody knows"
    assert not half.exceeded(Counts(10, 0, 10), 20)
    assert half.exceeded(Counts(20, 9, 11), 20)


@pytest.mark.parametrize(
    ("given_run", "counts", "now", "complete", "outcome"),
    [
        (run(Tolerance(0)), Counts(5, 5), 0, True, "succeeded"),
        (run(Tolerance(0)), Counts(5, 5), 0, False, None),
        (run(Tolerance(0)), Counts(5, 4, 1), 0, False, "failed"),
        (run(Tolerance(0), revision=1), Counts(5, 4, 1), 0, False, None),
        (run(Tolerance(0), revision=1), Counts(5, 4, 1), 0, True, "failed"),
        (run(Tolerance(9), wish="cancel"), Counts(5, 5), 0, True, "cancelled"),
        (run(Tolerance(9)), Counts(5, 5), 60_001, False, "failed"),
        (run(Tolerance(9)), Counts(5, 5), 60_001, True, "succeeded"),
    ],
)
def test_how_a_batch_run_ends(
    given_run: BatchRun, counts: Counts, now: int, complete: bool, outcome: str | None
) -> None:
    found = verdict(given_run, counts, now, complete=complete)
    assert (found and found.outcome) == outcome


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.randoms())
def test_whatever_was_guessed_all_chunks_meet_in_the_end(guesses: list[int], dice: object) -> None:
    """Records of length 7; chunks are cut anywhere, and a reader begins at the next record, as if cuts were guesses."""
    cuts = sorted({0, *guesses, 30})
    chunks = [
        Chunk(number, ORIGIN, start, end, last=end == cuts[-1]) for number, (start, end) in enumerate(pairwise(cuts))
    ]

    def read(chunk: Chunk) -> Extent:
        # A wrong cut starts the reader at the wrong byte; a corrected one starts where the record before ended.
        end = max(chunk.start, -(-chunk.end // 7) * 7) if chunk.start % 7 == 0 else chunk.end
        return Extent(chunk.start, end)

    frontier, waiting = Frontier(), list(chunks)
    dice.shuffle(waiting)  # type: ignore[attr-defined]
    rounds = 0
    while waiting:
        rounds += 1
        assert rounds < 100
        chunk = waiting.pop()
        waiting.extend(frontier.add(chunk, read(chunk), Counts(1, 1)))
    assert frontier.proven == len(chunks)
    assert frontier.counts == Counts(len(chunks), len(chunks))


@given(st.integers(1, 200), st.sets(st.integers(0, 199), max_size=5))
def test_halving_finds_exactly_the_killers(items: int, deadly: set[int]) -> None:
    deadly = {one for one in deadly if one < items}
    isolation, attempted, deaths = Isolation(items), [0] * items, 0
    while (stretch := isolation.next()) is not None:
        if deadly & set(range(stretch.low, stretch.high)):
            deaths += 1
            isolation.kill(stretch)
        else:
            for at in range(stretch.low, stretch.high):
                attempted[at] += 1
            isolation.end(stretch)
    assert isolation.is_done
    assert set(isolation.killers) == deadly
    assert [at for at in range(items) if attempted[at] != (at not in deadly)] == []
    assert deaths <= len(deadly) * (items.bit_length() + 1)


def test_an_estimate_has_the_truth_in_its_range() -> None:
    probes = [Probe(100, 10, at % 3 == 0, 0.1 + 0.01 * (at % 5), 200) for at in range(20)]
    found = estimate(probes, 50, complete=True, concurrency=2)
    assert found.items.low == found.items.likely == 5000
    assert found.failed.low < 5000 * 7 / 200 < found.failed.high
    assert found.seconds.low < 5000 * 0.012 / 2 < found.seconds.high
    assert found.size.likely == 100_000


PROBES = st.lists(
    st.integers(1, 500).flatmap(
        lambda items: st.integers(1, items).flatmap(
            lambda attempted: st.builds(
                Probe,
                st.just(items),
                st.just(attempted),
                st.integers(0, attempted),
                st.floats(0, 1e4),
                st.integers(0, 10**9),
            )
        )
    ),
    min_size=1,
    max_size=30,
)


def ranges(found: Estimate) -> list[Range]:
    return [found.items, found.failed, found.seconds, found.size]


@given(PROBES, st.integers(0, 10_000), st.integers(1, 64), st.none() | st.floats(0.001, 1e6), st.booleans())
@example(probes=[Probe(47, 47, 0, 0.0, 0)], more=0, concurrency=1, rate_limit=None, known=False)
def test_the_ranges_of_an_estimate_are_in_order(
    probes: list[Probe], more: int, concurrency: int, rate_limit: float | None, known: bool
) -> None:
    chunks = len(probes) + more
    items = sum(one.items for one in probes) if known else None
    found = estimate(probes, chunks, complete=True, concurrency=concurrency, rate_limit=rate_limit, items=items)
    for one in ranges(found):
        assert 0 <= one.low <= one.likely <= one.high
    assert found.failed.high <= found.items.high
    assert found.attempted == sum(one.attempted for one in probes)


@given(
    st.integers(2, 30), st.integers(1, 500), st.integers(0, 1000), st.integers(0, 10**6), st.sampled_from([1, 2, 4, 8])
)
def test_an_estimate_is_exact_where_all_items_are_alike(
    probed: int, items: int, milliseconds: int, size: int, concurrency: int
) -> None:
    """Not of failures: that none of a few failed does not prove that none of many will."""
    probe = Probe(items, 1, 0, milliseconds / 1024, size)
    found = estimate([probe] * probed, 4 * probed, complete=True, concurrency=concurrency)
    total = 4 * probed * items
    workers = min(concurrency, 4 * probed)
    truth = [total, total * milliseconds / 1024 / workers, total * size]
    for one, true in zip([found.items, found.seconds, found.size], truth, strict=True):
        assert one.low == pytest.approx(true)
        assert one.likely == pytest.approx(true)
        assert one.high == pytest.approx(true)
    assert found.failed.likely == 0


def test_an_estimate_of_nothing_and_of_a_limited_rate() -> None:
    assert estimate([], 0, complete=True, concurrency=2, items=0).seconds.high == 0
    found = estimate([Probe(10, 10, 0, 0.1, 10)], 10, complete=True, concurrency=2, rate_limit=1.0)
    assert found.seconds.likely == 100


@given(st.integers(1, 500), st.integers(1, 50))
def test_a_sample_is_spread(count: int, most: int) -> None:
    found = spread(count, most)
    assert len(found) <= most
    assert found == sorted(set(found))
    assert found[0] == 0
    assert found[-1] < count
    assert most == 1 or found[-1] == count - 1
