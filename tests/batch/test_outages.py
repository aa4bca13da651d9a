"""Source or sink that cannot be reached for a while."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.aws.batch.world import out_of_reach
from tests.batch import shop
from tests.batch.running import PATIENCE, Place
from tests.batch.test_control import until

from rota.core.batch import BatchSpec
from rota.core.chunk import Chunk, ChunkSize, Origin
from rota.core.errors import (
    LastingSourceError,
    SourceDeniedError,
    SourceError,
    StoreBusyError,
    StoreDeniedError,
    StoreError,
    StoreFullError,
)
from rota.core.outcome import failure_of
from rota.embedded.batch.jobs import Jobs
from rota.processing.jobs import Report
from rota.processing.marks import again_after

SPEC = BatchSpec(batch="b", task="t", source={}, sink={}, size=ChunkSize(items=10), concurrency=2)


def test_a_batch_run_waits_until_its_source_is_back(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.batch(shop.sleepy, place.orders(300))
    with place.serve() as client:
        run = client.batches.start("orders")
        until(lambda: client.batches.get(run.id).done >= 2)
        with out_of_reach(Path(place.root / "items.jsonl")):
            until(lambda: "is tried again in 8 s" in caplog.text)
        ended = client.batches.wait(run.id, PATIENCE)
    assert (ended.state, ended.counts.succeeded) == ("succeeded", 300)
    assert place.results() == list(range(300))
    assert place.verify(ended) == []


def test_an_outage_does_not_go_through_all_chunks() -> None:
    jobs = Jobs(SPEC, 0, ())
    jobs.add(Chunk(number, Origin("items.jsonl", "1", 1000), 10 * number, 10 * number + 10) for number in range(100))
    attempted: set[int] = set()
    for now in range(0, 20_000, 50):
        while (job := jobs.next(2, now, sealed=True)) is not None:
            attempted.add(job.chunk.number)
            assert jobs.reported(job, Report(job.id, fatal=failure_of(SourceError("no answer"))), now) is None
    assert 3 <= len(attempted) <= 20


def waits(error: Exception) -> list[float]:
    """Seconds before each further attempt, until it is given up."""
    found: list[float] = []
    while (wait := again_after(failure_of(error), len(found) + 1)) is not None:
        found.append(wait)
    return found


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SourceError("no answer"), [2, 8, 32, 128, 512]),
        (StoreError("no answer"), [2, 8, 32, 128, 512]),
        (StoreBusyError("slow down"), [2, 8, 32, 128, 512]),
        (SourceDeniedError("s3:GetObject"), [2, 8]),
        (StoreDeniedError("s3:PutObject"), [2, 8]),
        (OSError("what is it"), [0, 0]),
        (LastingSourceError("it changed"), []),
        (StoreFullError("no room"), []),
    ],
)
def test_what_may_pass_is_tried_again_ever_later(error: Exception, expected: list[float]) -> None:
    assert waits(error) == expected
