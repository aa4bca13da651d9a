"""The app of tests of maps: prices are rounded, unless an item says that it fails."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import boto3

import rota
from rota import App, Retry

app: App = App("shop")


@app.task(retry=Retry(attempts=1))
def price(item: dict[str, Any]) -> dict[str, Any]:
    if item.get("kills"):
        os._exit(1)
    if item.get("waits"):
        time.sleep(item["waits"])
    if item.get("replaces"):
        boto3.client("s3").put_object(Bucket="shop-bucket", Key=item["replaces"], Body=b"[]")
    cured = item.get("cured")
    if item.get("fails") and not (cured and Path(cured).exists()):
        raise ValueError(f"no price for {item['id']}")
    if item.get("skipped"):
        raise rota.Skip
    return {"id": int(item["id"]), "price": round(float(item["price"]), 2)}


@app.task(retry=Retry(attempts=1))
def weigh(row: dict[str, Any]) -> dict[str, Any]:
    return {"key": row["Key"], "size": int(row["Size"])}


def declare(source: object, **more: Any) -> None:
    """Declare the batch of a test."""
    app.batches.pop("prices", None)
    options: dict[str, Any] = {
        "task": price,
        "sink": "s3://shop-bucket/out/{run}/",
        "chunk_items": 100,
        "concurrency": 4,
        "topology": "map",
    }
    app.batch("prices", source=source, **{**options, **more})
