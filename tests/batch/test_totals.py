"""How many items there are, before the end: what is shown of it, and what a tolerated percentage is judged by."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.batch.running import PATIENCE, Place
from tests.batch.shop import app as shop
from tests.batch.test_decisions import run as batch_run

import rota
from rota.cli.batch_shapes import batch_shape, items_of
from rota.core.batch import BatchRun
from rota.core.chunk import Chunk, Extent, Origin
from rota.core.completion import verdict
from rota.core.receipt import Counts
from rota.core.tolerance import Tolerance
from rota.core.total import MARGIN, Survey, Total, cautious, certain, suspicious, total_of
from rota.service.progress import progress

FIVE = Tolerance(percent=5)


def surveyed(chunks: list[tuple[int, int | None]], size: int, done: int = 0, *, finished: bool = False) -> Total | None:
    """chunks: bytes and, where they were counted, items. done: so many of them, each with an item to ten bytes."""
    survey, at, origin = Survey(size), 0, Origin("a.jsonl", "1", size)
    for number, (length, items) in enumerate(chunks):
        it = Chunk(number, origin, at, at + length, items=items, last=at + length == size)
        survey.plan(it)
        if number < done:
            survey.mark(it, Extent(at, at + length), Counts(length // 10, length // 10))
        at += length
    if finished:
        survey.finish()
    return survey.total()


def test_what_is_surveyed_tells_of_the_rest() -> None:
    assert surveyed([], 1000) is None
    assert surveyed([(100, 10)], 1000) == Total(100, exact=False)
    assert surveyed([(100, 10), (900, 11)], 1000) == Total(21, exact=False), "there may be another file"
    assert surveyed([(100, 10), (900, 11)], 1000, finished=True) == Total(21, exact=True)
    assert surveyed([(100, None)] * 10, 1000, finished=True) is None, "nobody has counted anything"
    assert surveyed([(100, None)] * 10, 1000, 2, finished=True) == Total(100, exact=False)
    assert surveyed([(100, None)] * 5, 1000, 2) == Total(100, exact=False)
    assert surveyed([(100, 10)], 0) is None, "a generator"


def test_compressed_text_tells_by_how_far_it_is_read() -> None:
    survey, origin = Survey(5000), Origin("a.jsonl.gz", "1", 4000)
    survey.plan(Chunk(0, origin, 0, 90_000, items=100, spool="chunk-0", reach=1000))
    assert survey.total() == Total(500, exact=False)
    survey.plan(Chunk(1, origin, 90_000, 95_000, items=300, spool="chunk-1", last=True, reach=3990))
    assert survey.total() == Total(500, exact=False)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=60), st.integers(0, 100))
def test_within_the_tolerance_no_order_makes_it_fail(chunks: list[tuple[int, int]], percent: int) -> None:
    """Counted, or not counted while the source is: whatever was done first, and whatever that let expect."""
    whole = sum((Counts(good + bad, good, bad) for good, bad in chunks), Counts(0, 0))
    tolerated = Tolerance(percent=percent)
    within = not tolerated.exceeded(whole, whole.items)
    counts = Counts(0, 0)
    for done, (good, bad) in enumerate(chunks, 1):
        counts += Counts(good + bad, good, bad)
        for about, counted in ((whole.items, True), (counts.items, False)):
            it = batch_run(
                tolerated, counts=counts, about=about, counted=counted, done=done, planned=done, sealed=len(chunks) + 1
            )
            found = verdict(it, counts, 0, complete=False, total=certain(it, counts))
            assert found is None or not within
    end = verdict(batch_run(tolerated), counts, 0, complete=True)
    assert end is not None
    assert (end.outcome == "succeeded") == within


def test_when_a_percentage_is_judged() -> None:
    bad = Counts(2000, 0, 2000)
    known = batch_run(FIVE, counts=bad, about=39_999, counted=True)
    assert certain(known, bad) == cautious(known, bad) == 39_999
    guessed = batch_run(FIVE, counts=bad, about=10_000)
    assert certain(guessed, bad) is None
    assert suspicious(guessed, bad)
    assert not suspicious(batch_run(FIVE, counts=bad, about=40_000), bad)
    assert not suspicious(batch_run(FIVE, counts=bad, about=10_000, revision=1), bad)
    assert cautious(guessed, bad) == 2000 + MARGIN * 8000
    sealed = batch_run(FIVE, counts=bad, done=10, sealed=50)
    assert total_of(sealed) == Total(10_000, exact=False)
    assert cautious(sealed, bad) == cautious(guessed, bad)
    few = Counts(900, 0, 900)
    assert cautious(batch_run(FIVE, counts=few, about=1000), few) is None
    assert certain(batch_run(FIVE, counts=bad), bad) is None


def broken_first(place: Place, items: int, broken: int, length: int = 0) -> str:
    """length: of the broken ones, which makes the others look few."""
    found: Iterator[Any] = ({"id": n, "bad": n < broken, "why": "x" * length * (n < broken)} for n in range(items))
    return place.lines(found)


@shop.task
def refuse_bad(item: dict[str, Any]) -> int:
    if item["bad"]:
        raise ValueError("bad")
    return int(item["id"])


@shop.task
def wait_at_4000(item: dict[str, Any]) -> int:
    while item["id"] == 4000 and not Path(item["gate"]).exists():
        threading.Event().wait(0.02)
    return int(item["id"])


@pytest.mark.parametrize("size", [{"chunk_items": 100}, {"chunk_bytes": 5000, "chunk_items": None}])
def test_failures_at_the_beginning_are_no_more_than_elsewhere(tmp_path: Path, size: dict[str, Any]) -> None:
    place = Place(tmp_path)
    run = place.run(refuse_bad, broken_first(place, 10_000, 300, 500), concurrency=1, tolerated_failures="5%", **size)
    assert (run.state, run.error) == ("succeeded", "")
    assert (run.counts.items, run.counts.failed) == (10_000, 300)


@pytest.mark.parametrize("size", [{"chunk_items": 100}, {"chunk_bytes": 4000, "chunk_items": None}])
def test_what_is_beyond_all_hope_ends_early(tmp_path: Path, size: dict[str, Any]) -> None:
    place = Place(tmp_path)
    run = place.run(refuse_bad, broken_first(place, 60_000, 60_000), concurrency=1, tolerated_failures="5%", **size)
    assert run.state == "failed"
    assert 3000 < run.counts.failed < 60_000


def followed(place: Place, source: Any, **options: Any) -> BatchRun:
    """A batch run as it stands in its middle: before item 4,000, with one worker."""
    place.batch(wait_at_4000, source, concurrency=1, **options)
    with place.serve() as client:
        run = client.batches.start("orders")
        while run.counts.items < 3500:
            assert run.is_open, run.error
            threading.Event().wait(0.02)
            run = client.batches.get(run.id)
        (place.root / "gate").touch()
        assert client.batches.wait(run.id, PATIENCE).state == "succeeded"
    return run


def waiting(place: Place, count: int = 20_000) -> list[dict[str, Any]]:
    return [{"id": 100_000 + n if n != 4000 else n, "gate": str(place.root / "gate")} for n in range(count)]


def shown(run: BatchRun) -> tuple[int | None, bool]:
    seen = progress(run, (run.started or 0) + 1000)
    assert seen.share == (None if seen.total is None else seen.items / seen.total)
    assert (seen.eta is None) == (seen.total is None)
    told = batch_shape(run)["total"]
    assert told == (None if seen.total is None else {"items": seen.total, "exact": not seen.about})
    return seen.total, seen.about


def test_what_is_not_cut_to_its_end_has_about_so_many_items(tmp_path: Path) -> None:
    place = Place(tmp_path)
    run = followed(place, place.lines(waiting(place, 60_000)), chunk_items=20)
    total, about = shown(run)
    assert run.sealed is None
    assert about
    assert total == pytest.approx(60_000, rel=0.05)
    assert items_of(run).startswith(f"{run.counts.items:,} of about ")


def test_what_is_cut_without_counting_has_about_so_many_items(tmp_path: Path) -> None:
    place = Place(tmp_path)
    total, about = shown(followed(place, place.lines(waiting(place)), chunk_bytes=2000, chunk_items=None))
    assert about
    assert total == pytest.approx(20_000, rel=0.05)


def test_what_is_compressed_has_about_so_many_items(tmp_path: Path) -> None:
    place = Place(tmp_path)
    path = tmp_path / "items.jsonl.gz"
    lines = "".join(json.dumps(item | {"n": n * 7919}) + "\n" for n, item in enumerate(waiting(place, 40_000)))
    path.write_bytes(gzip.compress(lines.encode()))
    total, about = shown(followed(place, str(path), chunk_items=100))
    assert about
    assert total == pytest.approx(40_000, rel=0.3)


def test_what_is_counted_has_so_many_items(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert shown(followed(place, place.lines(waiting(place)), chunk_items=100)) == (20_000, False)


def test_of_a_generator_nobody_knows(tmp_path: Path) -> None:
    place = Place(tmp_path)
    items = waiting(place)

    def make() -> Iterator[dict[str, Any]]:
        yield from items

    assert shown(followed(place, rota.Generator(make), chunk_items=100)) == (None, False)
