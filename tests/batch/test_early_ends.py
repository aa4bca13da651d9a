"""A batch run that ends early accounts for what it did, and says what it did not; a redrive goes on from there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.batch import shop
from tests.batch.running import PATIENCE, Place
from tests.batch.test_control import until
from tests.batch.test_formats import quoted_csv

from rota.core.batch import BatchRun
from rota.core.receipt import Counts


def cancelled(place: Place, source: Any, **options: Any) -> BatchRun:
    place.batch(shop.sleepy, source, **options)
    with place.serve() as client:
        run = client.batches.start("orders")
        until(lambda: client.batches.get(run.id).done >= 3)
        client.batches.cancel(run.id)
        return client.batches.wait(run.id, PATIENCE)


def receipt(run: BatchRun) -> Any:
    name = "receipt.json" if run.version == 1 else f"receipt.v{run.version}.json"
    return json.loads((Path(run.manifest) / name).read_text())


def go_on(place: Place, run: BatchRun) -> BatchRun:
    with place.serve() as client:
        client.batches.redrive(run.id)
        return client.batches.wait(run.id, PATIENCE)


@pytest.mark.parametrize("sink", ["results/", "results.jsonl"])
def test_a_cancelled_batch_run_leaves_a_receipt_and_can_be_gone_on_with(place: Place, sink: str) -> None:
    run = cancelled(place, place.orders(300), sink=str(place.root) + "/" + sink)
    assert (run.state, run.version) == ("cancelled", 1)
    left = receipt(run)
    assert (left["ended"], left["root"], left["counts"]["items"]) == ("cancelled", run.root, run.counts.items)
    assert left["open"] == run.planned - run.done > 0
    assert not (place.root / "results.jsonl").exists(), "what looks complete must be"
    [problem] = place.verify(run)
    assert problem.startswith("the batch run ended early (cancelled): ")
    whole = go_on(place, run)
    assert (whole.state, whole.version, whole.counts) == ("succeeded", 2, Counts(300, 300))
    assert receipt(whole)["previous"] == run.root
    assert place.verify(whole) == []
    file = place.root / "results.jsonl"
    found = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else place.results()
    assert found == list(range(300))


def test_guesses_that_nobody_has_proven_yet_are_no_problem(place: Place) -> None:
    path = place.root / "orders.csv"
    path.write_text(quoted_csv(400), newline="")
    run = cancelled(place, str(path), chunk_items=None, chunk_bytes=300)
    assert run.done < run.planned
    [problem] = place.verify(run)
    assert "ended early (cancelled)" in problem
    whole = go_on(place, run)
    assert (whole.state, whole.counts, place.verify(whole)) == ("succeeded", Counts(400, 400), [])


def test_a_cancelled_generator_can_be_gone_on_with(place: Place) -> None:
    place.batch(shop.sleepy, shop.numbers)
    with place.serve() as client:
        run = client.batches.start("orders", payload=400)
        until(lambda: client.batches.get(run.id).done >= 3)
        client.batches.cancel(run.id)
        run = client.batches.wait(run.id, PATIENCE)
    [problem] = place.verify(run)
    assert "not planned to its end" in problem
    whole = go_on(place, run)
    assert (whole.state, whole.counts) == ("succeeded", Counts(400, 400))
    assert place.results() == list(range(400))
    assert place.verify(whole) == []


def test_too_many_failures_leave_a_receipt(place: Place) -> None:
    run = place.run(shop.picky, place.orders(20_000), tolerated_failures=5, notify=["queue:told"])
    assert (run.state, receipt(run)["ended"]) == ("failed", "failed")
    [problem] = place.verify(run)
    assert problem.startswith("the batch run ended early (failed): ")
    with place.serve() as client:
        [told] = client.queues.receive("told", limit=9, wait=PATIENCE)
    assert json.loads(told.body)["root"] == run.root


def test_a_timeout_leaves_a_receipt(place: Place) -> None:
    run = place.run(shop.sleepy, shop.endless, timeout=0.5)
    assert (run.state, receipt(run)["ended"]) == ("failed", "failed")
    [problem] = place.verify(run)
    assert "not planned to its end" in problem


def test_a_batch_run_that_never_began_has_an_empty_account(place: Place) -> None:
    place.batch(shop.double, place.orders(10))
    with place.client() as client:
        run = client.batches.start("orders")
        client.batches.cancel(run.id)
    with place.serve() as client:
        run = client.batches.wait(run.id, PATIENCE)
    assert (run.state, run.counts) == ("cancelled", Counts(0, 0))
    assert not (place.root / "results").exists()
    [problem] = place.verify(run)
    assert problem.endswith("(cancelled): nothing is done, and the source was not planned to its end")


def test_a_sink_that_cannot_be_used_leaves_an_account_elsewhere(place: Place) -> None:
    place.batch(shop.double, place.orders(20))
    with place.client() as client:
        started = [client.batches.start("orders").id for _ in range(2)]
    with place.serve() as client:
        [first], [again] = (
            [run for run in (client.batches.wait(id, PATIENCE) for id in started) if run.state == state]
            for state in ("succeeded", "failed")
        )
        assert again.manifest == again.place
        assert client.batches.verify(first.id) == []


def test_results_that_nobody_wants_are_counted(place: Place) -> None:
    items = [{"id": n, "place": str(place.root)} for n in range(1, 40)]
    run = place.run(shop.mendable, place.lines(items), sink=None, tolerated_failures="50%")
    assert (run.state, run.counts, run.results) == ("succeeded", Counts(39, 31, 8), 31)
    assert place.verify(run) == []
    (place.root / "mended").touch()
    whole = go_on(place, run)
    assert (whole.counts, whole.results) == (Counts(39, 36, 3), 36)
    assert place.verify(whole) == []
    assert sorted(path.name for path in place.root.iterdir() if path.is_dir()) == ["rota.db.batches"]
