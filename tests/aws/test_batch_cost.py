"""What batch runs cost by the model: how the figures hang together. That they are what AWS would count is tested on the
emulator."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.aws.batch_cost import KEY_WRITES, WAYS, Way, Work, costs, rates, sink_kind, spent, tracking, usage
from rota.aws.bill import Usage
from rota.aws.prices import PRICES
from rota.core.batch import BatchRun, BatchSpec
from rota.core.chunk import ChunkSize
from rota.core.estimate import Probe, estimate
from rota.core.receipt import Counts

MILLION = 1_000_000
ROWS = Usage(write_units=3 * MILLION)
"""A row an item: put, put again, deleted."""
SPEC = BatchSpec(
    batch="orders",
    task="enrich",
    source={"type": "jsonl", "path": "s3://shop/orders.jsonl"},
    sink={"type": "parts", "path": "s3://shop/out/"},
    size=ChunkSize(100),
    concurrency=10,
)


@pytest.mark.parametrize("way", WAYS)
def test_tracking_costs_a_hundredth_of_a_row_an_item_at_a_hundred_items_a_chunk(way: Way) -> None:
    work = Work(items=MILLION, chunk_items=100)
    assert tracking(work).dollars < ROWS.dollars / 100
    assert usage(way, work).write_units == pytest.approx(tracking(work).write_units, rel=0.5)


def test_the_queue_as_a_whole_costs_a_tenth_of_what_rows_alone_cost() -> None:
    assert usage("queue", Work(items=MILLION, chunk_items=100)).dollars < ROWS.dollars / 10


def test_a_pipeline_as_a_whole_costs_a_tenth_of_what_rows_alone_cost_and_more_where_results_are_large() -> None:
    assert usage("pipeline", Work(items=MILLION, chunk_items=100)).dollars < ROWS.dollars / 10
    writes = [usage("pipeline", Work(items=MILLION, chunk_items=100, result=size)).object_writes for size in (2e3, 3e3)]
    assert writes == pytest.approx([10_000, 20_000], rel=0.01)
    assert usage("pipeline", Work(items=MILLION, chunk_items=100, result=3e3, sink="none")).object_writes < 100


def test_the_queue_is_the_cheapest_and_its_chunks_the_cheaper_the_larger() -> None:
    found = [
        {way: usage(way, Work(items=MILLION, chunk_items=size)).dollars for way in WAYS} for size in (1, 100, 1000)
    ]
    assert [min(each, key=lambda way: each[way]) for each in found] == ["queue"] * 3
    for way in WAYS:
        assert found[0][way] > 10 * found[1][way] > 10 * found[2][way]


@given(
    st.sampled_from(list(WAYS)),
    st.floats(1, 1e9),
    st.floats(1, 1e5),
    st.floats(0, 1),
    st.floats(0, 10),
    st.sampled_from(["none", "parts", "object", "table"]),
)
def test_nothing_is_negative_and_more_costs_more(
    way: Way, items: float, chunk: float, failed: float, seconds: float, sink: str
) -> None:
    work = Work(items=items, chunk_items=chunk, failed=failed, seconds=seconds, sink=sink)  # type: ignore[arg-type]
    used = usage(way, work)
    assert all(line.used > 0 for line in used.lines())
    twice = Work(items=2 * items, chunk_items=chunk, failed=failed, seconds=seconds, sink=sink)  # type: ignore[arg-type]
    assert usage(way, twice).dollars > used.dollars
    assert usage(way, work).dollars >= tracking(work).dollars * 0.9 or way == "map"


def test_failures_put_off_items_memory_and_tables_cost_more() -> None:
    plain = Work(items=MILLION, chunk_items=100)
    base = usage("queue", plain).dollars
    for change in ({"failed": 0.05}, {"put_off": 0.1}, {"memory": 4096}, {"sink": "table"}, {"seconds": 0.01}):
        assert usage("queue", Work(**{"items": MILLION, "chunk_items": 100, **change})).dollars > base  # type: ignore[arg-type]
    table = usage("queue", Work(items=MILLION, chunk_items=100, sink="table", result=1500))
    assert table.write_units > 2 * MILLION


def test_an_estimate_becomes_dollars_with_a_range() -> None:
    probes = [Probe(100, 10, number % 2, 0.5 + number / 10, 1000) for number in range(8)]
    found = costs(SPEC, estimate(probes, 10_000, complete=True, concurrency=10, items=MILLION))
    # Of a pipeline, the function that waits for the workflow is paid for too.
    assert [one.way for one in found] == ["queue", "map", "pipeline"]
    for one in found:
        assert 0 < one.cost.low <= one.cost.likely <= one.cost.high
    # The task's own time is what most is paid for here.
    task = MILLION * 0.085 * PRICES["gb_seconds"].dollars
    assert found[0].cost.likely == pytest.approx(task, rel=0.25)


def test_what_was_spent_grows_with_counts_and_time() -> None:
    run = BatchRun(name="orders", created=0, spec=SPEC, directory="s3://shop/x", state="running", started=0)
    assert spent("queue", run, 1000) == 0
    done = BatchRun(
        name="orders",
        created=0,
        spec=SPEC,
        directory="s3://shop/x",
        state="running",
        started=0,
        planned=10_000,
        done=100,
        counts=Counts(10_000, 10_000),
    )
    soon, late = spent("queue", done, 10_000), spent("queue", done, 1_000_000)
    assert 0 < soon < late
    assert late == pytest.approx(10_000 * PRICES["gb_seconds"].dollars, rel=0.1)


def test_kinds_of_sinks() -> None:
    kinds = {"parts": "parts", "one_file": "object", "dynamodb_table": "table", "none": "none"}
    for kind, wanted in kinds.items():
        changed = BatchSpec(**{name: getattr(SPEC, name) for name in SPEC.__struct_fields__} | {"sink": {"type": kind}})
        assert sink_kind(changed) == wanted


def test_chunks_of_a_fifth_of_a_second_never_write_more_to_a_partition_than_it_takes() -> None:
    for lanes in (1, 10, 100, 200, 500, 1024):
        assert rates(lanes, 0.2).key_writes <= KEY_WRITES
        assert rates(lanes, 0.6).fit
    assert rates(400, 0.2).table_writes == pytest.approx(4110)
    assert not rates(400, 0.2).fit
    # Of ten thousand chunks a second, each leaf still has no more than its own 200 on the way.
    assert rates(1024, 0.1).key_writes == 2000
