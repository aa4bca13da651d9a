"""Chunks of what cannot be read from the middle, stored until their items are done.

One file a chunk, synced before the chunk is made known, so that a chunk in the ledger can be read after any crash. The
engine's back-pressure bounds how many exist: the planner is asked for a chunk only when there is room for it, and a
done chunk's file is removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rota.connectors.atomic import atomic_file
from rota.core.chunk import Chunk
from rota.core.errors import InvalidError, SourceError


class Spool:
    """The directory that holds the chunk files of one batch run."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def _path(self, name: str) -> Path:
        if self._directory is None:
            raise InvalidError("spool", None, "this source is read as one stream and needs a directory for its chunks")
        return self._directory / name

    def store(self, number: int, data: Iterable[bytes]) -> str:
        """Writes a chunk's bytes durably; returns the name to note in the chunk."""
        name = f"chunk-{number:09d}"
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as out:
            out.writelines(data)
        return name

    def read(self, chunk: Chunk, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, counted from the beginning of the chunk's file."""
        try:
            with self._path(chunk.spool).open("rb") as file:
                file.seek(start)
                return file.read(end - start)
        except OSError as error:
            raise SourceError(
                f"the spooled chunk {chunk.number} of {chunk.origin.uri!r} cannot be read: {error.strerror}",
                source=chunk.origin.uri,
                chunk=str(chunk.number),
            ) from error

    def remove(self, chunks: Iterable[Chunk]) -> None:
        """Deletes the files of these chunks, where they exist."""
        for chunk in chunks:
            if chunk.spool:
                self._path(chunk.spool).unlink(missing_ok=True)
