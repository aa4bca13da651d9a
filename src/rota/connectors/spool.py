"""Chunks of what cannot be read from the middle, stored until their items are done.

One file a chunk, durable before the chunk is made known, so that a chunk in the ledger can be read after any crash. The
engine's back-pressure bounds how many exist: the planner is asked for a chunk only when there is room for it, and a
done chunk's file is removed.
"""

from __future__ import annotations

from collections.abc import Iterable

from rota.connectors.folder import Folder
from rota.core.chunk import Chunk
from rota.core.errors import InvalidError, LastingSourceError


class Spool:
    """The chunk files of one batch run. folder: None where nothing can be spooled."""

    def __init__(self, folder: Folder | None) -> None:
        self._folder = folder

    def _there(self) -> Folder:
        if self._folder is None:
            raise InvalidError("spool", None, "this source is read as one stream and needs a directory for its chunks")
        return self._folder

    def store(self, number: int, data: Iterable[bytes]) -> str:
        """Writes a chunk's bytes durably; returns the name to note in the chunk."""
        name = f"chunk-{number:09d}"
        self._there().write(name, data)
        return name

    def read(self, chunk: Chunk, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, counted from the beginning of the chunk's file."""
        found = self._there().read(chunk.spool, start, end)
        if found is None:
            raise LastingSourceError(
                f"the spooled chunk {chunk.number} of {chunk.origin.uri!r} cannot be read: it is not there",
                source=chunk.origin.uri,
                chunk=str(chunk.number),
            )
        return found

    def remove(self, chunks: Iterable[Chunk]) -> None:
        """Deletes the files of these chunks, where they exist."""
        names = [chunk.spool for chunk in chunks if chunk.spool]
        if names:
            self._there().remove(names)
