"""An app with a pipeline into a table: its task fails where the item says so, until the file that it names is there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import rota

app = rota.App("piped")


@app.task(retry=rota.Retry(attempts=3, initial=0.01, jitter="none"))
def price(order: dict[str, Any]) -> dict[str, Any]:
    time.sleep(order.get("seconds", 0))
    if order["bad"] and not ("healed" in order and Path(order["healed"]).exists()):
        raise ValueError("it is bad")
    return {"id": str(order["number"]), "total": order["number"] * 1.5}


app.batch(
    "orders",
    source="s3://piped-orders/orders.jsonl",
    task=price,
    sink=rota.DynamoTable("piped-totals", key="id"),
    chunk_items=500,
    concurrency=4,
    tolerated_failures="50%",
    topology="pipeline",
    notify=["queue:events", "events:default"],
)
