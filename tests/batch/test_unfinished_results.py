"""Results that cannot be put in place end a batch run; a redrive puts them there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.batch import shop
from tests.batch.running import PATIENCE, Place
from tests.batch.test_decisions import run as batch_run

from rota.connectors.counting import CountingSink
from rota.core.batch import BatchKey, BatchRun
from rota.core.chunk import Chunk, Extent, Origin
from rota.core.completion import ChunkRow, Mark, Verdict
from rota.core.errors import ConflictError, StoreError
from rota.core.receipt import Counts, Delivered, Part
from rota.core.tolerance import Tolerance
from rota.embedded.batch.places import Places
from rota.ports.batches import Which
from rota.processing.ending import conclude
from rota.service.batches import ask
from rota.testing import FakeClock, MemoryStores
from rota.testing.memory import MemoryBatchStore

CHUNK = Chunk(0, Origin("a.jsonl", "1", 1), 0, 1, last=True)


def decided(stores: MemoryStores) -> BatchRun:
    """A batch run that has done its one chunk, and is to succeed."""
    [run] = stores.batches.accept([batch_run(Tolerance(0))])
    part = Part("part-0", 3, 30, "")
    stores.batches.begin(run.key, 1)
    stores.batches.record(run.key, [CHUNK], [Mark(CHUNK, Extent(0, 1), Counts(3, 3), (part,))], 1)
    stores.batches.decide(run.key, Verdict("succeeded"))
    [run] = stores.batches.get([run.key])
    return run


def test_one_that_is_finishing_can_be_resumed_and_not_be_cancelled() -> None:
    stores = MemoryStores()
    run = decided(stores)
    assert ask(stores.batches, run.id, "run").state == "finishing"
    with pytest.raises(ConflictError, match="is finishing already"):
        ask(stores.batches, run.id, "cancel")


class UnwillingSink(CountingSink):
    """Fails that often."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def finish(self, parts: Iterable[Part]) -> Delivered:
        if self.failures:
            self.failures -= 1
            raise StoreError("the bucket does not answer")
        return super().finish(parts)


@pytest.mark.parametrize(("failures", "outcome"), [(0, "succeeded"), (2, "succeeded"), (99, "failed")])
def test_a_sink_that_fails_is_tried_a_few_times(tmp_path: Path, failures: int, outcome: str) -> None:
    stores = MemoryStores()
    run = decided(stores)
    assert conclude(run, stores.batches, UnwillingSink(failures), Places(str(tmp_path)), FakeClock())
    [ended] = stores.batches.get([run.key])
    assert ended.state == outcome
    assert ended.version == (outcome == "succeeded")
    said = "the results could not be finished: the bucket does not answer"
    assert ended.error == ("" if outcome == "succeeded" else said)


class FailingBatches(MemoryBatchStore):
    """Cannot say which chunks there are."""

    def chunks(self, key: BatchKey, which: Which, after: int, limit: int) -> list[ChunkRow]:
        raise StoreError("the disk is gone")


def test_when_the_store_fails_nothing_ends(tmp_path: Path) -> None:
    stores = MemoryStores()
    stores.batches = FailingBatches(stores.state, stores.runs)
    run = decided(stores)
    with pytest.raises(StoreError, match="the disk is gone"):
        conclude(run, stores.batches, CountingSink(), Places(str(tmp_path)), FakeClock())
    assert stores.batches.get([run.key])[0].state == "finishing"


def test_a_redrive_puts_results_in_place_that_could_not_be(place: Place) -> None:
    sink = place.root / "results.jsonl"
    place.batch(shop.sleepy, place.orders(60), sink=str(sink))
    with place.serve() as client:
        run = client.batches.start("orders")
        while client.batches.get(run.id).done < 2:
            pass
        sink.mkdir()
        failed = client.batches.wait(run.id, PATIENCE)
        assert failed.state == "failed"
        assert "the results could not be finished" in failed.error
        sink.rmdir()
        client.batches.redrive(run.id)
        ended = client.batches.wait(run.id, PATIENCE)
    assert (ended.state, ended.counts, ended.version) == ("succeeded", Counts(60, 60), 1)
    assert len(sink.read_text().splitlines()) == 60
    assert place.verify(ended) == []
