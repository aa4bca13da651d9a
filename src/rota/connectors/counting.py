"""No sink: results are counted and thrown away, for tasks that are run for what they do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from rota.connectors.part_files import part_name
from rota.core.chunk import Chunk
from rota.core.receipt import Delivered, Part

_NOTHING = hashlib.sha256().hexdigest()


class CountingSink:
    """The `Sink` of `NoSink`."""

    def check(self) -> None:
        """Nothing can be wrong."""

    def holder(self) -> str | None:
        return None

    def prepare(self, run_id: str) -> None:
        """Nothing is to be prepared."""

    def write(self, chunk: Chunk, results: Iterable[Sequence[object]], revision: int = 0) -> Part:
        items = sum(len(block) for block in results)
        return Part(part_name(chunk.number, revision, "none"), items, 0, _NOTHING)

    def sync(self, parts: Iterable[Part]) -> None:
        """Nothing is kept."""

    def refusal(self, result: object) -> str | None:
        return None

    def finish(self, parts: Iterable[Part]) -> Delivered:
        for _ in parts:
            pass
        return self.left()

    def left(self) -> Delivered:
        return Delivered("nowhere", "")

    def discard(self, run_id: str) -> None:
        """Nothing was kept."""
