"""`rate_limit` in each topology: all who work at the same time, each at its pace, keep to it together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from tests.aws.batch import map_shop
from tests.aws.batch.map_stack import MapStack
from tests.aws.batch.pipe_world import PipeWorld
from tests.aws.batch.test_map_parts import Map, items
from tests.aws.batch.world import World

from rota.app import App
from rota.aws.batch.benches import Bench, Benches
from rota.aws.batch.map_work import MapWorker
from rota.aws.batch.pipe_sink import PassingBenches
from rota.aws.batch.pipe_steps import PipeProcessor
from rota.aws.batch.processor import Processor
from rota.core.batch import BatchRun
from rota.processing.calls import Calls, Ended
from rota.system import SystemClock
from rota.testing.emulator import Emulator

LIMIT = 60.0
LANES = 3
PACE = LANES / LIMIT
"""Seconds that an item takes in each lane, so that there are as many a second as the limit says."""


class Watched:
    """Calls that note their pace, and keep nobody waiting for it."""

    def __init__(self, calls: Calls, paces: list[tuple[float, int]]) -> None:
        self._calls = calls
        self._paces = paces

    def __getattr__(self, name: str) -> Any:
        return getattr(self._calls, name)

    def attempt(
        self, values: Sequence[object], base: int, pace: float = 0.0, tried: Sequence[int] | None = None
    ) -> Ended:
        self._paces.append((pace, len(values)))
        return self._calls.attempt(values, base, 0.0, tried)


class Watching(Benches):
    """Note at which pace how many items are attempted."""

    def __init__(self, app: App, patience: float = math.inf) -> None:
        super().__init__(app.tasks, app.batches, patience)
        self.paces: list[tuple[float, int]] = []

    def bench(self, run: BatchRun) -> Bench:
        made = super().bench(run)
        return made._replace(calls=cast("Calls", Watched(made.calls, self.paces)))

    @property
    def items(self) -> int:
        """All of them, each at the pace that there is to be."""
        assert {pace for pace, _ in self.paces} == {PACE}
        return sum(number for _, number in self.paces)


class WatchingPassing(Watching, PassingBenches):
    """Likewise, of a pipeline."""


def plain(place: Path) -> App:
    app = App("plain")

    @app.task
    def same(item: int) -> int:
        return item

    (place / "numbers.jsonl").write_bytes(b"".join(b"%d\n" % number for number in range(100)))
    app.batch("numbers", source="numbers.jsonl", task=same, sink="out/{run}/", chunk_items=10)
    return app


def test_lanes_of_a_queue_keep_to_it_together(tmp_path: Path) -> None:
    world = World(plain(tmp_path), tmp_path)
    watching = Watching(world.app)
    world.processor = Processor(world.ledger, world.post, world.clock, watching)
    run = world.until_ended(world.start("numbers", rate_limit=LIMIT, concurrency=LANES))
    assert watching.items == run.counts.items == 100


def test_lanes_of_a_pipeline_keep_to_it_together(tmp_path: Path) -> None:
    world = PipeWorld(plain(tmp_path), tmp_path)
    watching = WatchingPassing(world.app)
    world.processor = PipeProcessor(world.ledger, world.post, world.clock, watching)
    run = world.until_ended(world.start("numbers", topology="pipeline", rate_limit=LIMIT, concurrency=LANES))
    assert watching.items == run.counts.items == 100


def test_children_of_a_map_keep_to_it_together(aws: Emulator) -> None:
    del aws
    stack = MapStack(map_shop.app, "map_shop", Path(map_shop.__file__))
    it = Map(stack, items(12), rate_limit=LIMIT, concurrency=LANES, chunk_items=4)
    watching = Watching(map_shop.app)
    it.worker = MapWorker(it.ledger, SystemClock(), watching)
    it.work([0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11])
    it.finish()
    assert watching.items == it.ended().counts.items == 12
    assert it.state["concurrency"] == LANES
