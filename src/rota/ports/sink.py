"""Where the results of a batch run go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from rota.core.chunk import Chunk
from rota.core.errors import ConflictError
from rota.core.receipt import Delivered, Part


class Sink(Protocol):
    """Takes the results of a chunk at once, from any process, any number of times.

    An implementer owes:
    - `check` raises `InvalidError` for what cannot work, and stores nothing.
    - `holder` is the run whose results the sink holds, "" if that cannot be told, None if it takes those of any run.
    - `prepare` is called before the first chunk, again after a restart, and by every worker process before it writes,
      with the same run id. It raises `ConflictError` when the sink holds another run's results, and leaves them as
      they are.
    - `write` is idempotent by chunk and revision, or by key: written twice, the results are there once; a crash or an
      exception from `results` leaves nothing of the chunk, or all of it. It pulls blocks of results as it goes and
      holds a bounded amount (a format that must, one chunk). Results are in the order of their items. `revision` 0 is
      the batch run, n the nth redrive, whose results come in addition.
    - `sync` makes parts durable, whichever process wrote them. One call serves many: the engine calls it before it
      commits a group of ledger marks, since a mark must not outlive its part. Until then a part survives a crash of the
      process, but perhaps not a loss of power.
    - `refusal` tells why one result cannot be written, or None: it singles out the items to blame after `write` has
      raised `InvalidError`.
    - `finish` gets every part, by chunk and revision, in order; afterwards all of them are where the user wants them.
      It may be called again, after a crash or with the parts of a redrive added.
    - `left` tells where the parts are when a batch run ends before all chunks are done; nothing is put together.
    - `discard` removes what a run left, if it is still this run's.
    """

    def check(self) -> None: ...

    def holder(self) -> str | None: ...

    def prepare(self, run_id: str) -> None: ...

    def write(self, chunk: Chunk, results: Iterable[Sequence[object]], revision: int = 0) -> Part: ...

    def sync(self, parts: Iterable[Part]) -> None: ...

    def refusal(self, result: object) -> str | None: ...

    def finish(self, parts: Iterable[Part]) -> Delivered: ...

    def left(self) -> Delivered: ...

    def discard(self, run_id: str) -> None: ...


def check_vacant(place: str, holder: str | None, run_id: str) -> None:
    """ConflictError if the sink at `place` holds the results of another run than this."""
    if holder is None or holder == run_id:
        return
    whose = f"batch run {holder!r}" if holder else "an unknown batch run"
    raise ConflictError(
        f"sink {place!r} already holds the results of {whose}; choose another or remove them",
        sink=place,
        batch_run=run_id,
    )
