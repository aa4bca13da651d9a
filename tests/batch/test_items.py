"""What becomes of items: retried alone, skipped, dead with a reason, or found to kill."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.batch import shop
from tests.batch.running import PATIENCE, Place

from rota.core.errors import ConflictError, InvalidError
from rota.core.receipt import Counts


def test_failed_and_skipped_items_are_counted_and_have_no_results(place: Place) -> None:
    run = place.run(shop.picky, place.orders(50), tolerated_failures="50%")
    assert (run.state, run.counts) == ("succeeded", Counts(50, 40, 5, 5))
    assert [it["id"] for it in place.results()] == [n for n in range(50) if n % 10 > 1]
    with place.client() as client:
        [group] = client.batches.failures(run.id)
        assert (group.signature.exception, group.count, group.message) == ("ValueError", 5, "no tens: 0")
        assert group.signature.frame.startswith("shop.py:")
        dead = list(client.batches.dead_letters(run.id, 1))
    assert [(it.chunk, it.index, it.item) for it in dead] == [(n, 0, {"id": n * 10}) for n in range(5)]
    assert dead[1].position == len('{"id": 0}\n') * 10
    assert place.verify(run) == []


def test_nothing_is_tolerated_unless_said(place: Place) -> None:
    run = place.run(shop.picky, place.orders(50))
    assert run.state == "failed"
    assert "more than the tolerated 0" in run.error


def test_too_many_failures_stop_dispatching(place: Place) -> None:
    run = place.run(shop.picky, shop.endless, tolerated_failures=25)
    assert run.state == "failed"
    assert run.counts.failed > 25
    assert run.counts.items < 100_000


def test_a_failing_item_is_retried_without_its_neighbours(place: Place) -> None:
    run = place.run(shop.flaky, place.orders(20, place=str(place.root)))
    assert (run.state, run.counts, run.retries) == ("succeeded", Counts(20, 20), 8)
    assert place.results() == list(range(20))
    calls = {n: len((place.root / f"calls-{n}").read_text()) for n in range(20)}
    assert calls == {n: 3 if n % 5 == 0 else 1 for n in range(20)}


@pytest.mark.parametrize("kill", ["exit", "segfault"])
def test_the_item_that_kills_workers_is_found(place: Place, kill: str) -> None:
    items = [{"id": n, "kill": kill if n in (17, 18) else ""} for n in range(40)]
    run = place.run(shop.deadly, place.lines(items), chunk_items=20, tolerated_failures=2)
    assert (run.state, run.error) == ("succeeded", "")
    assert run.counts == Counts(40, 38, 2)
    assert place.results() == [n for n in range(40) if n not in (17, 18)]
    with place.client() as client:
        dead = list(client.batches.dead_letters(run.id))
    assert [it.item for it in dead] == items[17:19]
    assert all(it.failure.type == "rota.WorkerDied" for it in dead)
    assert "status 7" in dead[0].failure.message or "SIGSEGV" in dead[0].failure.message
    assert place.verify(run) == []


def test_an_item_that_needs_more_memory_than_workers_may_have(place: Place) -> None:
    items = [{"id": n, "mb": 500 if n == 17 else 5} for n in range(40)]
    run = place.run(shop.greedy, place.lines(items), chunk_items=20, tolerated_failures=1, worker_memory=128)
    assert (run.state, run.error, run.counts) == ("succeeded", "", Counts(40, 39, 1))
    assert place.results() == [5] * 39
    with place.client() as client:
        [dead] = client.batches.dead_letters(run.id)
    assert (dead.item, dead.failure.type) == (items[17], "rota.WorkerDied")
    assert "over its memory limit of 128 MB" in dead.failure.message
    assert place.verify(run) == []


def test_memory_that_others_used_up_is_not_blamed_on_an_item(place: Place) -> None:
    items = [{"id": n, "kept": 20} for n in range(16)]
    run = place.run(shop.greedy, place.lines(items), chunk_items=4, concurrency=1, worker_memory=128)
    assert (run.state, run.error, run.counts) == ("succeeded", "", Counts(16, 16))
    assert run.retries > 0
    assert place.verify(run) == []


def test_without_a_limit_too_much_memory_fails_its_item_alone(place: Place) -> None:
    items = [{"id": n, "mb": 1 << 40 if n == 3 else 1} for n in range(10)]
    run = place.run(shop.greedy, place.lines(items), tolerated_failures=1)
    with place.client() as client:
        [dead] = client.batches.dead_letters(run.id)
    assert (dead.failure.type, dead.attempts) == ("MemoryError", 2)


@pytest.mark.parametrize("wrong", [0, 63, 1.5, True, "2 GB"])
def test_a_memory_limit_that_is_none(place: Place, wrong: object) -> None:
    with pytest.raises(InvalidError, match=r"worker_memory: .* is not allowed; a whole number from 64"):
        place.batch(shop.double, place.orders(1), worker_memory=wrong)


def test_a_death_that_does_not_repeat_costs_one_attempt(place: Place) -> None:
    items = [{"id": n, "place": str(place.root), "kill": n == 5} for n in range(30)]
    run = place.run(shop.dies_once, place.lines(items))
    assert (run.state, run.counts) == ("succeeded", Counts(30, 30))
    assert place.results() == list(range(30))


@pytest.mark.parametrize("kill", ["stop", "system"])
def test_exceptions_that_usually_end_loops_fail_their_item_alone(place: Place, kill: str) -> None:
    items = [{"id": n, "kill": kill if n == 3 else ""} for n in range(10)]
    run = place.run(shop.deadly, place.lines(items), tolerated_failures=1)
    assert run.counts == Counts(10, 9, 1)
    assert place.results() == [n for n in range(10) if n != 3]


def test_a_vectorised_task_loses_only_the_items_at_fault(place: Place) -> None:
    run = place.run(shop.totals, place.orders(40), chunk_items=20, tolerated_failures=2)
    assert run.counts == Counts(40, 38, 2)
    assert place.results() == [n for n in range(40) if n not in (13, 14)]
    with place.client() as client:
        messages = [it.failure.message for it in client.batches.dead_letters(run.id)]
    assert messages == ["thirteen", "fourteen"]


@pytest.mark.parametrize(
    ("task", "chunks", "message"),
    [
        (shop.forgetful, 20, "the task was given 20 items and returned 19 results"),
        (shop.silent, 14, "the task was given 14 items and returned no list, but NoneType"),
    ],
)
def test_a_vectorised_task_that_returns_too_few_is_told_of_its_first_call(
    place: Place, task: Any, chunks: int, message: str
) -> None:
    run = place.run(task, place.orders(chunks), chunk_items=chunks, tolerated_failures="100%")
    dead_ids = [13] if task is shop.forgetful else list(range(chunks))
    assert run.counts == Counts(chunks, chunks - len(dead_ids), len(dead_ids))
    with place.client() as client:
        dead = list(client.batches.dead_letters(run.id))
    assert [it.item for it in dead] == [{"id": number} for number in dead_ids]
    assert {str(it.failure) for it in dead} == {f"rota.WrongNumberError: {message}"}
    assert {it.failure.frame for it in dead} == {""}


def test_coroutines_run_side_by_side(place: Place) -> None:
    run = place.run(shop.fetch, place.orders(100), chunk_items=100, tolerated_failures=1)
    assert (run.counts, run.retries) == (Counts(100, 99, 1), 1)
    assert place.results() == [n for n in range(100) if n != 3]


def test_an_item_that_does_not_fit_the_schema_names_the_field(place: Place) -> None:
    items = [{"id": 1, "price": 2.5}, {"id": "x"}, {"price": 1.0}, {"id": 2, "price": "dear"}, {"id": 3}]
    run = place.run(shop.priced, place.lines(items), tolerated_failures="100%")
    assert run.counts == Counts(5, 2, 3)
    with place.client() as client:
        dead = list(client.batches.dead_letters(run.id))
    assert [it.field for it in dead] == ["$.id", "$.id", "$.price"]


def test_text_of_csv_becomes_what_the_schema_says(place: Place) -> None:
    path = place.lines(["id,price\n", "1,2.5\n", "x,1\n", "2\n"], "orders.csv")
    run = place.run(shop.priced, path, tolerated_failures="100%")
    assert run.counts == Counts(3, 1, 2)
    assert place.results() == [5.0]
    with place.client() as client:
        assert next(client.batches.dead_letters(run.id)).field == "$.id"


def test_broken_records_are_dead_letters_with_their_beginning(place: Place) -> None:
    items = ['{"id": 1}\n', '{"id": \n', '{"id": 2}\n', "nonsense\n"]
    run = place.run(shop.double, place.lines(items), tolerated_failures="50%")
    assert run.counts == Counts(4, 2, 2)
    with place.client() as client:
        dead = list(client.batches.dead_letters(run.id))
    assert [(it.item, it.broken, it.position) for it in dead] == [('{"id": ', True, 10), ("nonsense", True, 28)]
    assert dead[0].failure.message.startswith("invalid JSON")
    with (
        place.client() as client,
        pytest.raises(ConflictError, match=r"the 2 items of group 1 .* could not be decoded"),
    ):
        client.batches.redrive(run.id)


def test_a_redrive_leaves_broken_records_out(place: Place) -> None:
    items = ['{"id": \n', *(json.dumps({"id": n, "place": str(place.root)}) + "\n" for n in range(1, 8))]
    run = place.run(shop.mendable, place.lines(items), tolerated_failures="50%")
    (place.root / "mended").touch()
    with place.serve() as client:
        numbers = {one.signature.is_final: one.number for one in client.batches.failures(run.id)}
        with pytest.raises(ConflictError, match="mend the source, and start a new batch run"):
            client.batches.redrive(run.id, [numbers[True], numbers[False]])
        client.batches.redrive(run.id)
        again = client.batches.wait(run.id, PATIENCE)
    assert (again.counts, again.version) == (Counts(8, 7, 1), 2)
    assert place.verify(again) == []


def test_an_item_that_takes_too_long_fails(place: Place) -> None:
    run = place.run(shop.slow, place.orders(5), tolerated_failures=1)
    assert run.counts == Counts(5, 4, 1)
    with place.client() as client:
        [dead] = client.batches.dead_letters(run.id)
    assert dead.failure.type == "TimeoutError"


def test_a_call_that_does_not_heed_its_timeout_ends_its_worker_and_is_found(place: Place) -> None:
    run = place.run(shop.deaf, place.orders(5), tolerated_failures=1)
    assert (run.state, run.counts) == ("succeeded", Counts(5, 4, 1))
    with place.client() as client:
        [dead] = client.batches.dead_letters(run.id)
    assert (dead.item, dead.failure.type) == ({"id": 2}, "rota.WorkerDied")


def test_a_task_with_a_timeout_may_be_paced_more_slowly_than_that(place: Place) -> None:
    run = place.run(shop.slow, place.orders(2), rate_limit=0.4, concurrency=1)
    assert (run.state, run.counts) == ("succeeded", Counts(2, 2))


def test_results_that_the_sink_refuses_are_dead_letters(place: Place) -> None:
    run = place.run(
        shop.double, place.orders(12), sink=str(place.root / "out.csv"), chunk_items=5, tolerated_failures=0
    )
    assert run.state == "succeeded"
    assert (place.root / "out.csv").read_text().splitlines()[:2] == ["id,twice", "0,0"]
    other = Place(place.root / "other")
    other.root.mkdir()
    refused = other.run(
        shop.deadly, other.orders(12), sink=str(other.root / "out.csv"), chunk_items=5, tolerated_failures="100%"
    )
    assert refused.counts == Counts(12, 0, 12)
    with other.client() as client:
        [group] = client.batches.failures(refused.id)
    assert group.signature.exception == "rota.RefusedResult"
