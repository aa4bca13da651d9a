"""Outages of source and sink: those that pass are waited out, those that do not end the batch run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.aws.batch.world import CHUNKS, World, client_error, out_of_reach

import rota
from rota.connectors.s3_folder import S3Folder
from rota.core.batch import BatchKey
from rota.core.errors import StoreDeniedError, StoreError

MINUTE = 60_000


def planned(place: Path) -> tuple[World, BatchKey]:
    """A batch run of thirty items, of which no chunk has been read."""
    app = rota.App("shop")

    @app.task
    def number(item: dict[str, int]) -> int:
        return item["number"]

    (place / "numbers.jsonl").write_bytes(b"".join(b'{"number":%d}\n' % number for number in range(30)))
    app.batch("number", source="numbers.jsonl", task=number, sink="out/", chunk_items=10)
    world = World(app, place)
    key = world.start("number")
    while not world.sqs.bodies(CHUNKS):
        world.step()
    return world, key


def test_an_outage_of_ten_minutes_is_waited_out(tmp_path: Path) -> None:
    world, key = planned(tmp_path)
    until = world.clock.now() + 10 * MINUTE
    with out_of_reach(tmp_path / "numbers.jsonl"):
        while world.clock.now() < until:
            world.step()
    run = world.until_ended(key)
    assert (run.state, run.counts.succeeded, run.counts.failed) == ("succeeded", 30, 0)


def test_an_outage_that_lasts_ends_the_batch_run(tmp_path: Path) -> None:
    world, key = planned(tmp_path)
    began = world.clock.now()
    with out_of_reach(tmp_path / "numbers.jsonl"):
        run = world.until_ended(key)
    assert run.state == "failed"
    assert "numbers.jsonl" in run.error
    assert 10 * MINUTE < world.clock.now() - began < 15 * MINUTE


class Refusing:
    """S3 that refuses each call."""

    def __init__(self, code: str) -> None:
        self._code = code

    def upload_fileobj(self, *_given: Any) -> None:
        raise client_error(self._code, "it said so", 403, "PutObject")


def refused(code: str) -> StoreError:
    with pytest.raises(StoreError) as caught:
        S3Folder("s3://bucket/results", Refusing(code)).write("part", [b"1\n"])
    return caught.value


def test_a_lacking_permission_is_named_and_told_from_an_outage() -> None:
    denied, slow = refused("AccessDenied"), refused("SlowDown")
    assert "s3:PutObject" in str(denied)
    assert isinstance(denied, StoreDeniedError)
    assert not isinstance(slow, StoreDeniedError)


def test_a_source_that_is_gone_ends_the_batch_run_at_once(tmp_path: Path) -> None:
    world, key = planned(tmp_path)
    (tmp_path / "numbers.jsonl").unlink()
    began = world.clock.now()
    run = world.until_ended(key)
    assert run.state == "failed"
    assert "No such file" in run.error
    assert world.clock.now() - began < MINUTE
