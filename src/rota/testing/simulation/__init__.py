"""Deterministic simulation: a made-up life of schedules and runs from one seed, and the checker that judges it.

    world = World(MemoryStores(), seed=7)
    world.live(steps=60)
    judge(world)

An engine decides ticks, attempts runs and settles them through stores that die under it at a random call, before or
after that takes effect; users create, update, pause, trigger, cancel, delete and redrive between its calls, and die
too; the clock goes forward, leaps, and steps back. The same seed lives the same life, so a failure can be replayed.
"""

from rota.testing.simulation.engine import Engine
from rota.testing.simulation.judge import judge
from rota.testing.simulation.world import World

__all__ = ["Engine", "World", "judge"]
