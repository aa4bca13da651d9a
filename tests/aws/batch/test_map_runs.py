"""Batch runs of the topology map, run whole by the emulator's Step Functions and Lambda."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.aws.batch import map_shop
from tests.aws.batch.map_stack import BUCKET, MapStack

from rota.aws.batch.messages import PlanMessage
from rota.core.batch import BatchRun
from rota.core.errors import ConflictError, InvalidError, SourceError
from rota.core.receipt import Counts
from rota.testing.emulator import Emulator

SHOP = Path(map_shop.__file__)


@pytest.fixture
def stack(aws: Emulator) -> MapStack:
    return MapStack(map_shop.app, "map_shop", SHOP)


def items(number: int, failing: float, cured: str = "") -> list[dict[str, Any]]:
    """Of every ten, the first `failing` tenths fail."""
    return [{"id": at, "price": at / 3, "fails": at % 10 < failing * 10, "cured": cured} for at in range(number)]


def results(stack: MapStack, id: str) -> list[int]:
    """The items that have results, in the order of the parts."""
    found = stack.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"out/{id}/part-").get("Contents", ())
    bodies = [stack.s3.get_object(Bucket=BUCKET, Key=it["Key"])["Body"].read() for it in found]
    return [msgspec.json.decode(line)["id"] for body in bodies for line in body.splitlines()]


def test_failures_under_the_tolerance_are_dead_letters_that_a_redrive_brings_back(
    stack: MapStack, tmp_path: Path
) -> None:
    cured = tmp_path / "cured"
    given = items(1_000, 0.4, str(cured))
    map_shop.declare(
        stack.put("in/items.json", json.dumps(given).encode()), tolerated_failures="50%", notify=["queue:told"]
    )
    run = stack.client.start("prices")
    ended = stack.ended(run.id)
    assert (ended.state, ended.error) == ("succeeded", "")
    assert ended.counts == Counts(1_000, 600, 400)
    assert results(stack, run.id) == [it["id"] for it in given if not it["fails"]]
    assert [it["status"] for it in stack.executions()] == ["SUCCEEDED"]
    assert stack.messages("failures") == []
    [group] = stack.client.failures(run.id)
    assert (group.count, group.signature.exception) == (400, "ValueError")
    dead = [one.item["id"] for one in stack.client.dead_letters(run.id)]  # type: ignore[index]
    assert dead == [it["id"] for it in given if it["fails"]]
    assert stack.client.verify(run.id) == []
    cured.touch()
    stack.client.redrive(run.id, [group.number])
    again = stack.ended(run.id)
    assert (again.state, again.counts) == ("succeeded", Counts(1_000, 1_000))
    assert sorted(results(stack, run.id)) == list(range(1_000))
    assert list(stack.client.dead_letters(run.id)) == []
    assert stack.client.verify(run.id) == []
    assert len(stack.executions()) == 2


def test_failures_over_the_tolerance_are_told_once(stack: MapStack) -> None:
    map_shop.declare(stack.put("in/items.json", json.dumps(items(1_000, 0.6)).encode()), tolerated_failures="50%")
    run = stack.client.start("prices")
    ended = stack.ended(run.id)
    assert ended.state == "failed"
    assert ended.error == "600 of 1000 items failed, more than the tolerated 50%"
    assert ended.counts == Counts(1_000, 400, 600)
    [told] = [json.loads(it) for it in stack.messages("failures")]
    assert told["batch_run"] == run.id
    assert told["error"] == ended.error
    assert (told["items"], told["failed"]) == (1_000, 600)
    assert [(it["status"], it["error"], it["cause"]) for it in stack.executions()] == [
        ("FAILED", "rota.BatchFailed", ended.error)
    ]
    assert stack.client.verify(run.id) == []


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_json_lines_and_csv_files_are_read(stack: MapStack) -> None:
    rows = "".join(f"{at},{at / 3},\n" for at in range(250))
    for source in (
        stack.put("in/items.jsonl", lines(items(250, 0))),
        stack.put("in/items.csv", f"id,price,fails\n{rows}".encode()),
    ):
        map_shop.declare(source)
        run = stack.client.start("prices")
        ended = stack.ended(run.id)
        assert (ended.state, ended.error, ended.counts) == ("succeeded", "", Counts(250, 250))
        assert results(stack, run.id) == list(range(250))
        assert stack.client.verify(run.id) == []


def test_each_of_many_objects_is_a_chunk(stack: MapStack) -> None:
    given = items(60, 0.1)
    for number in range(6):
        stack.put(f"in/{number}.jsonl", lines(given[10 * number : 10 * number + 10]))
    stack.put("in/readme.txt", b"none of them")
    map_shop.declare(f"s3://{BUCKET}/in/*.jsonl", tolerated_failures=6)
    run = stack.client.start("prices")
    ended = stack.ended(run.id)
    assert (ended.state, ended.error, ended.counts) == ("succeeded", "", Counts(60, 54, 6))
    assert (ended.sealed, ended.done) == (6, 6)
    assert [one.item["id"] for one in stack.client.dead_letters(run.id)] == [0, 10, 20, 30, 40, 50]  # type: ignore[index]
    assert stack.client.verify(run.id) == []


def test_skipped_items_count(stack: MapStack) -> None:
    given = [{**it, "skipped": it["id"] == 7} for it in items(20, 0)]
    map_shop.declare(stack.put("in/items.json", json.dumps(given).encode()), sink=None)
    ended = stack.ended(stack.client.start("prices").id)
    assert ended.counts == Counts(20, 19, 0, 1)


def test_a_source_without_items_succeeds(stack: MapStack) -> None:
    map_shop.declare(stack.put("in/items.json", b"[]"))
    ended = stack.ended(stack.client.start("prices").id)
    assert (ended.state, ended.error, ended.counts) == ("succeeded", "", Counts(0, 0))


def test_the_items_that_kill_functions_are_found_and_no_other_is_lost(stack: MapStack) -> None:
    given = [{**it, "kills": it["id"] in (7, 23, 24)} for it in items(40, 0)]
    map_shop.declare(stack.put("in/items.json", json.dumps(given).encode()), chunk_items=10, tolerated_failures=3)
    run = stack.client.start("prices")
    ended = stack.ended(run.id)
    assert (ended.state, ended.error, ended.counts) == ("succeeded", "", Counts(40, 37, 3))
    [group] = stack.client.failures(run.id)
    assert (group.count, group.signature.exception) == (3, "rota.WorkerDied")
    assert [one.item["id"] for one in stack.client.dead_letters(run.id)] == [7, 23, 24]  # type: ignore[index]
    assert results(stack, run.id) == [at for at in range(40) if at not in (7, 23, 24)]
    assert stack.client.verify(run.id) == []


def test_a_map_whose_sink_does_not_work_has_failed_and_is_redriven_once_it_does(stack: MapStack) -> None:
    source = stack.put("in/items.json", json.dumps(items(40, 0)).encode())
    map_shop.declare(source, chunk_items=10, sink="s3://other-bucket/out/{run}/")
    stack.s3.create_bucket(Bucket="other-bucket")
    run = stack.client.start("prices")
    stack.s3.delete_bucket(Bucket="other-bucket")
    ended = stack.ended(run.id)
    assert ended.state == "failed"
    assert "States.ExceedToleratedFailureThreshold" in ended.error
    assert len(stack.messages("failures")) == 1
    stack.s3.create_bucket(Bucket="other-bucket")
    stack.client.redrive(run.id)
    again = stack.ended(run.id)
    assert (again.state, again.error, again.counts) == ("succeeded", "", Counts(40, 40))
    assert stack.client.verify(run.id) == []


def test_a_source_that_changed_meanwhile_is_noticed(stack: MapStack) -> None:
    given = items(40, 0)
    source = stack.put("in/items.json", json.dumps([{**given[0], "replaces": "in/items.json"}, *given]).encode())
    map_shop.declare(source)
    ended = stack.ended(stack.client.start("prices").id)
    assert (ended.state, ended.error) == ("failed", f"source '{source}' changed during the batch run")


def slow_items(stack: MapStack, number: int = 80) -> None:
    """Each is a chunk, and takes a quarter of a second."""
    given = [{**it, "waits": 0.25} for it in items(number, 0)]
    map_shop.declare(stack.put("in/items.json", json.dumps(given).encode()), chunk_items=1)


def some_done(stack: MapStack, id: str) -> BatchRun:
    """The batch run, once it shows that something is done and something is not."""
    until = time.monotonic() + 60
    while not (shown := stack.client.get(id)).done:
        assert time.monotonic() < until, shown
        time.sleep(0.1)
    return shown


def test_a_batch_run_that_is_cancelled_keeps_what_was_done_and_its_redrive_does_the_rest(stack: MapStack) -> None:
    slow_items(stack)
    run = stack.client.start("prices")
    stack.turn()
    shown = some_done(stack, run.id)
    assert shown.counts.items == shown.done < 80
    assert shown.about == pytest.approx(80, rel=0.2)
    stack.client.cancel(run.id)
    ended = stack.ended(run.id)
    assert ended.state == "cancelled"
    assert shown.done <= ended.done < 80
    assert len(results(stack, run.id)) == ended.done
    stack.client.redrive(run.id)
    again = stack.ended(run.id)
    assert (again.state, again.counts) == ("succeeded", Counts(80, 80))
    assert results(stack, run.id) == list(range(80))
    assert stack.client.verify(run.id) == []


def test_a_pause_ends_the_execution_and_another_goes_on(stack: MapStack) -> None:
    slow_items(stack)
    run = stack.client.start("prices")
    stack.turn()
    some_done(stack, run.id)
    stack.client.pause(run.id)
    until = time.monotonic() + 60
    while [it["status"] for it in stack.executions()] != ["SUCCEEDED"]:
        assert time.monotonic() < until, stack.executions()
        time.sleep(0.1)
    paused = stack.client.get(run.id)
    assert (paused.shown_state, 0 < paused.done < 80) == ("paused", True)
    stack.client.resume(run.id)
    ended = stack.ended(run.id)
    assert (ended.state, ended.counts) == ("succeeded", Counts(80, 80))
    assert len(stack.executions()) == 2
    assert sorted(results(stack, run.id)) == list(range(80))
    assert stack.client.verify(run.id) == []


def test_a_map_may_be_cancelled_before_it_begins_and_while_it_is_paused(stack: MapStack) -> None:
    slow_items(stack, 4)
    first = stack.client.start("prices")
    stack.client.cancel(first.id)
    assert stack.ended(first.id).state == "cancelled"
    second = stack.client.start("prices")
    stack.client.pause(second.id)
    stack.turn()
    stack.client.cancel(second.id)
    assert stack.ended(second.id).state == "cancelled"
    assert stack.client.get(second.id).counts == Counts(0, 0)


def test_an_execution_that_somebody_stopped_does_not_leave_its_batch_run_open(stack: MapStack) -> None:
    given = [{**it, "waits": 0.5} for it in items(200, 0)]
    map_shop.declare(stack.put("in/items.json", json.dumps(given).encode()), chunk_items=1)
    run = stack.client.start("prices")
    stack.turn()
    [execution] = stack.executions()
    stack.states.stop_execution(executionArn=execution["executionArn"])
    stack.batches.post.plan(PlanMessage(run.id, "open", "sweep"))
    stack.turn()
    ended = stack.ended(run.id)
    assert (ended.state, ended.error) == ("failed", "its execution ended as ABORTED and left it unfinished")


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("s3://shop-bucket/in/none.json", {}, "does not exist"),
        ("s3://no-bucket/in/items.json", {}, "there is no bucket 'no-bucket'"),
        ("s3://shop-bucket/in/broken.json", {}, "no intact JSON array"),
        ("s3://shop-bucket/in/object.json", {}, "it holds an object"),
        ("s3://shop-bucket/in/broken.json", {"topology": "queue"}, "no intact JSON array"),
        ("s3://shop-bucket/in/long.json", {}, "items of less than 262,144 bytes"),
        ("s3://shop-bucket/in/wide.csv", {}, "a header of at most 10,240 bytes"),
        ("s3://shop-bucket/in/items.tsv", {}, "with commas"),
        ("s3://shop-bucket/in/items.json.gz", {}, "not compressed"),
        ("s3://shop-bucket/in/items.json", {"tolerated_failures": "101%"}, "tolerated_failures"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_stored(
    stack: MapStack, source: str, options: dict[str, Any], said: str
) -> None:
    stack.put("in/items.json", b"[]")
    stack.put("in/items.json.gz", b"")
    stack.put("in/items.tsv", b"id\tprice\n")
    stack.put("in/broken.json", b'[{"id":1},{"id":2')
    stack.put("in/object.json", b'{"id":1}')
    stack.put("in/long.json", json.dumps(["x" * 300_000]).encode())
    stack.put("in/wide.csv", ",".join(f"column{at}" for at in range(2_000)).encode() + b"\n")
    with pytest.raises((InvalidError, SourceError)) as refused:
        _started(stack, source, options)
    assert said in str(refused.value)
    assert stack.client.list() == []


@pytest.mark.parametrize("topology", ["map", "queue"])
def test_a_sink_that_holds_the_results_of_another_is_refused_before_anything_is_stored(
    stack: MapStack, topology: str
) -> None:
    source = stack.put("in/items.json", b"[]")
    stack.put("held/rota-run.json", b'{"run": "prices@2026-01-01T00:00:00Z"}')
    map_shop.declare(source, sink=f"s3://{BUCKET}/held/", topology=topology)
    with pytest.raises(ConflictError, match="already holds the results of batch run 'prices@2026-01-01T00:00:00Z'"):
        stack.client.start("prices")
    assert stack.client.list() == []


def _started(stack: MapStack, source: str, options: dict[str, Any]) -> None:
    map_shop.declare(source, **options)
    stack.client.start("prices")
