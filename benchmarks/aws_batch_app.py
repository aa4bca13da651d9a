"""The app of the benchmark of batches on AWS: one task, a batch in each topology."""

from __future__ import annotations

import time

from rota.app import App
from rota.core.batch import Topology

BUCKET = "bench-items"
KEY = "items.jsonl"
WAYS: tuple[Topology, ...] = ("queue", "map", "pipeline")

app = App("bench")


@app.task
def double(item: dict[str, int]) -> dict[str, int]:
    time.sleep(item["wait"] / 1000)
    return {"id": item["id"], "twice": item["value"] * 2}


for way in WAYS:
    app.batch(
        way,
        source=f"s3://{BUCKET}/{KEY}",
        task=double,
        sink="results/",
        chunk_items=100,
        concurrency=4,
        topology=way,
    )
