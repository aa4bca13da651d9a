"""Made-up lives of schedules and runs, each from one seed. To replay a failure, run `World(MemoryStores(), seed)`."""

from __future__ import annotations

from pathlib import Path

import pytest

from rota.embedded.sqlite.file import SqliteFile
from rota.testing import MemoryStores
from rota.testing.simulation import World, judge


def _live(seeds: range, steps: int = 60) -> tuple[int, int]:
    """Lives and judges each seed; answers how often engines died and how many runs there were."""
    deaths = runs = 0
    for seed in seeds:
        world = World(MemoryStores(), seed)
        try:
            world.live(steps)
            judge(world)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        deaths += world.engine.deaths
        runs += len(world.engine.begun)
    return deaths, runs


def test_hundreds_of_lives_keep_every_invariant() -> None:
    deaths, runs = _live(range(200))
    assert deaths > 100, "the simulation must kill engines, or it shows nothing"
    assert runs > 2000


def test_the_same_seed_lives_the_same_life() -> None:
    first, second = World(MemoryStores(), 11), World(MemoryStores(), 11)
    first.live(80)
    second.live(80)
    assert first.engine.begun == second.engine.begun
    assert list(first.lives) == list(second.lives)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(6))
def test_thousands_of_lives_keep_every_invariant(block: int) -> None:
    _live(range(1000 * (block + 1), 1000 * (block + 2)), steps=60)


def _live_on_disk(folder: Path, seeds: range, steps: int) -> None:
    for seed in seeds:
        file = SqliteFile(folder / f"{seed}.db", "process")
        world = World(file, seed)
        try:
            world.live(steps)
            judge(world)
            assert file.check() == []
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        finally:
            file.close()


def test_lives_on_disk_keep_every_invariant(tmp_path: Path) -> None:
    _live_on_disk(tmp_path, range(40), steps=25)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(8))
def test_many_lives_on_disk_keep_every_invariant(tmp_path: Path, block: int) -> None:
    _live_on_disk(tmp_path, range(25 * block, 25 * (block + 1)), steps=60)
