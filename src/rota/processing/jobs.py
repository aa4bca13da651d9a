"""What is asked of whoever works on a chunk, and what is answered: jobs describe, reports count, items travel in
neither."""

from __future__ import annotations

from typing import Literal

import msgspec

from rota.core.chunk import Chunk, Extent
from rota.core.completion import FailureCount
from rota.core.isolation import Stretch
from rota.core.outcome import Failure
from rota.core.receipt import Counts, Part

_ROUND = 1_000_000
JobKind = Literal["whole", "count", "stretch", "assemble", "sample"]


class Redo(msgspec.Struct, frozen=True):
    """The items are not the chunk's but its dead letters, as `revision` left them, of these groups."""

    revision: int
    groups: tuple[str, ...]


class Job(msgspec.Struct, frozen=True, omit_defaults=True):
    """whole: attempt all items and write the part. count: only tell how many items there are. stretch: attempt the
    items
    from `low` to before `high` and keep their outcome beside. assemble: write the part from what the stretches kept;
    `killers` are dead. sample: attempt a stretch, and keep nothing. pace: seconds an item, or 0. revision: what the
    part and the dead letters belong to. round: how often items of the chunk were put off till later in this revision;
    from 1 on, the items are those that the round before put off, and the results come in addition."""

    id: int
    kind: JobKind
    chunk: Chunk
    redo: Redo | None = None
    revision: int = 0
    low: int = 0
    high: int = 0
    stretches: tuple[Stretch, ...] = ()
    killers: tuple[int, ...] = ()
    died: str = ""
    pace: float = 0.0
    round: int = 0


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a job ended. counts: of the items it attempted; of a redrive, `left` counts the dead letters that the chunk
    still has, of any group; so does that of a round. later, wait: how many items are put off, and for how many seconds.
    size: bytes of the results of a sample. fatal: why the batch run cannot go on. id -1: the worker is ready."""

    id: int
    extent: Extent = Extent(0, 0)
    counts: Counts = Counts(0, 0)
    part: Part | None = None
    failures: tuple[FailureCount, ...] = ()
    left: int = 0
    later: int = 0
    wait: float = 0.0
    retries: int = 0
    seconds: float = 0.0
    size: int = 0
    fatal: Failure | None = None


def edition(revision: int, nth: int) -> int:
    """What stands for a revision in the names of parts and files of dead letters: those of the nth round are apart."""
    return revision + nth * _ROUND
