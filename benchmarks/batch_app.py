"""The app of the batch benchmark. Worker processes import it, so it imports what a user's module would, and no more."""

from __future__ import annotations

from rota.app import App

app = App("bench")


@app.task
def double(item: dict[str, int]) -> dict[str, int]:
    return {"id": item["id"], "twice": item["value"] * 2}


app.batch("double", source="items.jsonl", task=double, sink="results/")
