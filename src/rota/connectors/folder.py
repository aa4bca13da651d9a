"""Where a batch run keeps its own files: a directory of this machine or a prefix in S3, told apart by its scheme."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from rota.connectors.atomic import atomic_file
from rota.connectors.place import BLOCK
from rota.core.errors import SourceError


class Folder(Protocol):
    """An implementer owes: `write` and `upload` leave the file whole and durable, or as it was; names may have
    slashes."""

    @property
    def uri(self) -> str:
        """Where it is: a path, or `s3://bucket/prefix`."""

    def write(self, name: str, data: Iterable[bytes]) -> None:
        """Write a file, or write it anew."""

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes | None:
        """Its bytes from `start` to before `end`; None if there is no such file. SourceError if it cannot be read."""

    def remove(self, names: Iterable[str]) -> None:
        """Delete those of these files that exist."""

    def upload(self, name: str, path: Path) -> None:
        """Write what a file of this machine holds."""

    def download(self, name: str, path: Path) -> bool:
        """Write the file into one of this machine; False if there is none."""

    def clear(self, folder: str) -> None:
        """Delete all files in a folder of this one; "" means all there are."""


class LocalFolder:
    """A directory, made when something is written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.uri: str = str(directory)

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

    def upload(self, name: str, path: Path) -> None:
        with path.open("rb") as content:
            self.write(name, iter(lambda: content.read(BLOCK), b""))

    def download(self, name: str, path: Path) -> bool:
        held = self._directory / name
        if not held.exists():
            return False
        shutil.copyfile(held, path)
        return True

    def clear(self, folder: str) -> None:
        shutil.rmtree(self._directory / folder, ignore_errors=True)
