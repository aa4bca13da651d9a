"""Cuts the source of a batch run into chunks and sends them, in as many invocations as it takes.

The ledger is the checkpoint: a page of chunks is stored, then its messages are sent, so whoever comes after a function
that died finds the last page there, sends that once more, and plans on behind it. The planner reads no items but those
that it must: see `rota.aws.batch.sizing`.

It also sends what is to be done once more: chunks whose dead letters are redriven, and, after a pause or when messages
were lost, all that the ledger says is open. A chunk that is done all the same is seen by whoever gets the message.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from rota.aws.batch.benches import Benches, prepared_sink
from rota.aws.batch.ledger import Headers, Ledger, find
from rota.aws.batch.map_start import Execution, MapStarter
from rota.aws.batch.messages import (
    ChunkMessage,
    EndedMessage,
    LaterMessage,
    PlanMessage,
    Step,
    UnreadableError,
    decode_batch_message,
)
from rota.aws.batch.post import Post
from rota.aws.batch.sizing import sized
from rota.aws.batch.verdicts import decide_failed
from rota.connectors.stored import is_spooled
from rota.core.batch import BatchRun
from rota.core.chunk import Chunk
from rota.core.completion import ChunkRow, Verdict
from rota.core.errors import LastingSourceError, RotaError, SourceError, StoreError
from rota.core.ledger_tree import FAN_OUT
from rota.ports.batches import Which
from rota.ports.clock import Clock
from rota.processing.jobs import Job, Redo
from rota.processing.marks import ATTEMPTS
from rota.service.batches import batch_key

log: logging.Logger = logging.getLogger("rota.batch")
AHEAD = 10_000
"""Chunks of a stream or a generator that may be spooled and not done."""
FLUSH = 5.0
"""Seconds after which planned chunks are sent, however few they are."""
RESERVE = 20_000
"""Milliseconds of a function's time that are left when the next one takes over."""
_EARLY = 1000
_PAGE = 1000
_WAIT = 1.0


class _GoneOnError(Exception):
    """Another invocation goes on, or nobody has to."""


