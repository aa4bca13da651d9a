"""What a text or Parquet source needs of the place where its files lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from rota.core.chunk import Origin

BLOCK = 1 << 20


class Place(Protocol):
    """Local files or S3 objects.

    An implementer owes: `find` yields origins sorted by URI, each pinned to the version found, and raises `SourceError`
    when there is none; `read` and `stream` raise `SourceError` when the origin is no longer that version; `read`
    returns fewer bytes than asked for only at the end.
    """

    def find(self) -> Iterator[Origin]: ...

    def read(self, origin: Origin, start: int, end: int) -> bytes: ...

    def stream(self, origin: Origin) -> Iterator[bytes]: ...
