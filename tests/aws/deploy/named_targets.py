"""An app that names a target of every kind, for the checks of the stack that it makes."""

from __future__ import annotations

import rota

MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:ship"
BUS = "arn:aws:events:eu-central-1:123456789012:event-bus/orders"
FOREIGN_QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders.fifo"

app = rota.App("shop")


@app.task
def tidy() -> None: ...


app.schedule("tidy", rota.Every("1h"), tidy)
app.schedule("orders", rota.Every("5m"), "queue:orders")
app.schedule("charge", rota.Every("5m"), "lambda:charge:live")
app.schedule("export", rota.Every("5m"), f"sqs:{FOREIGN_QUEUE}")
app.schedule("ship", rota.Every("5m"), f"stepfunctions:{MACHINE}:7")
app.schedule("shipped", rota.Every("5m"), BUS)
app.batch(
    "all", source="s3://orders/in/*.jsonl", task="tidy", sink="out/", notify=["queue:batch-events", "events:default"]
)
app.batch("mapped", source="s3://orders/in/all.json", task="tidy", sink="out/", topology="map")
app.batch("more", source="s3://orders/in/all.csv", task="tidy", sink="s3://results/{run}/")
app.batch("piped", source="s3://orders/in/all.jsonl", task="tidy", sink=rota.DynamoTable("rows"), topology="pipeline")
app.batch("rows", source=range(3).__iter__, task="tidy", sink=rota.DynamoTable("rows"))
