"""Batch runs of the topology map, run whole by the emulator's Step Functions and Lambda."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.aws.batch import map_shop
from tests.aws.batch.map_stack import BUCKET, MapStack

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
