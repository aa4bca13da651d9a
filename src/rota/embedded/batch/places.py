"""Where a batch run keeps its files.

<database>.batches/<batch run>/     spool/    the list of files; chunks of streams and generators until they are done
                                    dead/     dead letters: a file a chunk and revision
                                    apart/    outcomes of stretches, while a killer is looked for
                                    manifest and receipt, unless the sink is a directory of parts
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from rota.connectors.dead_files import dead_path, read_dead, write_dead
from rota.core.batch import BatchRun
from rota.core.completion import DeadItem
from rota.core.errors import InvalidError
from rota.core.isolation import Stretch
from rota.core.receipt import Delivered


class Places:
    """The directory of one batch run."""

    def __init__(self, directory: str) -> None:
        self.root: Path = Path(directory)
        self.spool: Path = self.root / "spool"
        self.dead: Path = self.root / "dead"
        self.apart: Path = self.root / "apart"
        self.lock: Path = self.root / "workers.lock"

    def make(self) -> None:
        """Create the directories; InvalidError if the place does not allow it."""
        try:
            for path in (self.spool, self.dead, self.apart):
                path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidError(
                "directory", str(self.root), f"a place beside the database that can be written is: {error.strerror}"
            ) from error

    def dead_path(self, chunk: int, revision: int) -> Path:
        return dead_path(self.root, chunk, revision)

    def write_dead(self, chunk: int, revision: int, dead: Sequence[DeadItem]) -> None:
        write_dead(self.dead_path(chunk, revision), dead)

    def read_dead(self, chunk: int, revision: int) -> Iterator[DeadItem]:
        return read_dead(self.dead_path(chunk, revision))

    def write_apart(self, chunk: int, stretch: Stretch, outcome: bytes) -> None:
        self._apart(chunk, stretch).write_bytes(outcome)

    def read_apart(self, chunk: int, stretch: Stretch) -> bytes:
        return self._apart(chunk, stretch).read_bytes()

    def _apart(self, chunk: int, stretch: Stretch) -> Path:
        return self.apart / f"chunk-{chunk:09d}.{stretch.low}-{stretch.high}.json"

    def papers(self, run: BatchRun, delivered: Delivered) -> Path:
        """Where the versions before are; the first, beside the parts, where the results have a local directory of their
        own."""
        if run.version:
            return Path(run.manifest)
        if run.spec.sink.get("type") == "parts" and delivered.location and "://" not in delivered.location:
            return Path(delivered.location)
        return self.root

    def publish(self, papers: Path) -> str:
        return str(papers)

    def clean(self) -> None:
        """Remove what a batch run that has ended needs no more; dead letters and manifest stay."""
        for path in (self.spool, self.apart):
            shutil.rmtree(path, ignore_errors=True)
