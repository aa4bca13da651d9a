"""A ledger in memory with the narrow calls of the one in DynamoDB."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from rota.aws.dynamo.batches import LIFETIME, Progress
from rota.aws.dynamo.lifetimes import DAY
from rota.core.batch import BatchKey, BatchRun
from rota.core.chunk import Chunk
from rota.core.completion import Mark, is_complete
from rota.core.ledger_tree import NOTHING, Sums
from rota.core.receipt import Counts
from rota.testing.memory.batches import MemoryBatchStore


class MemoryLedger(MemoryBatchStore):
    """awaited: chunks that the present redrive does again. held: why a batch run was."""

    awaited: dict[tuple[BatchKey, int], frozenset[int]]
    held: str = ""
    live: Sums = NOTHING

    def plan(self, key: BatchKey, chunks: Sequence[Chunk]) -> None:
        self.record(key, chunks, ())

    def mark(self, key: BatchKey, marks: Sequence[Mark]) -> Progress:
        self.record(key, (), marks)
        return Progress(self.is_complete(key), len(marks))

    def seal(self, key: BatchKey, chunks: int) -> bool:
        self.record(key, (), (), chunks)
        return self.is_complete(key)

    def expect(self, key: BatchKey, numbers: Iterable[int]) -> bool:
        [run] = self.get([key])
        known = self.__dict__.setdefault("awaited", {})
        known.setdefault((key, run.revision), frozenset(numbers))
        return self.is_complete(key)

    def deadline(self, key: BatchKey) -> int:
        return key.created + LIFETIME - DAY

    def glance(self, key: BatchKey) -> BatchRun | None:
        found = self.get([key])
        return found[0] if found else None

    def watch(self, key: BatchKey, round_id: str, about: int) -> None:
        """Rounds are not what is tested with it."""

    def tell(self, key: BatchKey, round_id: str, leaf: int, member: int, sums: Sums) -> None:
        """Whatever is told is one batch run's."""
        self.live += sums

    def get(self, keys: Sequence[BatchKey]) -> list[BatchRun]:
        return [self._shown(run) for run in super().get(keys)]

    def _shown(self, run: BatchRun) -> BatchRun:
        if run.spec.topology != "map" or run.planned:
            return run
        live = self.live
        counts = Counts(live.items, live.succeeded, live.failed, live.skipped)
        return msgspec.structs.replace(run, counts=counts, done=live.done)

    def hold(self, key: BatchKey, why: str) -> bool:
        [run] = self.get([key])
        if not run.is_open or run.wish != "run" or self.held:
            return False
        self.ask(key, "pause")
        self.held = why
        return True

    def is_complete(self, key: BatchKey) -> bool:
        [run] = self.get([key])
        if not is_complete(run):
            return False
        if not run.revision:
            return True
        awaited = self.__dict__.setdefault("awaited", {}).get((key, run.revision))
        if awaited is None:
            return False
        rows = self.chunks(key, "all", -1, 1_000_000)
        return all(
            row.mark is not None and row.mark.revision >= run.revision for row in rows if row.chunk.number in awaited
        )
