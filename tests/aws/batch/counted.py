"""An app whose batches are counted: the same work in each topology."""

from __future__ import annotations

import rota
from rota.core.batch import Topology

app = rota.App("counted")
WAYS: tuple[Topology, ...] = ("queue", "map", "pipeline")


@app.task
def double(item: dict[str, int]) -> dict[str, int]:
    return {"number": item["number"], "doubled": 2 * item["number"]}


for way in WAYS:
    app.batch(
        way,
        source="s3://counted-items/numbers.jsonl",
        task=double,
        sink="out/",
        chunk_items=10,
        concurrency=4,
        topology=way,
    )
