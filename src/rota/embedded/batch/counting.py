"""How many items there are, while a batch run goes on.

What the planner passes is surveyed. Where cuts are found without counting, or the planner has far to go, that gives an
estimate, by which no batch run is ended: when it says that more has failed than is tolerated, the source is counted in
a thread of its own, by cutting it once more and keeping nothing, and the number that comes of it decides.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from rota.connectors.stored import is_spooled, open_stored_source
from rota.core.batch import BatchRun, filled
from rota.core.chunk import Chunk, ChunkSize
from rota.core.completion import ChunkRow, Mark
from rota.core.errors import RotaError
from rota.core.receipt import Counts
from rota.core.total import Survey, Total, suspicious

log: logging.Logger = logging.getLogger("rota.batch")
_SIZE = ChunkSize(items=100_000)


class Counting:
    """spool: where the list of files was pinned. size: of the source. ring: called when it was counted."""

    def __init__(self, run: BatchRun, spool: Path, size: int, ring: Callable[[], None]) -> None:
        self._run = run
        self._spool = spool
        self._ring = ring
        self._survey = Survey(size)
        self._counted = Total(run.about, exact=True) if run.counted else None
        self._thread: threading.Thread | None = None
        self._stopped = False

    def total(self) -> Total | None:
        """As far as is known now."""
        return self._counted or self._survey.total()

    def passing(self, plan: Iterator[Chunk]) -> Iterator[Chunk]:
        """The chunks of `plan`, which is followed to its end."""
        for chunk in plan:
            self._survey.plan(chunk)
            yield chunk
        self._survey.finish()

    def known(self, row: ChunkRow) -> None:
        """A chunk that was planned before, and perhaps done."""
        self._survey.plan(row.chunk)
        if row.mark is not None:
            self.mark(row.mark)

    def finish(self) -> None:
        """All chunks were planned before."""
        self._survey.finish()

    def mark(self, mark: Mark) -> None:
        self._survey.mark(mark.chunk, mark.extent, mark.counts)

    def look(self, run: BatchRun, counts: Counts) -> None:
        """Have the source counted, once, if that is what the end of `run` depends on."""
        if self._thread is None and self._counted is None and suspicious(run, counts):
            self._thread = threading.Thread(target=self._count, name="rota-count", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopped = True
        if self._thread is not None:
            self._thread.join(1.0)

    def _count(self) -> None:
        spec = self._run.spec
        size = spec.size if is_spooled(spec.source) else _SIZE
        items = 0
        try:
            with tempfile.TemporaryDirectory(prefix="count-", dir=self._spool.parent) as place:
                # What was pinned is counted; chunks in the spool have no suffix.
                for pinned in self._spool.glob("*.json*"):
                    shutil.copy(pinned, place)
                source = open_stored_source(filled(spec.source, self._run.id), place)
                for chunk in source.plan(size):
                    source.release([chunk])
                    if self._stopped or chunk.items is None:
                        return
                    items += chunk.items
        except (RotaError, OSError) as error:
            log.warning("%s: its items could not be counted: %s", self._run.id, error)
            return
        self._counted = Total(items, exact=True)
        self._ring()
