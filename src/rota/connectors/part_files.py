"""Part files: a directory that gets one file a chunk, each appearing whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import msgspec

from rota.connectors.atomic import check_writable, create_once, named_file, sync_files
from rota.connectors.options import Parts, ResultFormat
from rota.connectors.result_formats import Encoding, open_encoding
from rota.core.chunk import Chunk
from rota.core.errors import InvalidError
from rota.core.receipt import Delivered, Part
from rota.ports.sink import check_vacant

MARKER = "rota-run.json"
_COLUMNS = "columns.json"


class _Marker(msgspec.Struct, frozen=True):
    run: str


def part_name(chunk: int, revision: int, suffix: str) -> str:
    """Sorts as the chunks do, up to a thousand million of them."""
    return f"part-{chunk:09d}{f'.r{revision}' if revision else ''}.{suffix}"


class PartDirectory:
    """The directory of the parts of one run, with the marker that says whose they are."""

    def __init__(self, directory: Path, kind: ResultFormat, columns: Sequence[str] | None, *, header: bool) -> None:
        self.directory = directory
        self._kind: ResultFormat = kind
        self._columns = columns
        self._header = header
        self._encoding: Encoding | None = None

    def encoding(self) -> Encoding:
        """The encoding that all writers of the directory share."""
        if self._encoding is None:
            self._encoding = open_encoding(self._kind, self._agree, header=self._header)
        return self._encoding

    def _agree(self, columns: Sequence[str]) -> Sequence[str]:
        if self._columns is not None:
            return self._columns
        return msgspec.json.decode(create_once(self.directory / _COLUMNS, msgspec.json.encode(columns)), type=list[str])

    def agreed_columns(self) -> Sequence[str] | None:
        """The columns of the results, if there has been one."""
        known = self.directory / _COLUMNS
        if self._columns is None and known.exists():
            return msgspec.json.decode(known.read_bytes(), type=list[str])
        return self._columns

    def check(self) -> None:
        """InvalidError if the directory cannot be one, or the format's library is missing."""
        if self.directory.exists() and not self.directory.is_dir():
            raise InvalidError("sink", str(self.directory), "a directory is, and this is a file")
        check_writable("sink", self.directory)
        if self._columns is not None and len(set(self._columns)) < max(1, len(self._columns)):
            raise InvalidError("columns", self._columns, "at least one name, and each once, is")
        self.encoding()

    def owner(self) -> str | None:
        """The run whose results the directory holds; "" if there are parts of an unknown one."""
        try:
            return msgspec.json.decode((self.directory / MARKER).read_bytes(), type=_Marker).run
        except FileNotFoundError:
            return "" if next(self.directory.glob("part-*"), None) else None

    def claim(self, run_id: str) -> None:
        """Takes the directory for the run; ConflictError if it holds another's results."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidError(
                "sink", str(self.directory), f"a directory that can be made is: {error.strerror}"
            ) from error
        owner = self.owner()
        if owner is None:
            marker = create_once(self.directory / MARKER, msgspec.json.encode(_Marker(run_id)))
            owner = msgspec.json.decode(marker, type=_Marker).run
        check_vacant(str(self.directory), owner, run_id)

    def write(self, chunk: Chunk, results: Iterable[Sequence[object]], revision: int) -> Part:
        """Writes the part of the chunk. A redrive without results leaves none, since the manifest does not name it."""
        name = part_name(chunk.number, revision, self._kind)
        counted = Counter(results)
        digest, size = hashlib.sha256(), 0
        with named_file(f"{self.directory}/{name}") as out:
            for data in self.encoding().encode(counted):
                out.write(data)
                digest.update(data)
                size += len(data)
        if revision and not counted.items:
            (self.directory / name).unlink()
        return Part(name, counted.items, size, digest.hexdigest())

    def sync(self, parts: Iterable[Part]) -> None:
        """Makes the parts durable."""
        sync_files(self.directory, [part.name for part in parts])

    def discard(self, run_id: str) -> None:
        """Removes the run's parts and marker, and the directory if nothing else is in it."""
        if self.owner() != run_id:
            return
        for path in chain(self.directory.glob("part-*"), self.directory.glob(".part-*.tmp")):
            path.unlink(missing_ok=True)
        (self.directory / _COLUMNS).unlink(missing_ok=True)
        (self.directory / MARKER).unlink(missing_ok=True)
        if next(self.directory.iterdir(), None) is None:
            self.directory.rmdir()


class Counter:
    """Blocks of results that are counted as they pass."""

    def __init__(self, results: Iterable[Sequence[object]]) -> None:
        self._results = results
        self.items: int = 0

    def __iter__(self) -> Iterator[Sequence[object]]:
        for block in self._results:
            self.items += len(block)
            yield block


class PartFilesSink:
    """The `Sink` of `Parts` on this machine."""

    def __init__(self, options: Parts) -> None:
        self._parts = PartDirectory(Path(options.path), options.format, options.columns, header=True)

    def check(self) -> None:
        self._parts.check()

    def holder(self) -> str | None:
        return self._parts.owner()

    def prepare(self, run_id: str) -> None:
        self._parts.claim(run_id)

    def write(self, chunk: Chunk, results: Iterable[Sequence[object]], revision: int = 0) -> Part:
        return self._parts.write(chunk, results, revision)

    def sync(self, parts: Iterable[Part]) -> None:
        self._parts.sync(parts)

    def refusal(self, result: object) -> str | None:
        return self._parts.encoding().refusal(result)

    def finish(self, parts: Iterable[Part]) -> Delivered:
        return self.left()

    def left(self) -> Delivered:
        return Delivered("parts", str(self._parts.directory))

    def discard(self, run_id: str) -> None:
        self._parts.discard(run_id)
