"""Results on their way from the processor to the writer of a pipeline: JSON Lines in the batch run's own folder.

What travels through the state machine is the name of a file. The sink behind is asked for what it refuses, while it is
still known which item a result came from; so what gets to the writer is what the sink takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from rota.aws.batch.benches import Bench, Benches
from rota.connectors.folder import Folder
from rota.connectors.jsonl import join_lines
from rota.core.batch import BatchRun
from rota.core.chunk import Chunk
from rota.core.completion import Mark
from rota.core.errors import InvalidError, SourceError
from rota.core.receipt import Delivered, Part
from rota.ports.sink import Sink

_PASSING = "apart/passing/"
_BLOCK = 1000


class PassingSink:
    """A `Sink` that keeps results for `behind`. token: of this attempt, so that nobody else's results get its names."""

    def __init__(self, behind: Sink, folder: Folder, token: str) -> None:
        self._behind = behind
        self._folder = folder
        self._token = token

    def check(self) -> None:
        self._behind.check()

    def prepare(self, run_id: str) -> None:
        self._behind.prepare(run_id)

    def write(self, chunk: Chunk, results: Iterable[Sequence[object]], revision: int = 0) -> Part:
        name = f"{_PASSING}{self._token}.e{revision}.jsonl"
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

        self._folder.write(name, lines())
        return Part(name, items, size, digest.hexdigest())

    def sync(self, parts: Iterable[Part]) -> None:
        """S3 keeps what it took."""

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


def pass_on(folder: Folder, token: str, mark: Mark) -> str:
    """Keep what a chunk came to, whose parts the writer is to write; answers the name that it has."""
    name = f"{_PASSING}{token}.json"
    folder.write(name, [msgspec.json.encode(mark)])
    return name


def passed_on(folder: Folder, name: str) -> Mark:
    """What was kept. SourceError if it is not there."""
    text = folder.read(name)
    if text is None:
        raise SourceError(f"what the processor passed on as {name!r} is not there")
    return msgspec.json.decode(text, type=Mark)


def written(folder: Folder, sink: Sink, chunk: Chunk, part: Part) -> Part:
    """The part of `sink` with the results that this one passes on; a part that is written already stays as it is.
    SourceError if they are not there or not whole."""
    if not part.name.startswith(_PASSING):
        return part
    data = folder.read(part.name)
    if data is None or hashlib.sha256(data).hexdigest() != part.sha256:
        raise SourceError(f"the results in {part.name!r} are not there, or not whole")
    edition = int(part.name.rpartition(".e")[2].removesuffix(".jsonl"))
    return sink.write(chunk, _blocks(data), edition)


def _blocks(data: bytes) -> Iterator[list[object]]:
    lines = data.splitlines()
    for low in range(0, len(lines), _BLOCK):
        yield [msgspec.json.decode(line) for line in lines[low : low + _BLOCK]]
