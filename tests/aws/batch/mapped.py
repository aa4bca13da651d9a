"""An app with a batch that Step Functions maps: its task fails where the item says so, until a file is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rota

app = rota.App("mapped")


@app.task(retry=rota.Retry(attempts=1))
def price(order: dict[str, Any]) -> dict[str, Any]:
    if order["bad"] and not Path(order["healed"]).exists():
        raise ValueError("it is bad")
    return {"number": order["number"], "total": order["number"] * 1.5}


app.batch(
    "orders",
    source="s3://mapped-orders/orders.json",
    task=price,
    sink="s3://mapped-orders/out/{run}/",
    chunk_items=200,
    concurrency=4,
    tolerated_failures="50%",
    topology="map",
    notify=["queue:events", "events:default"],
)
