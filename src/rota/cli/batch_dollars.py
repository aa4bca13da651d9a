"""What batches cost on AWS, as the command line shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from rota.app import App
from rota.aws.batch_choice import dollars_text, work_of
from rota.aws.batch_cost import WAYS, Dollars, Way, Work, usage
from rota.aws.bill import Usage
from rota.cli.output import print_table
from rota.connectors.stored import sink_json
from rota.core.batch import Batch, BatchSpec
from rota.core.estimate import Range

_MILLION = 1_000_000
_SIZES = (1, 10, 100, 1000, 10_000)
_CONCURRENCY = 10
Bills = Mapping[str, Mapping[Way, Usage]]


def million_items(app: App | None, memory: int) -> Bills:
    """What a million items use in each topology: by items a chunk, or of each batch of an app."""
    if app is not None:
        return {batch.name: _each(work_of(_spec(batch), _MILLION, memory=memory)) for batch in app.batches.values()}
    works = {str(size): Work(items=_MILLION, chunk_items=size, memory=memory) for size in _SIZES}
    return {f"{name} items a chunk": _each(work) for name, work in works.items()}


def _each(work: Work) -> Mapping[Way, Usage]:
    return {way: usage(way, work) for way in WAYS}


def _spec(batch: Batch) -> BatchSpec:
    """As much of it as costs depend on."""
    sink, lanes = sink_json(batch.sink), batch.concurrency or _CONCURRENCY
    return BatchSpec(batch=batch.name, task=batch.task, source={}, sink=sink, size=batch.size, concurrency=lanes)


def print_million_items(bills: Bills) -> None:
    rows = [
        [name, *(dollars_text(used.dollars).removeprefix("$") for used in ways.values())]
        for name, ways in bills.items()
    ]
    print_table(["dollars for a million items, the task's own time aside", *WAYS], rows)


def planned_dollars(spec: BatchSpec, items: int | None, chunks: int, source_bytes: int) -> list[Dollars]:
    """What a plan says, the cheapest first: the task's own time is not known. items: None if their number is not."""
    likely = items or chunks * (spec.size.items or 0) or source_bytes / 200
    size = source_bytes / likely if likely else 200.0
    work = work_of(spec, likely, chunks, size)
    made = [Dollars(way, Range(cost := usage(way, work).dollars, cost, cost)) for way in WAYS]
    return sorted(made, key=lambda one: one.cost.likely)


def dollars_fields(found: Sequence[Dollars], *, timed: bool) -> list[tuple[str, str]]:
    """A line for each topology, the cheapest first. timed: whether the task's own time is in it."""
    rows = []
    for one in found:
        low, likely, high = (dollars_text(it) for it in (one.cost.low, one.cost.likely, one.cost.high))
        between = "" if low == high else f"  ({low} to {high})"
        rows.append((f"cost, {one.way}", f"{likely}{between}{'' if timed else ', the time of the task aside'}"))
    return rows


def dollars_shape(found: Sequence[Dollars]) -> dict[str, object]:
    """For `--json`: nothing where nothing is paid for."""
    return {"dollars": {one.way: msgspec.to_builtins(one.cost) for one in found}} if found else {}
