"""A batch run ends, and its account is exact."""

from __future__ import annotations

from tests.batch import shop
from tests.batch.running import Place

from rota.core.receipt import Counts


def test_every_item_has_its_result_in_order(place: Place) -> None:
    run = place.run(shop.double, place.orders(105))
    assert (run.state, run.error) == ("succeeded", "")
    assert (run.counts, run.done, run.sealed, run.results) == (Counts(105, 105), 11, 11, 105)
    assert place.results() == [{"id": number, "twice": number * 2} for number in range(105)]
    assert place.verify(run) == []


def test_no_items_is_a_batch_run_that_completes(place: Place) -> None:
    run = place.run(shop.double, place.orders(0))
    assert (run.state, run.error, run.counts, run.sealed) == ("succeeded", "", Counts(0, 0), 0)
    assert place.verify(run) == []
