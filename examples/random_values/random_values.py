"""A batch of made-up items: one makes them, one works each of them off, one says what came of it.

Four times a day by itself, and by hand with `rota batch start random-values --app random_values.py`.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

import rota

app = rota.App("random_values")
SCALE = float(os.environ.get("RANDOM_VALUES_SCALE", "1.0"))
"""Milliseconds of sleep for each 1 of an item's value; 0 measures what rota itself needs."""


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """The payload of a batch run. seed: the same seed makes the same items."""

    items: int = 100
    seed: int = 0


class Item(msgspec.Struct):
    """What the processor is handed, checked; one that does not fit is a dead letter that names the field."""

    id: int
    value: int


def batcher(payload: object = None) -> Iterator[dict[str, int]]:
    """As many items as are ordered. After a restart it runs again from the start, so what it draws must not differ."""
    order = msgspec.convert({} if payload is None else payload, Order)
    draw = random.Random(order.seed)
    for number in range(order.items):
        yield {"id": number, "value": draw.randint(0, 1000)}


@app.task(schema=Item)
async def processor(item: Item) -> dict[str, float]:
    """Wait as long as the item says. Thousands wait at once, since waiting needs no core."""
    slept = item.value * SCALE
    await asyncio.sleep(slept / 1000)
    return {"id": item.id, "value": item.value, "slept_ms": slept}


@app.task
def finalizer(receipt: dict[str, Any]) -> str:
    """Told once the batch run has ended, however it ended; again only if a redrive changes that."""
    said = (
        f"{receipt['batch_run']} {receipt['outcome']}: {receipt['items']} items, {receipt['succeeded']} succeeded, "
        f"{receipt['failed']} failed, {receipt['skipped']} skipped"
    )
    print(said, file=sys.stderr)
    return said


app.batch(
    "random-values",
    source=batcher,
    task=processor,
    sink="results/{run}/",
    chunk_items=10_000,
    async_limit=1_000,
    notify=[finalizer],
)
app.schedule(
    "four-times-a-day",
    rota.Cron("0 0 0/6 * * ?", timezone="UTC"),
    "batch:random-values",
    payload={"items": 100},
)
