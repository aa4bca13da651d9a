"""Every kind of source and sink through real workers, and what goes wrong before the first item."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.batch import shop
from tests.batch.running import PATIENCE, Place

from rota import wiring
from rota.app import App
from rota.connectors.options import Csv, SqliteTable
from rota.core.batch import BatchKey
from rota.core.completion import Verdict
from rota.core.receipt import Counts


def quoted_csv(rows: int) -> str:
    """Rows whose texts look like rows."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["id", "text"])
    for number in range(rows):
        writer.writerow([number, "x\n1,2\n\n3,4\n" * (number % 7)])
    return text.getvalue()


def test_chunks_that_were_cut_by_guess_meet_in_the_end(place: Place) -> None:
    path = place.root / "orders.csv"
    path.write_text(quoted_csv(400), newline="")
    run = place.run(
        shop.priced, Csv(str(path)), chunk_items=None, chunk_bytes=300, tolerated_failures="0%", concurrency=2
    )
    assert (run.state, run.error) == ("succeeded", "")
    assert run.counts == Counts(400, 400)
    assert place.verify(run) == []


def test_a_compressed_stream_is_planned_as_it_is_read(place: Place) -> None:
    path = place.root / "orders.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(b'{"id": %d}\n' % number for number in range(205))))
    run = place.run(shop.double, str(path))
    assert (run.counts, run.sealed) == (Counts(205, 205), 21)
    assert [it["id"] for it in place.results()] == list(range(205))
    assert place.verify(run) == []


def test_a_truncated_stream_ends_the_batch_run(place: Place) -> None:
    path = place.root / "orders.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(b'{"id": %d}\n' % number for number in range(20_000)))[:-2000])
    run = place.run(shop.double, str(path))
    assert run.state == "failed"
    assert "orders.jsonl.gz" in run.error


def test_one_file_holds_all_results_in_order_and_those_of_a_redrive(place: Place) -> None:
    items = [{"id": number, "place": str(place.root)} for number in range(1, 40)]
    sink = place.root / "out.jsonl"
    run = place.run(shop.mendable, place.lines(items), sink=str(sink), tolerated_failures="50%")
    assert [json.loads(line)["id"] for line in sink.read_text().splitlines()] == [
        n for n in range(1, 40) if n % 7 and n % 11
    ]
    assert place.verify(run) == []
    (place.root / "mended").touch()
    with place.serve() as client:
        client.batches.redrive(run.id)
        again = client.batches.wait(run.id, PATIENCE)
    assert again.counts == Counts(39, 36, 3)
    assert sorted(json.loads(line)["id"] for line in sink.read_text().splitlines()) == [
        n for n in range(1, 40) if n % 11
    ]
    assert place.verify(again) == []


def test_a_table_gets_each_result_by_its_key(place: Place) -> None:
    table = SqliteTable(str(place.root / "out.db"), "doubled", "id")
    run = place.run(shop.double, place.orders(100), sink=table)
    assert (run.state, run.error) == ("succeeded", "")
    with sqlite3.connect(place.root / "out.db") as out:
        assert out.execute("SELECT id, twice FROM doubled ORDER BY id").fetchall() == [(n, 2 * n) for n in range(100)]


def test_a_sink_that_cannot_be_opened_ends_the_batch_run(place: Place) -> None:
    (place.root / "out.db").write_text("no database")
    table = SqliteTable(str(place.root / "out.db"), "doubled", "id")
    run = place.run(shop.double, place.orders(10), sink=table)
    assert run.state == "failed"
    assert "the sink cannot be used" in run.error


def test_a_task_that_workers_cannot_find_ends_the_batch_run(place: Place) -> None:
    @place.app.task
    def inner(item: object) -> object:
        return item

    run = place.run(inner, place.orders(5))
    assert run.state == "failed"
    assert "must be at the top of that module" in run.error


def test_an_app_without_the_task_ends_the_batch_run(place: Place) -> None:
    place.batch(shop.double, place.orders(5))
    with place.client() as client:
        started = client.batches.start("orders")
    # Who starts is refused an unknown task; an older release of the app may serve.
    with wiring.engine(place.url, App("shop"), durability="process", grace=60.0) as client:
        run = client.batches.wait(started.id, PATIENCE)
    assert run.state == "failed"
    assert "no task 'double'" in run.error


def test_an_end_that_a_crash_cut_off_is_finished_by_the_next_engine(place: Place) -> None:
    place.batch(shop.sleepy, place.orders(100), notify=["queue:told"])
    with place.serve() as client:
        run = client.batches.start("orders")
        while client.batches.get(run.id).done < 2:
            pass
    with closing(wiring.database(place.url)) as file:
        key = BatchKey(run.name, run.created)
        assert file.batches.decide(key, Verdict("failed", "decided, and then the power went"))
    with place.serve() as client:
        ended = client.batches.wait(run.id, PATIENCE)
        assert (ended.state, ended.error) == ("failed", "decided, and then the power went")
        assert len(client.queues.receive("told", limit=9, wait=PATIENCE)) == 1
    assert Path(ended.place).exists()
