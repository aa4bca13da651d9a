"""Local files: one path or a glob, each file pinned by size, modification time and inode."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from rota.connectors.place import BLOCK
from rota.core.chunk import Origin
from rota.core.errors import LastingSourceError, SourceError


def _fingerprint(status: os.stat_result) -> str:
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"


_LASTING = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


class LocalFiles:
    """A `Place` on this machine. Paths stay as the user wrote them."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def find(self) -> Iterator[Origin]:
        if Path(self._pattern).exists() or not glob.has_magic(self._pattern):
            yield self._pin(self._pattern)
            return
        paths = sorted(path for path in glob.iglob(self._pattern, recursive=True) if not Path(path).is_dir())  # noqa: PTH207 - a Path has no absolute patterns
        if not paths:
            raise LastingSourceError(f"no file matches {self._pattern!r}", source=self._pattern)
        for path in paths:
            yield self._pin(path)

    def _pin(self, path: str) -> Origin:
        try:
            status = Path(path).stat()
        except OSError as error:
            raise _unreadable(path, error) from error
        if stat.S_ISDIR(status.st_mode):
            raise LastingSourceError(
                f"source {path!r} is a directory; name its files, for example {path.rstrip('/')}/*.jsonl", source=path
            )
        if not stat.S_ISREG(status.st_mode):
            raise LastingSourceError(f"source {path!r} is no regular file, so it cannot be read twice", source=path)
        if not os.access(path, os.R_OK):
            raise LastingSourceError(f"cannot read source {path!r}: permission denied", source=path)
        return Origin(path, _fingerprint(status), status.st_size)

    def read(self, origin: Origin, start: int, end: int) -> bytes:
        handle = self._open(origin)
        try:
            data = os.pread(handle, end - start, start)
            while len(data) < end - start and start + len(data) < origin.size:
                more = os.pread(handle, end - start - len(data), start + len(data))
                if not more:
                    break
                data += more
            self._same(origin, handle)
            return data
        except OSError as error:
            raise _unreadable(origin.uri, error) from error
        finally:
            os.close(handle)

    def stream(self, origin: Origin) -> Iterator[bytes]:
        handle = self._open(origin)
        try:
            at = 0
            while block := os.pread(handle, BLOCK, at):
                self._same(origin, handle)
                at += len(block)
                yield block
        finally:
            os.close(handle)

    def _open(self, origin: Origin) -> int:
        try:
            handle = os.open(origin.uri, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(origin.uri, error) from error
        try:
            self._same(origin, handle)
        except SourceError:
            os.close(handle)
            raise
        return handle

    def _same(self, origin: Origin, handle: int) -> None:
        found = _fingerprint(os.fstat(handle))
        if found != origin.fingerprint:
            raise LastingSourceError(
                f"source {origin.uri!r} changed during the batch run: size, modification time and inode were "
                f"{origin.fingerprint} and are {found}",
                source=origin.uri,
            )


def _unreadable(path: str, error: OSError) -> SourceError:
    kind = LastingSourceError if isinstance(error, _LASTING) else SourceError
    return kind(f"cannot read source {path!r}: {error.strerror}", source=path)
