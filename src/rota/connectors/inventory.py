"""The rows of an S3 inventory as items: its manifest names CSV files, which are read as such files always are.

The manifest is kept beside the spool when planning begins, so one that S3 overwrites meanwhile changes neither the
columns nor the files of a batch run. Keys in CSV inventories are URL-encoded; items have them decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from rota.connectors.csv import CsvFormat
from rota.connectors.folder import Folder
from rota.connectors.options import Csv
from rota.connectors.s3 import S3Objects, split_uri
from rota.connectors.text import Text, TextSource
from rota.core.block import Block
from rota.core.chunk import Chunk, ChunkSize, Origin
from rota.core.errors import InvalidError, LastingSourceError

_NAME = "inventory.json"
_LARGEST = 1 << 26
_AT_ONCE = 16
_KEY = "Key"


class Listed(msgspec.Struct, frozen=True):
    """A file of the inventory."""

    key: str


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """What `manifest.json` says. destination_bucket: the ARN of the bucket that holds the files."""

    destination_bucket: str
    file_format: str
    file_schema: str
    files: tuple[Listed, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the fields of each row."""
        return tuple(name.strip() for name in self.file_schema.split(","))


class InventorySource:
    """The `Source` of `Inventory`. folder: where manifest, list of files and spooled chunks are kept."""

    def __init__(self, uri: str, folder: Folder | None = None, client: Any = None) -> None:
        self._uri = uri
        self._folder = folder
        self._objects = S3Objects(uri, client)
        self._rows: TextSource | None = None

    def check(self) -> None:
        self._opened(_manifest(self._fresh(), self._uri)).check()

    def size(self) -> int:
        return self._kept().size()

    def plan(self, size: ChunkSize, after: Chunk | None = None) -> Iterator[Chunk]:
        yield from self._kept().plan(size, after)

    def read(self, chunk: Chunk) -> Iterator[Block]:
        yield from self._kept().read(chunk)

    def release(self, chunks: Iterable[Chunk]) -> None:
        self._kept().release(chunks)

    def _kept(self) -> TextSource:
        """The rows by the manifest that was there first."""
        if self._rows is None:
            data = None if self._folder is None else self._folder.read(_NAME)
            if data is None:
                data = self._fresh()
                if self._folder is not None:
                    self._folder.write(_NAME, (data,))
            self._rows = self._opened(_manifest(data, self._uri))
        return self._rows

    def _fresh(self) -> bytes:
        [origin] = self._objects.find()
        if origin.size > _LARGEST:
            said = f"source {self._uri!r} is no manifest of an S3 inventory: it has {origin.size:,} bytes"
            raise LastingSourceError(said, source=self._uri)
        return self._objects.read(origin, 0, origin.size)

    def _opened(self, manifest: Manifest) -> TextSource:
        form = _RowFormat(Csv(self._uri, columns=manifest.columns, cuts="scan"))
        return TextSource(_Files(self._uri, manifest, self._objects), form, spool=self._folder)


def _manifest(data: bytes, uri: str) -> Manifest:
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise LastingSourceError(f"source {uri!r} is no manifest of an S3 inventory: {error}", source=uri) from error
    if manifest.file_format != "CSV":
        raise InvalidError("source", uri, f"an inventory in CSV is, and this one is in {manifest.file_format}")
    if _KEY not in manifest.columns:
        raise LastingSourceError(f"source {uri!r} is no manifest of an S3 inventory: no column {_KEY}", source=uri)
    bucket, _ = split_uri(uri)
    if manifest.destination_bucket.rpartition(":")[2] != bucket:
        allowed = f"a manifest in the bucket of its files is, and those are in {manifest.destination_bucket}"
        raise InvalidError("source", uri, allowed)
    return manifest


class _Files:
    """The `Place` of an inventory's files; that of an empty bucket has none."""

    def __init__(self, uri: str, manifest: Manifest, objects: S3Objects) -> None:
        bucket, _ = split_uri(uri)
        self._uris = sorted({f"s3://{bucket}/{file.key}" for file in manifest.files})
        self._objects = objects

    def find(self) -> Iterator[Origin]:
        with ThreadPoolExecutor(_AT_ONCE, "rota-pin") as pool:
            yield from pool.map(self._objects.pin, self._uris)

    def read(self, origin: Origin, start: int, end: int) -> bytes:
        return self._objects.read(origin, start, end)

    def stream(self, origin: Origin) -> Iterator[bytes]:
        return self._objects.stream(origin)


class _RowFormat(CsvFormat):
    """CSV whose keys are decoded."""

    def blocks(self, text: Text, chunk: Chunk, encoding: str) -> Iterator[Block]:
        for block in super().blocks(text, chunk, encoding):
            for row in block.values:
                if isinstance(row, dict):
                    row[_KEY] = unquote_plus(row[_KEY])
            yield block
