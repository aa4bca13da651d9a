"""One file with all results in order, put together from part files when all chunks are done.

Parts are written beside it, in `<file>.parts/`, and are removed once they are in the file. So the file, once it
exists, is the only copy, and a redrive's `finish` takes the earlier parts from it. Which parts it holds, and where,
stands in an index named after the file's size: a crash between renaming the file and removing anything leaves the
index that fits to whichever file is there. (Two versions of one size hold the same parts: a redrive only adds.)
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from rota.connectors.atomic import atomic_file
from rota.connectors.options import OneFile
from rota.connectors.part_files import PartDirectory
from rota.connectors.place import BLOCK
from rota.core.chunk import Chunk
from rota.core.errors import InvalidError, StoreError
from rota.core.receipt import Delivered, Part
from rota.ports.sink import check_vacant


class OneFileSink:
    """The `Sink` of `OneFile`."""

    def __init__(self, options: OneFile) -> None:
        self._path = Path(options.path)
        self._is_csv = options.format == "csv"
        self._directory = self._path.with_name(self._path.name + ".parts")
        self._parts = PartDirectory(self._directory, options.format, options.columns, header=False)

    def check(self) -> None:
        if self._path.is_dir():
            raise InvalidError(
                "sink", str(self._path), "a file is, and this is a directory; end it in / for part files"
            )
        self._parts.check()

    def holder(self) -> str | None:
        owner = self._parts.owner()
        return "" if owner is None and self._path.exists() else owner

    def prepare(self, run_id: str) -> None:
        check_vacant(str(self._path), self.holder(), run_id)
        self._parts.claim(run_id)

    def write(self, chunk: Chunk, results: Iterable[Sequence[object]], revision: int = 0) -> Part:
        return self._parts.write(chunk, results, revision)

    def sync(self, parts: Iterable[Part]) -> None:
        self._parts.sync(parts)

    def refusal(self, result: object) -> str | None:
        return self._parts.encoding().refusal(result)

    def finish(self, parts: Iterable[Part]) -> Delivered:
        head = self._head()
        size = len(head)
        draft = self._directory / "index.draft"
        with atomic_file(self._path) as out, draft.open("wb") as index, self._earlier() as earlier:
            out.write(head)
            for part in parts:
                for data in self._content(part, earlier):
                    out.write(data)
                index.write(msgspec.json.encode((part.name, size, part.bytes)) + b"\n")
                size += part.bytes
            # The index takes its name before the file does; see the top.
            index.flush()
            draft.replace(self._index(size))
        self._clean(size)
        return Delivered("file", str(self._path), len(head))

    def left(self) -> Delivered:
        return Delivered("parts", str(self._directory))

    def _head(self) -> bytes:
        columns = self._parts.agreed_columns() if self._is_csv else None
        if columns is None:
            return b""
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow(columns)
        return text.getvalue().encode()

    def _index(self, size: int) -> Path:
        return self._directory / f"index-{size}.jsonl"

    def _earlier(self) -> Earlier:
        return Earlier(self._path, self._index(self._path.stat().st_size) if self._path.exists() else None)

    def _content(self, part: Part, earlier: Earlier) -> Iterator[bytes]:
        path = self._directory / part.name
        if path.exists():
            with path.open("rb") as file:
                while data := file.read(BLOCK):
                    yield data
            return
        yield from earlier.content(part.name)

    def _clean(self, size: int) -> None:
        for path in self._directory.glob("part-*"):
            path.unlink(missing_ok=True)
        for path in self._directory.glob("index-*.jsonl"):
            if path != self._index(size):
                path.unlink(missing_ok=True)

    def discard(self, run_id: str) -> None:
        if self._parts.owner() != run_id:
            return
        self._path.unlink(missing_ok=True)
        for path in self._directory.glob("index*"):
            path.unlink(missing_ok=True)
        self._parts.discard(run_id)


class Earlier:
    """The parts in the file as it was, read in order."""

    def __init__(self, path: Path, index: Path | None) -> None:
        self._path = path
        self._index_path = index if index is not None and index.exists() else None
        self._file: BinaryIO | None = None
        self._index: BinaryIO | None = None

    def __enter__(self) -> Self:
        if self._index_path is not None:
            self._file = self._path.open("rb")
            self._index = self._index_path.open("rb")
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._file, self._index):
            if file is not None:
                file.close()

    def content(self, name: str) -> Iterator[bytes]:
        """The bytes of a part; StoreError if the file does not hold it."""
        for line in self._index or ():
            found, start, length = msgspec.json.decode(line, type=tuple[str, int, int])
            if found == name and self._file is not None:
                self._file.seek(start)
                while length and (data := self._file.read(min(BLOCK, length))):
                    length -= len(data)
                    yield data
                return
        raise StoreError(f"the results {name!r} are neither in {str(self._path)!r} nor beside it", sink=str(self._path))
