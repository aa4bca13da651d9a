"""Where a batch run on AWS keeps its files.

s3://BUCKET/batches/RUN/    spool/     the list of objects; chunks of streams and generators until they are done
                            dead/      dead letters: a file a chunk and revision
                            later/     what a chunk whose items are put off has come to so far
                            apart/     outcomes of stretches, and how far the search for a killer has come
                            manifest and receipt
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rota.connectors.dead_files import dead_lines, dead_name, read_dead_of
from rota.connectors.folder import Folder
from rota.connectors.manifest import receipt_path
from rota.core.batch import BatchRun
from rota.core.chunk import Chunk
from rota.core.completion import DeadItem
from rota.core.errors import SourceError
from rota.core.isolation import Stretch
from rota.core.receipt import Delivered

_PASSING = ("spool", "apart", "later")


class S3Places:
    """The files of one batch run. within: keeps the stretches of one cut of a chunk, at one revision, from others'."""

    def __init__(self, folder: Folder, within: str = "") -> None:
        self.folder: Folder = folder
        self._within = within
        self._directory: Path | None = None

    def for_job(self, chunk: Chunk, revision: int, nth: int) -> S3Places:
        """The same, for stretches of this chunk."""
        return S3Places(self.folder, f"{chunk.number:09d}.{chunk.start}.r{revision}.t{nth}")

    def write_dead(self, chunk: int, revision: int, dead: Sequence[DeadItem]) -> None:
        self.folder.write(dead_name(chunk, revision), dead_lines(dead))

    def read_dead(self, chunk: int, revision: int) -> Iterator[DeadItem]:
        return read_dead_of(self.folder, chunk, revision)

    def write_apart(self, chunk: int, stretch: Stretch, outcome: bytes) -> None:
        self.folder.write(self._apart(chunk, stretch), [outcome])

    def read_apart(self, chunk: int, stretch: Stretch) -> bytes:
        found = self.folder.read(self._apart(chunk, stretch))
        if found is None:
            raise SourceError(f"the outcome of items {stretch.low} to {stretch.high} of chunk {chunk} is not there")
        return found

    def has_apart(self, chunk: int, stretch: Stretch) -> bool:
        """Whether the outcome of a stretch is there."""
        return self.folder.read(self._apart(chunk, stretch), 0, 1) is not None

    def _apart(self, chunk: int, stretch: Stretch) -> str:
        return f"apart/{self._within or chunk}/{stretch.low}-{stretch.high}.json"

    def note(self, name: str, data: bytes) -> None:
        """Keep a note on this job."""
        self.folder.write(f"apart/{self._within}/{name}", [data])

    def noted(self, name: str) -> bytes | None:
        return self.folder.read(f"apart/{self._within}/{name}")

    def unnote(self, name: str) -> None:
        self.folder.remove([f"apart/{self._within}/{name}"])

    def papers(self, run: BatchRun, delivered: Delivered) -> Path:
        """A directory of the function's own, with the receipt before."""
        self._directory = Path(tempfile.mkdtemp(prefix="rota-papers-"))
        if run.version:
            before = receipt_path(self._directory, run.version)
            if not self.folder.download(before.name, before):
                raise SourceError(f"{self.folder.uri}/{before.name} is not there", batch_run=run.id)
        return self._directory

    def publish(self, papers: Path) -> str:
        """The manifest first: where there is a receipt, its manifest is whole."""
        written = sorted(papers.iterdir(), key=lambda path: path.name.startswith("receipt"))
        for path in written:
            self.folder.upload(path.name, path)
        self.close()
        return self.folder.uri

    def close(self) -> None:
        """Remove what this function keeps of it."""
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def clean(self) -> None:
        for folder in _PASSING:
            self.folder.clear(folder)
