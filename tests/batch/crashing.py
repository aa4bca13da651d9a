"""An app whose batch takes some seconds, served by a process that tests kill. Run as a module, it serves."""

from __future__ import annotations

import sys
import time
from typing import Any

from rota import wiring
from rota.app import App

app = App("crashing")


@app.task
def work(item: dict[str, Any]) -> dict[str, Any]:
    number = item["id"]
    if number % 100 == 0:
        time.sleep(0.001)
    if number % 1000 == 7:
        raise ValueError("seven")
    return {"id": number, "square": number * number}


def serve(url: str, source: str, sink: str, chunk_items: int) -> None:
    """Until killed."""
    app.batch(
        "squares",
        source=source,
        task=work,
        sink=sink,
        chunk_items=chunk_items,
        concurrency=2,
        tolerated_failures="1%",
        notify=["queue:told"],
    )
    with wiring.engine(url, app, durability="process"):
        while True:
            time.sleep(1)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
