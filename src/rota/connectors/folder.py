"""Where a batch run keeps its own files: a directory of this machine or a prefix in S3, told apart by its scheme."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from rota.connectors.atomic import atomic_file
from rota.core.errors import SourceError


class Folder(Protocol):
    """An implementer owes: `write` leaves the file whole and durable, or as it was; names may have slashes."""

    def write(self, name: str, data: Iterable[bytes]) -> None:
        """Write a file, or write it anew."""

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes | None:
        """Its bytes from `start` to before `end`; None if there is no such file. SourceError if it cannot be read."""

    def remove(self, names: Iterable[str]) -> None:
        """Delete those of these files that exist."""


class LocalFolder:
    """A directory, made when something is written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, name: str, data: Iterable[bytes]) -> None:
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as out:
            out.writelines(data)

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes | None:
        path = self._directory / name
        try:
            with path.open("rb") as file:
                file.seek(start)
                return file.read() if end is None else file.read(end - start)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceError(f"{str(path)!r} cannot be read: {error.strerror}") from error

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            (self._directory / name).unlink(missing_ok=True)
