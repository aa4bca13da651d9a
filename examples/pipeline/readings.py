"""Temperatures of weather stations, from a file in S3 through SQS and Step Functions into a DynamoDB table."""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

import rota

BUCKET = os.environ.get("READINGS_BUCKET", "pipeline-readings")
CELSIUS: dict[str, Callable[[float], float]] = {
    "C": lambda degrees: degrees,
    "F": lambda degrees: (degrees - 32) / 1.8,
}

app = rota.App("readings")


class Reading(msgspec.Struct):
    """An item, checked; one that does not fit is a dead letter that names the field."""

    station: str
    hour: int
    degrees: float
    unit: str


@app.task(schema=Reading, retry=rota.Retry(attempts=3, initial=0.5, maximum=2))
def to_celsius(reading: Reading) -> dict[str, object]:
    """The item of the table. Its key is `station` and `hour`, so that doing it again changes nothing."""
    if reading.unit not in CELSIUS:
        raise rota.TargetError(f"unknown unit {reading.unit}", transient=False)
    celsius = round(CELSIUS[reading.unit](reading.degrees), 2)
    return {"station": reading.station, "hour": reading.hour, "celsius": celsius}


app.batch(
    "readings",
    source=f"s3://{BUCKET}/readings.csv",
    task=to_celsius,
    sink=rota.DynamoTable("pipeline-celsius", key=("station", "hour")),
    chunk_items=500,
    concurrency=4,
    tolerated_failures="10%",
    topology="pipeline",
    notify=["queue:ended"],
)
