"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import get_ident
from typing import BinaryIO

from rota.core.errors import InvalidError

MANY = 8
"""From so many files on, everything on their file system is synced at once."""
_syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


def check_writable(field: str, directory: Path) -> None:
    """InvalidError for `field` unless files can be made in the directory, or it can be made; nothing is left there."""
    there = directory.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        # Permissions do not tell: the superuser may write everywhere, but not on what is mounted read-only.
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise InvalidError(field, str(directory), f"a place that can be written is: {error.strerror}") from error


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory survive power loss."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_files(directory: Path, names: Sequence[str]) -> None:
    """Makes files of a directory, by content and name, survive power loss; many at once cost far less than one by
    one."""
    if not names or (len(names) >= MANY and _sync_file_system(directory)):
        return
    for name in names:
        handle = os.open(directory / name, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    sync_directory(directory)


def _sync_file_system(directory: Path) -> bool:
    """Syncs all there is on the file system of the directory, by one call and one commit of the journal: 200 parts take
    10 ms, which one by one take 300. False where the system has no such call."""
    if _syncfs is None:
        return False
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _syncfs(handle):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(directory))
    finally:
        os.close(handle)
    return True


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A `named_file` that survives power loss when the block has been left."""
    with named_file(path) as out:
        yield out
        out.flush()
        os.fsync(out.fileno())
    sync_directory(path.parent)


@contextlib.contextmanager
def named_file(path: Path | str) -> Iterator[BinaryIO]:
    """A file to write; on leaving it takes its name, on an exception it vanishes.

    Two writers of the same path do not disturb each other: the last to finish wins, whole. A crash of the process
    leaves the file whole or absent; against power loss it needs `sync_files`.
    """
    # Of text, since a chunk of short items takes no longer than a few operations on paths.
    folder, slash, name = str(path).rpartition("/")
    draft = f"{folder}{slash}.{name}.{os.getpid()}-{get_ident()}.tmp"
    try:
        with open(draft, "wb") as out:  # noqa: PTH123 see above
            yield out
        os.replace(draft, path)  # noqa: PTH105 see above
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def create_once(path: Path, content: bytes) -> bytes:
    """Writes the file unless it exists; returns what it holds, ours or that of whoever came first."""
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.tmp")
        with draft.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)
        sync_directory(path.parent)
    return path.read_bytes()
