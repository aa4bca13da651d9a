"""What a worker does with one job: read the chunk, attempt its items, write the part and the dead letters.

Results go to the sink block by block, as they are made. A sink refuses a result that its format cannot hold by
raising out
of the middle of that; the results so far are kept, the refused ones become dead letters, and the part is written
anew, with
no item attempted twice. What is kept is bounded: from a chunk that is larger than that, every result is checked first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from rota.connectors.jsonl import join_lines
from rota.core.block import Block, Broken
from rota.core.chunk import Chunk, Extent
from rota.core.completion import BROKEN_ITEM, DeadItem, count_failures
from rota.core.errors import InvalidError
from rota.core.isolation import Stretch
from rota.core.outcome import Failure
from rota.core.receipt import Counts
from rota.ports.sink import Sink
from rota.ports.source import Source
from rota.processing.calls import Calls, Ended
from rota.processing.jobs import Job, Redo, Report, edition
from rota.processing.places import Places

KEPT = {"bytes": 4 << 20, "rows": 50_000, "items": 50_000}
"""How large a chunk may be, in its unit, for its results to be kept until its part is written."""
_encode = msgspec.json.Encoder(enc_hook=repr).encode


class Piece(NamedTuple):
    """Some items of a chunk: block positions are worked out only where an item fails. first: number of its first
    item, or the number of each. tried: how often each was attempted before."""

    values: list[object]
    broken: Sequence[int]
    positions: Any
    first: int
    numbers: list[int] | None = None
    tried: list[int] | None = None

    def number(self, at: int) -> int:
        return self.first + at if self.numbers is None else self.numbers[at]


class Apart(msgspec.Struct):
    """The outcome of a stretch, kept until the part is assembled."""

    results: list[Any]
    dead: list[DeadItem]
    skipped: int
    retries: int
    later: list[DeadItem] = []
    wait: float = 0.0


class _Made(NamedTuple):
    """Results of a piece, and which of its items they came from."""

    results: list[object]
    at: list[int] | None
    piece: Piece


class ChunkWork:
    """Carries out the jobs of one batch run in this process."""

    def __init__(self, source: Source, sink: Sink, calls: Calls, places: Places) -> None:
        self._source = source
        self._sink = sink
        self._calls = calls
        self._places = places

    def do(self, job: Job) -> Report:
        """Raises what makes going on pointless: SourceError, a sink that cannot be written."""
        began = time.monotonic()
        report = _ChunkJob(self._source, self._sink, self._calls, self._places, job).do()
        return msgspec.structs.replace(report, seconds=time.monotonic() - began)


class _ChunkJob:
    def __init__(self, source: Source, sink: Sink, calls: Calls, places: Places, job: Job) -> None:
        self._source = source
        self._sink = sink
        self._calls = calls
        self._places = places
        self._job = job
        self._chunk: Chunk = job.chunk
        self._start: int | None = None
        self._end = 0
        self._items = 0
        self._skipped = 0
        self._retries = 0
        self._dead: list[DeadItem] = []
        self._others: list[DeadItem] = []
        self._later: list[DeadItem] = []
        self._wait = 0.0
        self._kept: list[_Made] = []
        self._checking = self._chunk.end - self._chunk.start > KEPT[self._chunk.unit]

    def do(self) -> Report:
        kind = self._job.kind
        if kind == "count":
            for piece in self._pieces():
                self._items += len(piece.values)
            return self._report(0)
        if kind == "stretch":
            return self._do_stretch()
        if kind == "sample":
            size = sum(len(join_lines(made)) for made in self._attempted(self._cut()))
            return msgspec.structs.replace(self._report(0), size=size)
        return self._write(self._assembled() if kind == "assemble" else self._attempted(self._pieces()))

    # items

    def _pieces(self) -> Iterator[Piece]:
        """The items, a block at a time, or all at once if the task takes whole chunks."""
        if self._job.round:
            yield self._later_piece()
            return
        if self._job.redo is not None:
            yield self._dead_piece(self._job.redo)
            return
        first = 0
        blocks = self._source.read(self._chunk)
        if self._calls.whole_chunks:
            blocks = iter([_joined(list(blocks))])
        for block in blocks:
            self._start = block.start if self._start is None else self._start
            self._end = block.end
            yield Piece(block.values, block.broken, block.positions, first)
            first += len(block.values)

    def _dead_piece(self, redo: Redo) -> Piece:
        """The dead letters that are to be attempted again; what could not be decoded stays what it is."""
        mine: list[DeadItem] = []
        for one in self._places.read_dead(self._chunk.number, redo.revision):
            chosen = one.signature.key in redo.groups and not one.broken
            (mine if chosen else self._others).append(one)
        positions = [one.position for one in mine]
        return Piece([one.item for one in mine], (), lambda: positions, 0, [one.index for one in mine])

    def _later_piece(self) -> Piece:
        """The items that the round before put off; the dead letters that it left stay."""
        job = self._job
        mine = list(self._places.read_dead(self._chunk.number, edition(job.revision, job.round)))
        numbers = [one.index for one in mine]
        dead = self._places.read_dead(self._chunk.number, job.revision)
        # Not those of mine that an earlier delivery of this job gave up.
        self._others += [one for one in dead if one.index not in set(numbers)]
        positions = [one.position for one in mine]
        tried = [one.attempts for one in mine]
        return Piece([one.item for one in mine], (), lambda: positions, 0, numbers, tried)

    def _cut(self) -> Iterator[Piece]:
        """The items from `low` to before `high`."""
        low, high, passed = self._job.low, self._job.high, 0
        for piece in self._pieces():
            before, passed = passed, passed + len(piece.values)
            begin, end = max(low - before, 0), min(high - before, len(piece.values))
            if begin < end:
                broken = [at - begin for at in piece.broken if begin <= at < end]
                numbers = piece.numbers[begin:end] if piece.numbers is not None else None
                tried = piece.tried[begin:end] if piece.tried is not None else None
                positions = _sliced(piece.positions, begin, end)
                yield Piece(piece.values[begin:end], broken, positions, piece.first + begin, numbers, tried)
            if passed >= high:
                return

    # attempts

    @property
    def _edition(self) -> int:
        return edition(self._job.revision, self._job.round)

    def _attempted(self, pieces: Iterable[Piece]) -> Iterator[list[object]]:
        for piece in pieces:
            made = self._attempt(piece)
            if self._checking:
                made = self._without_refused(made)
            elif made.results:
                self._kept.append(made)
            if made.results:
                yield made.results

    def _attempt(self, piece: Piece) -> _Made:
        self._items += len(piece.values)
        if not piece.broken:
            ended = self._calls.attempt(piece.values, piece.first, self._job.pace, piece.tried)
            at = ended.at
        else:
            out = set(piece.broken)
            whole = [at for at in range(len(piece.values)) if at not in out]
            ended = self._calls.attempt([piece.values[at] for at in whole], piece.first, self._job.pace)
            at = [whole[index] for index in ended.at] if ended.at is not None else whole
            dead, later = ([one._replace(at=whole[one.at]) for one in them] for them in (ended.dead, ended.later))
            ended = ended._replace(dead=dead, later=later)
        self._note(piece, ended)
        return _Made(ended.results, at, piece)

    def _note(self, piece: Piece, ended: Ended) -> None:
        self._skipped += ended.skipped
        self._retries += ended.retries + len(piece.tried or ())
        if not ended.dead and not ended.later and not piece.broken:
            return
        positions = piece.positions()
        for one in ended.later:
            self._later.append(self._dead_item(piece, positions, one.at, one.failure, one.attempts, one.field))
            self._wait = max(self._wait, one.wait)
        found = [self._dead_item(piece, positions, one.at, one.failure, one.attempts, one.field) for one in ended.dead]
        for at in piece.broken:
            value = piece.values[at]
            assert isinstance(value, Broken)
            kind = value.error.partition(":")[0]  # what comes behind it differs from record to record
            failure = Failure((BROKEN_ITEM,), value.error, "", transient=False)
            item = self._dead_item(piece, positions, at, failure, 1, kind if len(kind) < 60 else "")
            found.append(msgspec.structs.replace(item, item=value.raw, broken=True))
        self._dead += sorted(found, key=lambda one: one.index)

    def _dead_item(
        self, piece: Piece, positions: Sequence[int], at: int, failure: Failure, attempts: int, field: str
    ) -> DeadItem:
        return DeadItem(self._chunk.number, piece.number(at), positions[at], piece.values[at], failure, attempts, field)

    # results

    def _write(self, results: Iterator[list[object]]) -> Report:
        job = self._job
        try:
            part = self._sink.write(self._chunk, results, self._edition)
        except InvalidError:
            kept = [self._without_refused(made) for made in self._kept]
            self._kept.clear()
            self._checking = True
            part = self._sink.write(self._chunk, chain((made.results for made in kept), results), self._edition)
        for _ in results:
            pass  # a sink that stops early must not leave items unattempted
        dead = sorted([*self._others, *self._dead], key=lambda one: one.index)
        if self._later:
            self._places.write_dead(self._chunk.number, edition(job.revision, job.round + 1), self._later)
        if dead or self._later or job.redo is not None or job.round:
            self._places.write_dead(self._chunk.number, job.revision, dead)
        return msgspec.structs.replace(self._report(len(dead)), part=part, failures=count_failures(dead))

    def _without_refused(self, made: _Made) -> _Made:
        results: list[object] = []
        at: list[int] = []
        for index, result in enumerate(made.results):
            where = index if made.at is None else made.at[index]
            problem = self._sink.refusal(result)
            if problem is None:
                results.append(result)
                at.append(where)
            else:
                failure = Failure(("rota.RefusedResult",), problem, "", transient=False)
                self._dead.append(self._dead_item(made.piece, made.piece.positions(), where, failure, 1, ""))
        return _Made(results, at, made.piece)

    def _report(self, left: int) -> Report:
        failed, later = len(self._dead), len(self._later)
        counts = Counts(self._items, self._items - failed - later - self._skipped, failed, self._skipped)
        extent = Extent(self._chunk.start if self._start is None else self._start, self._end)
        return Report(self._job.id, extent, counts, left=left, later=later, wait=self._wait, retries=self._retries)

    # looking for a killer

    def _do_stretch(self) -> Report:
        self._checking = True
        results = [result for made in self._attempted(self._cut()) for result in made]
        outcome = _encode(Apart(results, self._dead, self._skipped, self._retries, self._later, self._wait))
        self._places.write_apart(self._chunk.number, Stretch(self._job.low, self._job.high), outcome)
        return self._report(0)

    def _assembled(self) -> Iterator[list[object]]:
        """The results that stretches kept; killers become dead letters."""
        killers = set(self._job.killers)
        for piece in self._pieces():
            self._items += len(piece.values)
            for at in range(len(piece.values)):
                if piece.first + at in killers:
                    failure = Failure(("rota.WorkerDied",), self._job.died, "", transient=False)
                    self._dead.append(self._dead_item(piece, piece.positions(), at, failure, 1, ""))
        for stretch in self._job.stretches:
            text = self._places.read_apart(self._chunk.number, stretch)
            kept = msgspec.json.decode(text, type=Apart)
            self._dead += kept.dead
            self._skipped += kept.skipped
            self._retries += kept.retries
            self._later += kept.later
            self._wait = max(self._wait, kept.wait)
            if kept.results:
                yield kept.results


def _joined(blocks: list[Block]) -> Block:
    """Consecutive blocks as one."""
    if len(blocks) == 1:
        return blocks[0]
    values = [value for block in blocks for value in block.values]
    broken = [at for at, value in enumerate(values) if isinstance(value, Broken)]
    return Block(
        blocks[0].start, blocks[-1].end, values, broken, lambda: [at for block in blocks for at in block.positions()]
    )


def _sliced(positions: Any, begin: int, end: int) -> Any:
    return lambda: positions()[begin:end]
