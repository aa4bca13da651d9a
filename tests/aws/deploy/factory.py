"""An app whose batches run on a stack: one task fails where items say so, until the file that they name is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rota

app = rota.App("factory")


@app.task
def double(item: dict[str, Any]) -> dict[str, int]:
    if item["bad"] and not ("healed" in item and Path(item["healed"]).exists()):
        raise ValueError("it is bad")
    return {"number": item["number"], "doubled": 2 * item["number"]}


@app.task
def fragile(item: dict[str, int]) -> int:
    if item["number"] == 3:
        os._exit(9)
    return item["number"]


@app.task
def half(item: dict[str, int]) -> float:
    return item["number"] / 2


def numbers(payload: Any = None) -> Iterator[dict[str, int]]:
    yield from ({"number": number} for number in range((payload or {}).get("items", 50)))


app.batch(
    "double",
    source="s3://factory-orders/numbers.jsonl",
    task=double,
    sink="out/",
    chunk_items=500,
    concurrency=4,
    tolerated_failures="50%",
    notify=["queue:events", "events:default"],
)
app.batch("half", source=numbers, task=half, sink="out/", chunk_items=20, concurrency=2, notify=["queue:events"])
app.batch("fragile", source=numbers, task=fragile, sink="out/", chunk_items=2, concurrency=2, tolerated_failures=1)
app.schedule("halving", rota.Cron("0 0 0 1 1 ?"), "batch:half", payload={"items": 70})
