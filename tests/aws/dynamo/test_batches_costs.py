"""What the ledger of a batch run costs, in requests and in units as DynamoDB counts them, and that nothing grows."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from tests.aws.dynamo.batching import SIGNATURES, chunk, mark, marks, started, store_of
from tests.aws.dynamo.metering import Metered

from rota.aws.dynamo.batches import LIFETIME, DynamoBatches
from rota.aws.dynamo.batches_keys import month_of, node_key, row_key
from rota.aws.dynamo.items import Item, size_of
from rota.aws.dynamo.lifetimes import DAY
from rota.aws.dynamo.runs import DynamoRuns
from rota.aws.dynamo.table import Table
from rota.core.batch import LONGEST_NAME, BatchRun
from rota.core.completion import FailureCount, Mark, Signature, Verdict
from rota.core.errors import ConflictError, InvalidError, NotFoundError
from rota.core.ledger_tree import FAN_OUT, Node
from rota.core.receipt import Counts, Part
from rota.ports.batches import BatchQuery, Finished
from rota.testing.conformance.batches import BATCH
from rota.testing.conformance.values import T0
from rota.testing.emulator import Emulator

UNIT = 1024


@pytest.fixture
def meter(dynamodb: Any) -> Metered:
    return Metered(dynamodb)


@pytest.fixture
def batches(meter: Metered, table: Table) -> DynamoBatches:
    return store_of(meter, table.name)


def test_a_mark_costs_2_005_units_of_which_1_005_are_the_tree(
    batches: DynamoBatches, meter: Metered, aws: Emulator
) -> None:
    key = started(batches)
    batches.plan(key, [chunk(number) for number in range(2 * FAN_OUT)])
    meter.reset()
    aws.reset_counts()
    for number in range(2 * FAN_OUT):
        batches.mark(key, [mark(number)])
    assert meter.writes == 2 * FAN_OUT * 2.005
    assert meter.reads == 0
    counts = {name: it.requests for name, it in aws.counts().items() if name.startswith("dynamodb.")}
    assert counts == {"dynamodb.PutItem": 2 * FAN_OUT, "dynamodb.UpdateItem": 2 * FAN_OUT + 2}


def test_neighbours_marked_in_one_call_share_the_write_to_the_tree(batches: DynamoBatches, meter: Metered) -> None:
    key = started(batches)
    batches.plan(key, [chunk(number) for number in range(FAN_OUT)])
    meter.reset()
    for start in range(0, FAN_OUT, 10):
        batches.mark(key, marks(range(start, start + 10)))
    assert meter.writes / FAN_OUT == 1.105


def test_planning_costs_little_and_twice_is_once(batches: DynamoBatches, meter: Metered) -> None:
    key = started(batches)
    meter.reset()
    planned = [chunk(number) for number in range(5 * FAN_OUT)]
    batches.plan(key, planned)
    assert meter.writes / len(planned) < 0.05
    once = meter.writes
    batches.plan(key, planned)
    assert meter.writes == once
    [run] = batches.get([key])
    assert (run.planned, run.expected) == (len(planned), 100 * len(planned))


def test_a_redrive_costs_what_it_does_again(batches: DynamoBatches, meter: Metered) -> None:
    key = started(batches)
    failed = (1, 3, 450)
    batches.plan(key, [chunk(number) for number in range(500)])
    batches.mark(key, [mark(number, failed=int(number in failed)) for number in range(500)])
    batches.seal(key, 500)
    batches.decide(key, Verdict("succeeded"))
    batches.finish(key, Finished("succeeded", T0 + 9), ())
    meter.reset()
    batches.redrive(key, [SIGNATURES[0].key])
    batches.expect(key, [row.chunk.number for row in batches.chunks(key, "redrive", -1, 100)])
    for number in failed:
        batches.mark(key, [mark(number, revision=1)])
    assert batches.is_complete(key)
    assert meter.writes < 8 * len(failed)
    meter.reset()
    [run] = batches.get([key])
    assert run.counts.failed == 0
    assert meter.reads <= 5


def test_progress_of_many_chunks_is_read_from_few_items(batches: DynamoBatches, meter: Metered) -> None:
    key = started(batches)
    numbers = [number for number in range(10 * FAN_OUT) if number % 450]
    batches.plan(key, [chunk(number) for number in range(10 * FAN_OUT)])
    batches.mark(key, marks(numbers))
    meter.reset()
    [run] = batches.get([key])
    assert run.done == len(numbers)
    assert sum(meter.calls.values()) <= 4
    assert meter.reads <= 2 + 1 + 10
    assert [row.chunk.number for row in batches.chunks(key, "open", 0, 100)] == [450, 900, 1350, 1800]


def test_the_items_that_are_written_most_fit_into_one_unit(batches: DynamoBatches, table: Table) -> None:
    """With the longest name, and sums of a batch run of 10^12 items."""
    name = "n" * LONGEST_NAME
    key = started(batches, name)
    first = 10**9 // FAN_OUT * FAN_OUT
    counts = Counts(10**9, 10**9 - 10**6, 10**6)
    for number in range(first, first + FAN_OUT):
        part = Part(f"part-{number}.r0.jsonl.zst", 10**9, 10**13, "9f" * 32)
        one = Mark(chunk(number), mark(number).extent, counts, (part,), retries=10**6)
        batches.mark(key, [one])
    places = [node_key(key, 0, Node(0, first // FAN_OUT)), row_key(key, first)]
    items = table.get(places)
    assert [billed(items[place]) < UNIT for place in places] == [True, True]


def test_failures_that_no_item_can_hold_are_kept_all_the_same(batches: DynamoBatches) -> None:
    key = started(batches)
    batches.plan(key, [chunk(0)])
    dice = random.Random(1)
    many = tuple(FailureCount(Signature("E", dice.randbytes(16).hex()), 1, str(number)) for number in range(40_000))
    one = mark(0)
    batches.mark(key, [Mark(one.chunk, one.extent, Counts(40_000, 0, 40_000), (), many)])
    assert sum(group.count for group in batches.failures(key)) == 40_000
    assert len(batches.failures(key)) == 40_000


def test_batch_runs_of_other_months_are_found(batches: DynamoBatches) -> None:
    times = [T0 - 400 * DAY, T0 - 40 * DAY, T0 - 40 * DAY + 1, T0]
    assert len({month_of(at) for at in times}) == 3
    keys = [started(batches, at=at) for at in times]
    listed = [run.key for run in batches.list(BatchQuery())]
    assert listed == keys[::-1]
    assert [run.key for run in batches.list(BatchQuery(after=keys[2], limit=1))] == [keys[1]]
    assert [run.key for run in batches.open(2)] == keys[:2]


def test_one_cause_in_one_call_starts_one_batch_run(batches: DynamoBatches) -> None:
    run = BatchRun(name="orders", created=T0, spec=BATCH, directory="/rota", cause="nightly@2026-01-01T00:00:00Z")
    first, second = batches.accept([run, run])
    assert first == second == run


def test_a_batch_run_ends_a_day_before_its_ledger_expires(table: Table) -> None:
    store = DynamoBatches(table, DynamoRuns(table))
    spec = msgspec.structs.replace(BATCH, timeout=89 * 86_400.0 + 1)
    run = BatchRun(name="orders", created=T0, spec=spec, directory="/rota")
    with pytest.raises(InvalidError, match=r"timeout: .* at most 7689600 s: a day later a batch run and its ledger"):
        store.accept([run])
    assert store.list(BatchQuery()) == []
    assert store.deadline(run.key) == T0 + LIFETIME - DAY


def test_what_cannot_be_is_refused(batches: DynamoBatches) -> None:
    key = started(batches)
    batches.seal(key, 3)
    with pytest.raises(ConflictError, match="has 3 chunks, not 4"):
        batches.seal(key, 4)
    with pytest.raises(ConflictError, match="not redriven"):
        batches.expect(key, [1])
    nobody = key._replace(name="nobody")
    with pytest.raises(NotFoundError):
        batches.seal(nobody, 3)
    with pytest.raises(NotFoundError):
        batches.plan(nobody, [chunk(1)])


def billed(item: Item) -> int:
    """The item's size by DynamoDB's rule: a number has a byte for two digits, and one."""
    numbers = {name: value for name, value in item.items() if isinstance(value, int) and not isinstance(value, bool)}
    digits = sum((len(str(value).strip("-0")) + 1) // 2 + 2 for value in numbers.values())
    rest = {name: value for name, value in item.items() if name not in numbers}
    return size_of(rest) + sum(map(len, numbers)) + digits
