"""What tests of batch runs in DynamoDB share: a store, chunks and marks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rota.aws.dynamo.batches import DynamoBatches
from rota.aws.dynamo.lifetimes import DAY
from rota.aws.dynamo.runs import DynamoRuns
from rota.aws.dynamo.table import Table
from rota.core.batch import BatchKey, BatchRun
from rota.core.chunk import Chunk, Extent, Origin
from rota.core.completion import FailureCount, Mark, Signature
from rota.core.receipt import Counts, Part
from rota.testing.conformance.batches import BATCH
from rota.testing.conformance.values import T0

LIFETIME = 100 * 365 * DAY
"""The suite's batch runs are of a certain year; they are not to expire once it is over."""
ORIGIN = Origin("s3://orders-of-a-shop/2026/11/21/orders.jsonl", '"9bb58f26192e4ba00f01e2e7b136bbd8"', 123_456_789_012)
SIGNATURES = (Signature("ValueError", "shop.py:12 in enrich"), Signature("msgspec.ValidationError", "", "price"))


def store_of(client: Any, name: str) -> DynamoBatches:
    table = Table(client, name, sleep=lambda _seconds: None)
    return DynamoBatches(table, DynamoRuns(table), LIFETIME)


def started(batches: DynamoBatches, name: str = "orders", at: int = T0) -> BatchKey:
    [run] = batches.accept([BatchRun(name=name, created=at, spec=BATCH, directory="s3://results/{run}/")])
    return run.key


def chunk(number: int, *, start: int | None = None) -> Chunk:
    begin = number * 1000 if start is None else start
    return Chunk(number, ORIGIN, begin, number * 1000 + 1000, items=100)


def mark(number: int, failed: int = 0, revision: int = 0, retries: int = 0, *, wrong: int = 0) -> Mark:
    """A mark of 100 items. wrong: which of the signatures they failed with."""
    counts = Counts(100, 100 - failed, failed)
    parts = tuple(
        Part(f"part-{number:09d}.r{one}.jsonl", 100 - failed, 12_345 + retries, "9f" * 32)
        for one in range(revision + 1)
    )
    failures = (FailureCount(SIGNATURES[wrong], failed, f"wrong in {number}"),) if failed else ()
    return Mark(chunk(number), Extent(number * 1000, number * 1000 + 1000), counts, parts, failures, retries, revision)


def marks(numbers: Iterable[int]) -> list[Mark]:
    return [mark(number) for number in numbers]
