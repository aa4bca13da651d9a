"""Runs batches in this process with real workers, and reads what came of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.batch import shop

from rota import wiring
from rota.app import App
from rota.client import Client
from rota.core.batch import BatchRun
from rota.embedded.serving import Serving

PATIENCE = 180


class Place:
    """A directory with a database, sources and results."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = f"sqlite:///{root / 'rota.db'}"
        self.app = App("shop")
        for task in shop.app.tasks.values():
            self.app.tasks.add(task)

    def lines(self, items: Iterable[Any], name: str = "items.jsonl") -> str:
        path = self.root / name
        path.write_text("".join(item if isinstance(item, str) else json.dumps(item) + "\n" for item in items))
        return str(path)

    def orders(self, count: int, **more: Any) -> str:
        return self.lines({"id": number, **more} for number in range(count))

    def batch(self, task: Any, source: Any, **options: Any) -> None:
        given = {"sink": str(self.root / "results") + "/", "chunk_items": 10, "concurrency": 2, **options}
        self.app.batch("orders", source=source, task=task, **given)

    def serve(self) -> Serving:
        return wiring.engine(self.url, self.app, durability="process", grace=60.0)

    def client(self) -> Client:
        return wiring.connect(self.url, self.app, durability="process")

    def run(self, task: Any, source: Any, payload: object = None, **options: Any) -> BatchRun:
        self.batch(task, source, **options)
        with self.serve() as client:
            started = client.batches.start("orders", payload=payload)
            return client.batches.wait(started.id, PATIENCE)

    def results(self, run: BatchRun | None = None) -> list[Any]:
        found: list[Any] = []
        for path in sorted((self.root / "results").glob("part-*")):
            found += [json.loads(line) for line in path.read_text().splitlines()]
        return found

    def verify(self, run: BatchRun) -> list[str]:
        with self.client() as client:
            return client.batches.verify(run.id)
