"""What a sample says before a batch run, and what it saw."""

from __future__ import annotations

from typing import Any

import pytest
from tests.batch import shop
from tests.batch.running import Place

from rota import wiring
from rota.cli.batch_shapes import estimate_fields
from rota.core.errors import SourceError
from rota.core.estimate import Estimate


def sampled(place: Place, task: Any, source: Any, items: int, payload: object = None, **options: Any) -> Estimate:
    place.batch(task, source, **options)
    with place.client() as client:
        prepared = client.batches.prepare("orders", payload=payload)
    return wiring.sample_batch(prepared, place.app, items)


def test_a_sample_of_a_generator_sees_more_than_its_first_chunk(place: Place) -> None:
    found = sampled(place, shop.fails_later, shop.numbers, 40, payload=100_000, chunk_items=100)
    assert (found.chunks, found.complete, found.items.likely) == (20, False, 2000)
    assert found.attempted == 40
    assert found.failed.low <= 2000 * 0.75 <= found.failed.high
    said = dict(estimate_fields(found))
    assert said["chunks"] == "20, the first ones; there are more, so the figures are for these alone"
    assert said["items"] == "2,000"


def test_a_generator_that_ends_within_the_bounds_is_seen_whole(place: Place) -> None:
    found = sampled(place, shop.fails_later, shop.numbers, 40, payload=1000, chunk_items=100)
    assert (found.chunks, found.complete, found.items.likely) == (10, True, 1000)
    assert found.failed.likely == 500


def test_long_chunks_of_a_generator_are_made_only_as_far_as_is_bearable(place: Place) -> None:
    found = sampled(place, shop.double, shop.endless, 10, chunk_items=60_000)
    assert (found.chunks, found.complete, found.items.likely) == (2, False, 120_000)


def test_a_sample_of_a_file_is_spread_over_all_of_it(place: Place) -> None:
    found = sampled(place, shop.fails_later, place.orders(1000), 100, chunk_items=50)
    assert (found.chunks, found.complete, found.attempted) == (20, True, 100)
    assert found.failed.likely == 500


def test_a_sample_that_kills_its_worker_says_so(place: Place) -> None:
    with pytest.raises(SourceError, match=r"the sample failed: a worker process died .exit status 7"):
        sampled(place, shop.deadly, place.orders(5, kill="exit"), 5)


def test_a_sample_needs_no_sink(place: Place) -> None:
    found = sampled(place, shop.double, place.orders(100), 10, sink=None)
    assert (found.attempted, found.failed.likely) == (10, 0)
