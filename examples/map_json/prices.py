"""Orders of a JSON file in S3, each priced in euros, ten chunks at once, by a Distributed Map of Step Functions.

Half of the orders may fail. If more do, the batch run has failed, and the queue `map-failures` is told why.
"""

from __future__ import annotations

import os

import msgspec

import rota

app = rota.App("map-json")
BUCKET = os.environ.get("ORDERS_BUCKET", "map-json-orders")
RATES = {"EUR": 1.0}


class Order(msgspec.Struct):
    """An item, checked; one that does not fit is a dead letter that names the field."""

    id: int
    amount: float
    currency: str


@app.task(schema=Order)
def price(order: Order) -> dict[str, float]:
    """What the order costs in euros."""
    if order.currency not in RATES:
        raise rota.TargetError(f"no rate for {order.currency}", transient=False)
    return {"id": order.id, "euros": round(order.amount * RATES[order.currency], 2)}


app.batch(
    "orders",
    source=f"s3://{BUCKET}/orders.json",
    task=price,
    sink=f"s3://{BUCKET}/priced/{{run}}/",
    chunk_items=500,
    concurrency=10,
    tolerated_failures="50%",
    topology="map",
)