class Planner:
    """benches: opens sources and sinks. maps: carries out batch runs with the topology map. sleep: seconds."""

    def __init__(
        self,
        ledger: Ledger,
        post: Post,
        clock: Clock,
        benches: Benches,
        *,
        maps: MapStarter | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger = ledger
        self._post = post
        self._clock = clock
        self._benches = benches
        self._maps = maps
        self._sleep = sleep
        self._headers = Headers(ledger, clock)

    def handle(self, body: str, received: int, left: Callable[[], int]) -> None:
        """Deal with a message. left: milliseconds that the function may still take. StoreError if it must come
        again."""
        message = decode_batch_message(body)
        if isinstance(message, LaterMessage):
            self._send_on(message)
        elif isinstance(message, PlanMessage):
            self._take(message, received, left)
        elif isinstance(message, EndedMessage):
            self._end_of(message)
        else:
            raise UnreadableError("message", body, "a message for the planner")

    def _send_on(self, later: LaterMessage) -> None:
        if later.due > self._clock.now() + _EARLY:
            self._post.later(later.message, later.due)
            return
        run = self._headers.get(later.message.key)
        if run is not None:
            self._post.chunks(run, [later.message])

    def _take(self, message: PlanMessage, received: int, left: Callable[[], int]) -> None:
        run = self._headers.fresh(message.key)
        if run is None or not run.is_open:
            return
        if run.spec.topology == "map" and run.state != "finishing":
            self._map(run)
            return
        if run.state == "finishing" or run.wish == "cancel":
            self._post.finish(run.id)
            return
        if run.wish == "pause":
            return
        try:
            _Planning(self, run, message, received, left).go()
        except _GoneOnError:
            pass
        except StoreError:
            raise
        except RotaError as error:
            may_pass = isinstance(error, SourceError) and not isinstance(error, LastingSourceError)
            if may_pass and received < ATTEMPTS:
                raise
            decide_failed(self._ledger, self._post, run, str(error))

    def _map(self, run: BatchRun) -> None:
        """Have Step Functions carry it out; the end of its execution ends it, if there is one."""
        if run.wish == "pause":
            return
        if self._maps is None:
            decide_failed(self._ledger, self._post, run, "the stack has no state machine for maps any more")
            return
        ended = self._maps.follow(run)
        if ended is not None:
            self._left_unfinished(self._maps, run, ended)

    def _end_of(self, message: EndedMessage) -> None:
        """See to the batch run of an execution that did not succeed, if it has not ended, too."""
        maps = self._maps
        ended = None if maps is None else maps.look(message.execution)
        if maps is None or ended is None:
            return
        run = self._headers.fresh(batch_key(ended.run))
        if run is not None and run.is_open and maps.is_current(run, ended):
            self._left_unfinished(maps, run, ended)

    def _left_unfinished(self, maps: MapStarter, run: BatchRun, ended: Execution) -> None:
        if run.state != "finishing" and run.wish == "cancel":
            self._post.finish(run.id)
            return
        if run.state != "finishing" and run.wish == "pause":
            maps.turn_over(run, ended)
            self._post.plan(PlanMessage(run.id, "open", f"turn-{run.revision}-{ended.turn + 1}"))
            return
        log.error("%s: %s", run.id, ended)
        self._ledger.decide(run.key, Verdict("failed", str(ended)))
        if not ended.is_told:
            maps.conclude(run, ended)
        self._post.finish(run.id)

    # for _Planning, which is a part of this

    @property
    def parts(self) -> tuple[Ledger, Post, Clock, Benches, Headers, Callable[[float], None]]:
        return self._ledger, self._post, self._clock, self._benches, self._headers, self._sleep


class _Planning:
    """One invocation's work for one batch run."""

    def __init__(
        self, planner: Planner, run: BatchRun, message: PlanMessage, received: int, left: Callable[[], int]
    ) -> None:
        self._ledger, self._post, self._clock, self._benches, self._headers, self._sleep = planner.parts
        self._run = run
        self._message = message
        self._received = received
        self._left = left

    def go(self) -> None:
        step, after = self._message.step, self._message.after
        if step == "start":
            self._begin()
            step = "redrive" if self._run.revision else "cut"
        if step == "redrive":
            self._redrive(after)
            step, after = "open", -1
        if step == "open":
            self._open(after)
        self._cut()

    def _begin(self) -> None:
        run = self._run
        self._ledger.begin(run.key, self._clock.now())
        if not run.planned:
            self._benches.plannable(run).check()
        prepared_sink(run)
        if run.spec.timeout is not None:
            self._post.finish(run.id, self._clock.now() + round(run.spec.timeout * 1000) + _EARLY)

    # again

    def _redrive(self, after: int) -> None:
        run = self._run
        if after < 0:
            self._ledger.expect(run.key, (row.chunk.number for row in self._rows("redrive", -1)))
        for page in self._pages("redrive", after):
            self._post.chunks(run, [self._again(row) for row in page])
            self._spend("redrive", page[-1].chunk.number)

    def _again(self, row: ChunkRow) -> ChunkMessage:
        assert row.mark is not None
        redo = Redo(row.mark.revision, self._run.groups)
        return self._about(Job(0, "whole", row.chunk, redo, self._run.revision))

    def _open(self, after: int) -> None:
        for page in self._pages("open", after):
            self._post.chunks(self._run, [self._whole(row.chunk, again=True) for row in page])
            self._spend("open", page[-1].chunk.number)

    def _pages(self, which: Which, after: int) -> Iterator[list[ChunkRow]]:
        while page := self._ledger.chunks(self._run.key, which, after, _PAGE):
            yield page
            after = page[-1].chunk.number

    def _rows(self, which: Which, after: int) -> Iterator[ChunkRow]:
        for page in self._pages(which, after):
            yield from page

    # planning

    def _cut(self) -> None:
        run = self._headers.fresh(self._run.key)
        if run is None or not self._is_wanted(run):
            return
        self._run = run
        if run.sealed is None:
            last = self._last(run)
            if last is not None and self._received > 1:
                self._send_page_of(last)
            complete = self._ledger.seal(run.key, self._plan(last))
        else:
            complete = self._ledger.is_complete(run.key)
        if complete:
            self._post.finish(run.id)

    def _last(self, run: BatchRun) -> Chunk | None:
        """The last chunk that is planned."""
        rows = self._ledger.chunks(run.key, "all", run.planned - 2, FAN_OUT) if run.planned else []
        return rows[-1].chunk if rows else None

    def _send_page_of(self, last: Chunk) -> None:
        """A function that died may not have sent all of the page that it had stored."""
        first = last.number - last.number % FAN_OUT
        rows = self._ledger.chunks(self._run.key, "all", first - 1, FAN_OUT)
        self._post.chunks(self._run, [self._whole(row.chunk, again=True) for row in rows if row.mark is None])

    def _plan(self, last: Chunk | None) -> int:
        """Plan to the end; answers how many chunks there are."""
        spec = self._run.spec
        source, size = self._benches.plannable(self._run), sized(spec.source, spec.size)
        spooled = is_spooled(spec.source)
        page: list[Chunk] = []
        number, flushed = -1 if last is None else last.number, time.monotonic()
        for chunk in source.plan(size, last):
            page.append(chunk)
            number = chunk.number
            full = (number + 1) % FAN_OUT == 0 or time.monotonic() - flushed > FLUSH or self._left() < RESERVE
            if full:
                self._send(page)
                page, flushed = [], time.monotonic()
                self._spend("cut", -1)
                if spooled:
                    self._hold_back(number)
        self._send(page)
        return number + 1

    def _send(self, page: list[Chunk]) -> None:
        if page:
            self._ledger.plan(self._run.key, page)
            self._post.chunks(self._run, [self._whole(chunk) for chunk in page])

    def _hold_back(self, number: int) -> None:
        """Wait while too much is spooled."""
        while (run := find(self._ledger, self._run.key)) is not None and number - run.done > AHEAD:
            self._spend("cut", -1)
            self._sleep(_WAIT)

    def _spend(self, step: Step, after: int) -> None:
        """Go on if the batch run does and there is time; else leave it to the next invocation."""
        run = self._headers.get(self._run.key)
        if run is None or not self._is_wanted(run):
            raise _GoneOnError
        if self._left() < RESERVE:
            self._post.plan(PlanMessage(self._run.id, step, self._message.wave, after))
            raise _GoneOnError

    def _is_wanted(self, run: BatchRun) -> bool:
        """Whether the batch run goes on; a pause ends planning too, and whoever ends it has it taken up again."""
        if run.wish == "cancel" or run.state == "finishing":
            self._post.finish(run.id)
        return run.wish == "run" and run.state in ("pending", "running")

    def _whole(self, chunk: Chunk, *, again: bool = False) -> ChunkMessage:
        return self._about(Job(0, "whole", chunk), again=again)

    def _about(self, job: Job, *, again: bool = False) -> ChunkMessage:
        return ChunkMessage(self._run.id, job, self._message.wave, again)
