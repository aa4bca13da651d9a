"""Planning over many invocations, generators, and the size that a sample stands for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.aws.batch.test_engine import check, shop
from tests.aws.batch.world import CHUNKS, PLAN, World, lines, out_of_reach

import rota
from rota.aws.batch.messages import PlanMessage, decode_batch_message
from rota.aws.batch.sizing import mean_line, sized
from rota.connectors.files import LocalFiles
from rota.connectors.open import open_source
from rota.connectors.verifying import verify_manifest
from rota.core.batch import Wish
from rota.core.chunk import ChunkSize
from rota.core.errors import SourceError
from rota.ports.source import read_all
from rota.testing import Fuse


class Short(World):
    """Functions that have hardly any time."""

    def _left(self) -> int:
        return 10_000


def test_planning_goes_on_in_the_next_function_when_time_is_short(tmp_path: Path) -> None:
    world = Short(shop(tmp_path), tmp_path)
    key = world.start("double")
    world.step()
    assert world.run(key).planned == 1
    [body] = world.sqs.bodies(PLAN)
    message = decode_batch_message(body)
    assert isinstance(message, PlanMessage)
    assert message.step == "cut"
    check(world, world.until_ended(key))


def made(place: Path, items: int = 100) -> rota.App:
    app = rota.App("made")

    @app.task
    def same(item: int) -> int:
        return item

    def numbers(payload: Any = None) -> Iterator[int]:
        yield from range(items)

    app.batch("numbers", source=numbers, task=same, sink="out/", chunk_items=10, concurrency=3)
    return app


@pytest.mark.parametrize("at", [*range(1, 30), None])
def test_a_generator_is_cut_once_whatever_dies(tmp_path: Path, at: int | None) -> None:
    world = World(made(tmp_path), tmp_path, seed=at or 0)
    key = world.start("numbers")
    fuse = Fuse(at)
    world.wrap = lambda it: it if fuse.burnt else fuse.wrap(it)
    world.restart()
    run = world.until_ended(key)
    world.drain()
    assert (run.state, run.error, run.counts.items) == ("succeeded", "", 100)
    assert lines(tmp_path / "out") == list(range(100))
    assert verify_manifest(Path(run.manifest)) == []
    assert not (Path(run.place) / "spool").exists()


def test_a_lane_is_worked_on_one_chunk_at_a_time(tmp_path: Path) -> None:
    world = World(shop(tmp_path), tmp_path)
    key = world.start("double")
    world.step()
    groups = {held.group for held in world.sqs.held[CHUNKS]}
    assert groups == {f"{key.id}#{lane}" for lane in range(3)}


def test_a_message_does_not_grow_with_its_chunk(tmp_path: Path) -> None:
    world = World(shop(tmp_path, items=5000, chunk=5000), tmp_path)
    world.start("double")
    world.step()
    [body] = world.sqs.bodies(CHUNKS)
    assert len(body) < 1000


def test_a_count_becomes_bytes_where_objects_are_large(tmp_path: Path) -> None:
    line = b'{"number":12345678,"text":"' + b"x" * 70 + b'"}\n'
    path = tmp_path / "large.jsonl"
    path.write_bytes(line * 60_000)
    assert len(line) == 100
    assert mean_line(LocalFiles(str(path))) == pytest.approx(100, rel=0.01)
    found = sized({"type": "jsonl", "path": str(path)}, ChunkSize(1000))
    assert found.items is None
    assert found.bytes == pytest.approx(100_000, rel=0.01)
    assert sized({"type": "json_array", "path": str(path)}, ChunkSize(1000)) == ChunkSize(1000)
    small = tmp_path / "small.jsonl"
    small.write_bytes(line * 10)
    assert sized({"type": "jsonl", "path": str(small)}, ChunkSize(3)) == ChunkSize(3)


@pytest.mark.parametrize("wish", ["run", "pause"])
def test_a_timeout_ends_a_batch_run_that_waits_paused_or_not(tmp_path: Path, wish: Wish) -> None:
    world = World(shop(tmp_path), tmp_path)
    key = world.start("double", timeout=3.0)
    world.step()
    world.sqs.held[CHUNKS].clear()
    world.ledger.ask(key, wish)
    run = world.until_ended(key)
    assert (run.state, run.error) == ("failed", "longer than the timeout of 3 s")


@pytest.mark.parametrize("size", [1, 7, 50, 137, 100_000])
def test_cuts_that_are_sought_together_tile_the_source_and_go_on_where_they_stopped(tmp_path: Path, size: int) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"".join(b'"%s"\n' % (b"x" * (number * 7 % 60)) for number in range(200)))
    source = open_source(str(path), seekers=4)
    chunks = list(source.plan(ChunkSize(bytes=size)))
    assert [chunk.start for chunk in chunks] == [0, *(chunk.end for chunk in chunks[:-1])]
    assert chunks[-1].last
    assert [value for chunk in chunks for value in read_all(source, chunk)] == ["x" * (n * 7 % 60) for n in range(200)]
    for stop in chunks[:: max(1, len(chunks) // 5)]:
        assert list(source.plan(ChunkSize(bytes=size), stop)) == chunks[stop.number + 1 :]


@pytest.mark.parametrize("body", [b'{"id": 1}', b'[{"id": 1},{"id": 2', b"[1" + b",1" * 200_000 + b"}"])
def test_a_source_that_no_other_try_would_help_ends_the_batch_run_at_once(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "broken.json").write_bytes(body)
    world = World(shop(tmp_path), tmp_path)
    key = world.start("double", source=f"{tmp_path}/broken.json")
    assert world.step()
    assert world.run(key).state == "finishing"
    run = world.until_ended(key)
    assert (run.state, "no intact JSON array" in run.error) == ("failed", True)


def test_a_source_that_cannot_be_read_for_now_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "numbers.jsonl"
    world = World(shop(tmp_path), tmp_path)
    key = world.start("double", source=str(path))
    path.write_bytes(b"1\n2\n")
    with out_of_reach(path), pytest.raises(SourceError):
        world.step()
    assert world.until_ended(key).counts.items == 2
