"""What following a batch run says where there is no terminal."""

from __future__ import annotations

import msgspec
from tests.batch.test_decisions import run as batch_run

from rota.app import App
from rota.cli.batch_watch import follow_in_lines
from rota.client import Client
from rota.core.chunk import Chunk, Extent, Origin
from rota.core.completion import Mark, Verdict
from rota.core.receipt import Counts
from rota.core.tolerance import Tolerance
from rota.core.total import Total
from rota.ports.batches import Finished
from rota.testing import CountingIds, FakeClock, MemoryStores

SECONDS = 60
CHUNKS = 10 * SECONDS


def test_a_line_every_five_seconds_and_none_at_the_end() -> None:
    stores, clock, said = MemoryStores(), FakeClock(), list[str]()
    start = clock.now()
    client = Client(
        stores.schedules, stores.runs, stores.queues, stores.batches, clock, CountingIds(), app=App("shop"), actor="me"
    )
    [run] = stores.batches.accept([batch_run(Tolerance(0))])
    stores.batches.begin(run.key, start)
    stores.batches.record(run.key, [chunk(number) for number in range(CHUNKS)], [], CHUNKS, Total(6000, exact=True))

    def pass_time(seconds: float) -> None:
        looks = (clock.advance(round(seconds * 1000)) - start) // 100
        mark = Mark(chunk(looks - 1), Extent(looks - 1, looks), Counts(10, 9, looks % 10 == 0, looks % 10 > 0), ())
        stores.batches.record(run.key, [], [mark])
        if looks == CHUNKS:
            stores.batches.decide(run.key, Verdict("succeeded"))
            stores.batches.finish(run.key, Finished("succeeded", clock.now(), "", 0, "", ""), [])

    ended = follow_in_lines(client, run.id, clock, said.append, pass_time)
    assert (ended.state, ended.counts.items) == ("succeeded", 6000)
    assert len(said) == SECONDS // 5 - 1
    assert said[1] == f"{run.id} running: 1,000 of 6,000 items, 100/s, 50 s left, 10 failed"


def chunk(number: int) -> Chunk:
    return Chunk(number, Origin("a.jsonl", "1", SECONDS), number, number + 1, items=10, last=number == CHUNKS - 1)


def test_a_batch_run_that_somebody_paused_is_followed_without_a_word_and_one_that_is_held_is_not() -> None:
    stores, clock, said = MemoryStores(), FakeClock(), list[str]()
    client = Client(
        stores.schedules, stores.runs, stores.queues, stores.batches, clock, CountingIds(), app=App("shop"), actor="me"
    )
    held = msgspec.structs.replace(batch_run(Tolerance(0)), wish="pause", held=True, error="paused: it costs")
    [run] = stores.batches.accept([held])
    assert follow_in_lines(client, run.id, clock, said.append, lambda _: None).is_open
    assert said == []

    [other] = stores.batches.accept([msgspec.structs.replace(held, created=held.created + 1, held=False, error="")])
    looks = 0

    def pass_time(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks > 200:
            stores.batches.decide(other.key, Verdict("cancelled"))
            stores.batches.finish(other.key, Finished("cancelled", clock.now(), "", 0, "", ""), [])
        clock.advance(round(seconds * 1000))

    assert follow_in_lines(client, other.id, clock, said.append, pass_time).state == "cancelled"
    assert said == [f"{other.id} paused: 0 items"]
