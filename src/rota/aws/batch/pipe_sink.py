"""The sink of a pipeline's processor, which holds results for the writer, or keeps them in the batch run's own folder
where they are too many.

The sink behind is asked for what it refuses, while it is still known which item a result came from; so what gets to
the writer is what the sink takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from rota.aws.batch.benches import Bench, Benches
from rota.aws.batch.pipe_passing import PASSING
from rota.connectors.folder import Folder
from rota.connectors.jsonl import join_lines
from rota.core.batch import BatchRun
from rota.core.chunk import Chunk
from rota.core.errors import InvalidError
from rota.core.receipt import Delivered, Part
from rota.ports.sink import Sink

_HELD = 1 << 20
"""Bytes of results that are held. More would hardly become small enough to be passed on, however well it compresses."""


class PassingSink:
    """A `Sink` that passes results on instead of `behind`. token: of this attempt, so that nobody else's results get
    its names. held: what is not in the folder, by the names of parts."""

    def __init__(self, behind: Sink, folder: Folder, token: str) -> None:
        self._behind = behind
        self._folder = folder
        self._token = token
        self.held: dict[str, bytes] = {}

    def check(self) -> None:
        self._behind.check()

    def holder(self) -> str | None:
        return self._behind.holder()

    def prepare(self, run_id: str) -> None:
        self._behind.prepare(run_id)

    def write(self, chunk: Chunk, results: Iterable[Sequence[object]], revision: int = 0) -> Part:
        name = f"{PASSING}{self._token}.e{revision}.jsonl"
        digest = hashlib.sha256()
        items = size = 0

        def lines() -> Iterator[bytes]:
            nonlocal items, size
            for block in results:
                for result in block:
                    problem = self.refusal(result)
                    if problem is not None:
                        raise InvalidError("result", result, problem)
                data = join_lines(block)
                digest.update(data)
                items, size = items + len(block), size + len(data)
                yield data

        made = lines()
        begun: list[bytes] = []
        while size <= _HELD and (data := next(made, None)) is not None:
            begun.append(data)
        self.held.pop(name, None)
        if size <= _HELD:
            self.held[name] = b"".join(begun)
        else:
            self._folder.write(name, chain(begun, made))
        return Part(name, items, size, digest.hexdigest())

    def sync(self, parts: Iterable[Part]) -> None:
        """S3 keeps what it took, and the message of the chunk is not gone before what is held is written."""

    def refusal(self, result: object) -> str | None:
        problem = self._behind.refusal(result)
        if problem is not None:
            return problem
        try:
            join_lines([result])
        except (TypeError, ValueError, RecursionError) as error:
            return f"the result cannot be written as JSON: {error}"
        return None

    def finish(self, parts: Iterable[Part]) -> Delivered:
        return self._behind.finish(parts)

    def left(self) -> Delivered:
        return self._behind.left()

    def discard(self, run_id: str) -> None:
        self._behind.discard(run_id)


class PassingBenches(Benches):
    """Benches whose results go to the writer. Where results are not kept, there is nothing to pass on."""

    token: str = ""

    def bench(self, run: BatchRun) -> Bench:
        bench = super().bench(run)
        if run.spec.sink.get("type") == "none":
            return bench
        return bench._replace(sink=PassingSink(bench.sink, bench.places.folder, self.token))


def held_by(bench: Bench) -> dict[str, bytes]:
    """Results that a chunk came to, and that are nowhere else."""
    return bench.sink.held if isinstance(bench.sink, PassingSink) else {}
