"""An app whose batches do the same in each topology, on bad days."""

from __future__ import annotations

from typing import Any

import rota
from rota import Retry
from rota.core.batch import Topology

app = rota.App("badday")
WAYS: tuple[Topology, ...] = ("queue", "map", "pipeline")


@app.task(retry=Retry(attempts=2, initial=0, maximum=0))
def double(item: dict[str, Any]) -> dict[str, int]:
    if item["bad"]:
        raise ValueError("it is bad")
    return {"number": item["number"], "doubled": 2 * item["number"]}


for way in WAYS:
    app.batch(
        way,
        source="s3://badday-items/numbers.jsonl",
        task=double,
        sink="out/",
        chunk_items=25,
        concurrency=4,
        tolerated_failures="50%",
        notify=["queue:events"],
        topology=way,
    )
