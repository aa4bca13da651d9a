"""The parts of batch runs that every function and every client of a stack puts together the same way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from rota.app import App
from rota.aws.batch.benches import Benches
from rota.aws.batch.dead import BatchDead
from rota.aws.batch.finalizer import Finalizer
from rota.aws.batch.map_plan import check_map
from rota.aws.batch.map_start import MapStarter
from rota.aws.batch.planner import Planner
from rota.aws.batch.post import Post
from rota.aws.batch.processor import Processor
from rota.aws.batch.sending import SendingBatches
from rota.aws.batch.settings import CORES, BatchSettings
from rota.aws.batch.sweeper import Sweeper
from rota.aws.batch_cost import MEMORY
from rota.aws.dynamo.batches import DynamoBatches
from rota.aws.engine import Parts
from rota.aws.sessions import client
from rota.core.batch import BatchRun
from rota.core.run import Run
from rota.service.batches import Surroundings


class BatchParts(NamedTuple):
    """What a stack's batch runs consist of."""

    parts: Parts
    settings: BatchSettings
    ledger: DynamoBatches
    post: Post

    @property
    def store(self) -> SendingBatches:
        """The store for whoever starts and steers batch runs."""
        return SendingBatches(self.ledger, self.post, self.parts.clock)

    @property
    def looking_store(self) -> SendingBatches:
        """Likewise for those who may look at the source first."""
        return SendingBatches(self.ledger, self.post, self.parts.clock, _look)

    @property
    def around(self) -> Surroundings:
        """What batch runs are accepted with."""
        directory = self.settings.directory
        return Surroundings(directory, f"{directory}/results", CORES)

    @property
    def memory(self) -> int:
        """MB of this function, which is paid for."""
        return int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEMORY))

    def planner(self, app: App) -> Planner:
        maps = MapStarter(client("stepfunctions"), self.settings.machine) if self.settings.machine else None
        return Planner(self.ledger, self.post, self.parts.clock, Benches(app.tasks, app.batches), maps=maps)

    def processor(self, app: App) -> Processor:
        return Processor(self.ledger, self.post, self.parts.clock, Benches(app.tasks, app.batches), self.memory)

    def finalizer(self) -> Finalizer:
        return Finalizer(self.ledger, self.post, self.parts.clock, self._tell)

    def dead(self, app: App) -> BatchDead:
        return BatchDead(self.ledger, self.post, self.processor(app), self.finalizer())

    def sweeper(self) -> Sweeper:
        return Sweeper(self.ledger, self.post, self.parts.clock)

    def _tell(self, runs: Sequence[Run]) -> None:
        self.parts.handover.arrived(runs, self.parts.clock.now())


def _look(run: BatchRun) -> None:
    if run.spec.topology == "map":
        check_map(run.spec, run.id)


def batch_parts(parts: Parts, settings: BatchSettings) -> BatchParts:
    """The parts for batch runs of the stack that `parts` is of."""
    return BatchParts(parts, settings, DynamoBatches(parts.table, parts.runs), Post(parts.near, settings))
