"""Pausing, cancelling, limits, restarts, redrives, notifications."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.batch import shop
from tests.batch.running import PATIENCE, Place

from rota.app import App
from rota.cli.batch_shapes import items_of
from rota.connectors.options import Generator, SqliteTable
from rota.core.batch import BatchRun
from rota.core.chunk import ChunkSize
from rota.core.errors import ConflictError, InvalidError, NotFoundError, SourceError
from rota.core.receipt import Counts
from rota.core.triggers import At


def until(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def test_a_paused_batch_run_goes_on_where_it_was(place: Place) -> None:
    place.batch(shop.sleepy, place.orders(300))
    with place.serve() as client:
        run = client.batches.start("orders")
        until(lambda: client.batches.get(run.id).done >= 2)
        assert client.batches.pause(run.id).shown_state == "paused"
        done = -1
        while done != (done := client.batches.get(run.id).done):  # what was begun ends
            time.sleep(0.5)
        assert done < 30
        client.batches.resume(run.id)
        ended = client.batches.wait(run.id, PATIENCE)
    assert (ended.state, ended.counts) == ("succeeded", Counts(300, 300))
    assert place.results() == list(range(300))


def test_another_process_can_cancel(place: Place) -> None:
    place.batch(shop.sleepy, shop.endless)
    with place.serve() as client, place.client() as other:
        run = client.batches.start("orders")
        until(lambda: client.batches.get(run.id).done >= 2)
        other.batches.cancel(run.id)
        ended = client.batches.wait(run.id, PATIENCE)
        assert ended.state == "cancelled"
        assert ended.counts.items == ended.counts.succeeded == ended.done * 10
        with pytest.raises(ConflictError, match="cancelled already"):
            client.batches.pause(run.id)


def test_a_batch_run_that_takes_too_long_fails(place: Place) -> None:
    run = place.run(shop.sleepy, shop.endless, timeout=0.5)
    assert (run.state, run.error) == ("failed", "longer than the timeout of 0.5 s")


@pytest.mark.parametrize("chunk_items", [1, 20])
def test_the_rate_is_limited(place: Place, chunk_items: int) -> None:
    run = place.run(shop.double, place.orders(60), rate_limit=80.0, chunk_items=chunk_items)
    assert run.counts == Counts(60, 60)
    assert run.started is not None
    assert run.finished is not None
    first_of_each_worker = 2
    assert run.counts.items - first_of_each_worker <= 80 * (run.finished - run.started) / 1000


def test_a_stopped_engine_leaves_the_rest_to_the_next(place: Place) -> None:
    place.batch(shop.sleepy, place.orders(300))
    with place.serve() as client:
        run = client.batches.start("orders")
        until(lambda: client.batches.get(run.id).done >= 2)
    parts = {path.name: path.stat().st_mtime_ns for path in (place.root / "results").glob("part-*")}
    with place.serve() as client:
        before = client.batches.get(run.id)
        assert (before.state, len(parts)) == ("running", before.done)
        ended = client.batches.wait(run.id, PATIENCE)
    assert (ended.state, ended.counts) == ("succeeded", Counts(300, 300))
    assert {name: (place.root / "results" / name).stat().st_mtime_ns for name in parts} == parts
    assert place.results() == list(range(300))
    assert place.verify(ended) == []


def test_a_generator_gets_the_payload_and_goes_on_after_a_restart(place: Place) -> None:
    place.batch(shop.sleepy, shop.numbers)
    with place.serve() as client:
        run = client.batches.start("orders", payload=400)
        until(lambda: client.batches.get(run.id).done >= 2)
    with place.serve() as client:
        ended = client.batches.wait(run.id, PATIENCE)
    assert (ended.state, ended.counts) == ("succeeded", Counts(400, 400))
    assert place.results() == list(range(400))
    assert not (Path(ended.place) / "spool").exists()


def test_a_source_that_changes_is_noticed(place: Place) -> None:
    place.batch(shop.sleepy, place.orders(300))
    with place.serve() as client:
        run = client.batches.start("orders")
        until(lambda: client.batches.get(run.id).done >= 2)
        place.orders(200)
        ended = client.batches.wait(run.id, PATIENCE)
    assert ended.state == "failed"
    assert "changed during the batch run" in ended.error


def test_a_generator_that_breaks_ends_the_batch_run(place: Place) -> None:
    run = place.run(shop.double, shop.breaks)
    assert run.state == "failed"
    assert "failed after 1 items: OSError: the well is dry" in run.error


def test_results_of_another_batch_run_are_left_alone(place: Place) -> None:
    place.run(shop.double, place.orders(20))
    with place.client() as client:
        with pytest.raises(ConflictError, match="already holds the results of batch run 'orders@"):
            client.batches.start("orders")
        assert len(client.batches.list()) == 1
    assert len(place.results()) == 20


def test_a_sink_that_another_batch_run_took_since_is_left_alone(place: Place) -> None:
    place.batch(shop.double, place.orders(20))
    with place.client() as client:
        started = [client.batches.start("orders").id for _ in range(2)]
    with place.serve() as client:
        ended = [client.batches.wait(id, PATIENCE) for id in started]
    assert sorted(run.state for run in ended) == ["failed", "succeeded"]
    [failed] = [run for run in ended if run.state == "failed"]
    assert "already holds the results of batch run" in failed.error
    assert len(place.results()) == 20


def test_each_batch_run_may_have_its_own_place(place: Place) -> None:
    place.batch(shop.double, place.orders(20), sink=str(place.root / "{run}") + "/")
    with place.serve() as client:
        runs = [client.batches.wait(client.batches.start("orders").id, PATIENCE) for _ in range(2)]
    assert [run.state for run in runs] == ["succeeded"] * 2
    assert all(list((place.root / run.id).glob("part-*")) for run in runs)


def test_bad_input_is_refused_before_anything_is_stored(place: Place) -> None:
    place.batch(shop.double, str(place.root / "missing.jsonl"))
    with place.client() as client:
        with pytest.raises(SourceError, match=r"missing\.jsonl"):
            client.batches.start("orders")
        with pytest.raises(NotFoundError, match="the app declares orders"):
            client.batches.start("order")
        with pytest.raises(InvalidError, match="source"):
            client.batches.start("orders", source="items.txt")
        with pytest.raises(InvalidError, match="tolerated_failures"):
            client.batches.start("orders", tolerated_failures="many")
        assert client.batches.list() == []


def needs_more(start: int, payload: object, more: int) -> Iterator[int]:
    yield start + more


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"task": "nosuch"}, "task"),
        ({"notify": ["task:nope"]}, "notify"),
        ({"notify": ["batch:nope"]}, "notify"),
        ({"sink": "/proc/results/"}, "sink"),
        ({"sink": "/proc/results.jsonl"}, "sink"),
        ({"sink": SqliteTable("/nowhere/results.db", "t", "id")}, "sink"),
        ({"source": needs_more}, "source"),
    ],
)
def test_what_cannot_work_is_not_accepted(place: Place, options: dict[str, Any], field: str) -> None:
    place.batch(**{"task": shop.double, "source": place.orders(2), **options})
    with place.client() as client:
        for look in (client.batches.prepare, client.batches.start):
            with pytest.raises(InvalidError, match="is not allowed") as refused:
                look("orders")
            assert refused.value.field == field
        assert client.batches.list() == []


def test_what_is_declared_may_be_overridden_at_start(place: Place) -> None:
    place.batch(shop.double, place.orders(2), rate_limit=5, timeout=60, notify="queue:a")
    with place.client() as client:
        declared = client.batches.prepare("orders").spec
        options: Any = {"chunk_bytes": 100, "rate_limit": 7, "timeout": 9, "notify": ["queue:b", "queue:c"]}
        spec = client.batches.prepare("orders", **options).spec
        assert client.batches.prepare("orders", chunk_items=3, chunk_bytes=9).spec.size == ChunkSize(3, 9)
    assert [str(one) for one in declared.notify] == ["queue:a"]
    assert (spec.size, spec.rate_limit, spec.timeout) == (ChunkSize(None, 100), 7, 9)
    assert [str(one) for one in spec.notify] == ["queue:b", "queue:c"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"task": None}, "task: None is not allowed; a task of this app, or its name, is"),
        ({"task": "queue:a"}, "task: 'queue:a' is not allowed; a task of this app, or its name, is"),
        ({"notify": "q"}, "notify: 'q' is not allowed; a task, 'task:NAME'"),
        ({"notify": [5]}, "notify: 5 is not allowed; a task, 'task:NAME'"),
        ({"notify": "http://127.0.0.1:8000/"}, "notify.url: 'http://127.0.0.1:8000/' is not allowed; 127.0.0.1 is not"),
    ],
)
def test_a_declaration_that_is_wrong_is_told_by_its_own_names(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidError) as refused:
        App("x").batch("b", **{"source": "x.jsonl", "task": "t", **options})
    assert str(refused.value).startswith(said)


def test_a_generator_is_a_function() -> None:
    with pytest.raises(InvalidError, match="source: 5 is not allowed; a function"):
        Generator(5)  # type: ignore[arg-type]


def redriven(place: Place, run: BatchRun, groups: list[int | str] | None) -> BatchRun:
    with place.serve() as client:
        client.batches.redrive(run.id, groups)
        return client.batches.wait(run.id, PATIENCE)


def test_a_redrive_reruns_one_group_and_adds_a_version(place: Place) -> None:
    items = [{"id": n, "place": str(place.root)} for n in range(1, 60)]
    run = place.run(shop.mendable, place.lines(items), tolerated_failures="50%", notify=["queue:told"])
    elevens, sevens = 5, 8
    assert run.counts == Counts(59, 59 - elevens - sevens, elevens + sevens)
    with place.client() as client:
        groups = {one.message: one for one in client.batches.failures(run.id)}
    (place.root / "mended").touch()
    again = redriven(place, run, [groups["seven"].id])
    assert (again.state, again.version, again.revision) == ("succeeded", 2, 1)
    assert again.counts == Counts(59, 59 - elevens, elevens)
    assert items_of(again) == f"59, {sevens} attempted again"
    assert sorted(it["id"] for it in place.results()) == [n for n in range(1, 60) if n % 11]
    assert place.verify(again) == []
    receipts = [json.loads((place.root / "results" / name).read_text()) for name in ("receipt.json", "receipt.v2.json")]
    assert receipts[1]["previous"] == receipts[0]["root"]
    with place.client() as client:
        assert client.queues.sizes()["told"] == 1, "the outcome is what it was"
        assert [it.item["id"] for it in client.batches.dead_letters(run.id)] == [11, 22, 33, 44, 55]  # type: ignore[index]
        for gone in (7, groups["seven"].id):
            with pytest.raises(InvalidError, match="a group from 1 to 1 is, or the id of one"):
                client.batches.redrive(run.id, [gone])
        [left] = client.batches.failures(run.id)
        assert (left.number, left.id) == (1, groups["eleven"].id), "the number moves up, the id stays"
        assert len(list(client.batches.dead_letters(run.id, left.id))) == elevens


def test_a_redrive_that_helps_nothing_leaves_nothing_among_the_results(place: Place) -> None:
    items = [{"id": n, "place": str(place.root)} for n in range(1, 60)]
    run = place.run(shop.mendable, place.lines(items), tolerated_failures="50%")
    again = redriven(place, run, None)
    assert (again.state, again.counts, again.version) == ("succeeded", run.counts, 2)
    assert place.verify(again) == []


def test_a_redrive_that_changes_the_outcome_tells_again(place: Place) -> None:
    items = [{"id": n, "place": str(place.root)} for n in range(1, 10)]
    run = place.run(shop.mendable, place.lines(items), notify=["queue:told"])
    assert run.state == "failed"
    (place.root / "mended").touch()
    again = redriven(place, run, None)
    assert (again.state, again.counts) == ("succeeded", Counts(9, 9))
    with place.serve() as client:
        until(lambda: client.queues.sizes().get("told", 0) == 2)
        told = [json.loads(message.body) for message in client.queues.receive("told", limit=9)]
    assert sorted(it["outcome"] for it in told) == ["failed", "succeeded"]
    assert {it["batch_run"] for it in told} == {run.id}


def test_a_batch_is_a_target_of_schedules(place: Place) -> None:
    place.batch(shop.double, shop.numbers, notify=["queue:told"])
    place.app.schedule("nightly", At(time.time()), "batch:orders", payload=25)
    with place.serve() as client:
        until(lambda: client.queues.sizes().get("told"))
        [run] = client.batches.list()
        [message] = client.queues.receive("told")
    assert (run.state, run.counts) == ("succeeded", Counts(25, 25))
    assert run.cause.startswith("nightly@")
    assert json.loads(message.body)["succeeded"] == 25
    assert message.run_id == f"orders:succeeded:0.1@{run.id.partition('@')[2]}"
