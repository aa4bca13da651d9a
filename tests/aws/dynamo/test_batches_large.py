"""A hundred million items in chunks of a hundred: a thousandth of them is planned and marked, at the beginning and at
the end of the million chunks, and nothing that is stored or sent is larger at the end."""

from __future__ import annotations

from typing import Any

import pytest
from tests.aws.dynamo.batching import chunk, mark, marks, started, store_of
from tests.aws.dynamo.metering import Metered

from rota.aws.batch.messages import ChunkMessage, FinishMessage, LaterMessage, PlanMessage, encode_batch_message
from rota.aws.batch.pipe_messages import Execution, encode_execution
from rota.aws.dynamo.batches import DynamoBatches
from rota.aws.dynamo.batches_keys import header_key, node_key, page_key, row_key, spec_key
from rota.aws.dynamo.items import size_of
from rota.aws.dynamo.table import Table
from rota.core.batch import BatchKey
from rota.core.ledger_tree import FAN_OUT, Node, seals, top
from rota.processing.jobs import Job
from rota.testing.emulator import Emulator

CHUNKS = 1_000_000
PART = 1000
LAST = CHUNKS - PART
DIGITS = 100
"""Bytes that longer numbers may take in an item."""


@pytest.fixture
def batches(dynamodb: Any, table: Table) -> DynamoBatches:
    return store_of(dynamodb, table.name)


def test_no_item_is_larger_at_the_end_than_at_the_beginning(batches: DynamoBatches, table: Table) -> None:
    key = started(batches)
    batches.plan(key, [chunk(number) for number in range(PART)])
    batches.mark(key, marks(range(PART)))
    early = sizes(table, key, 0)
    batches.plan(key, [chunk(number) for number in range(LAST, CHUNKS)])
    batches.mark(key, marks(range(LAST, CHUNKS)))
    late = sizes(table, key, LAST)
    assert {name: late[name] - early[name] <= DIGITS for name in early} == dict.fromkeys(early, True)
    assert late["row"] < 1024
    assert late["leaf"] < 1024
    assert late["header"] < 1024
    assert late["page"] < 8 * 1024
    # Nodes above the leaves are as wide as leaves, and there are as few as their level says.
    assert [top(CHUNKS).level, top(PART).level] == [2, 1]
    assert len(seals(CHUNKS)) <= top(CHUNKS).level + 1


def sizes(table: Table, key: BatchKey, first: int) -> dict[str, int]:
    """Bytes of the items that a chunk and its leaf have, and the batch run."""
    leaf = first // FAN_OUT
    places = {
        "header": header_key(key),
        "spec": spec_key(key),
        "page": page_key(key, leaf),
        "row": row_key(key, first),
        "leaf": node_key(key, 0, Node(0, leaf)),
    }
    items = table.get(places.values())
    return {name: size_of(items[place]) for name, place in places.items()}


def test_no_message_is_larger_at_the_end_than_at_the_beginning() -> None:
    run = "orders@2026-11-21T00:00:00.000Z"

    def longest(number: int) -> dict[str, int]:
        message = ChunkMessage(run, Job(0, "whole", chunk(number)))
        texts = {
            "chunk": encode_batch_message(message),
            "later": encode_batch_message(LaterMessage(message, 1)),
            "plan": encode_batch_message(PlanMessage(run, "open", "resume-1", number)),
            "finish": encode_batch_message(FinishMessage(run)),
            "execution": encode_execution(Execution(message)),
        }
        return {name: len(text) for name, text in texts.items()}

    early, late = longest(0), longest(CHUNKS - 1)
    assert {name: late[name] - early[name] <= DIGITS for name in early} == dict.fromkeys(early, True)
    # Ten go into one request, which is billed for each 64 KB.
    assert 10 * late["chunk"] < 64 * 1024


def test_progress_is_read_from_as_much_as_is_going_on_however_far_is_planned(
    batches: DynamoBatches, dynamodb: Any, table: Table, aws: Emulator
) -> None:
    key = started(batches)
    batches.plan(key, [chunk(CHUNKS - 1)])
    batches.mark(key, marks(range(10 * FAN_OUT)))
    meter = Metered(dynamodb)
    reader = store_of(meter, table.name)

    def read_units() -> float:
        aws.reset_counts()
        [run] = reader.get([key])
        assert run.done == marked
        return aws.billed()["read_units"]

    marked = 10 * FAN_OUT
    assert read_units() <= 2 + 1 + 25 + 10
    for number in (10 * FAN_OUT, CHUNKS - 1):
        batches.mark(key, [mark(number)])
        marked += 1
    # Who marks far behind the others makes readers look at all that lies between; a lane never does.
    assert read_units() > 1000


def test_the_state_of_a_batch_run_is_one_read(batches: DynamoBatches, aws: Emulator) -> None:
    key = started(batches)
    batches.plan(key, [chunk(CHUNKS - 1)])
    first = batches.glance(key)
    assert first is not None
    aws.reset_counts()
    assert batches.glance(key) == first
    assert aws.billed() == {"read_units": 1}
    assert batches.glance(key._replace(name="nobody")) is None


def test_each_leaf_costs_one_write_more_to_be_found(batches: DynamoBatches, dynamodb: Any, table: Table) -> None:
    meter = Metered(dynamodb)
    writer = store_of(meter, table.name)
    key = started(batches)
    batches.plan(key, [chunk(number) for number in range(20 * FAN_OUT)])
    far = range(10 * FAN_OUT, 12 * FAN_OUT)
    for number in far:
        writer.mark(key, [mark(number)])
    assert meter.writes == pytest.approx(len(far) * 2.010)
