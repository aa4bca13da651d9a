"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory survive power loss."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_files(paths: Iterable[Path]) -> None:
    """Makes files, by content and name, survive power loss; many at once cost far less than one by one."""
    directories = set()
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        directories.add(path.parent)
    for directory in directories:
        sync_directory(directory)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A `named_file` that survives power loss when the block has been left."""
    with named_file(path) as out:
        yield out
        out.flush()
        os.fsync(out.fileno())
    sync_directory(path.parent)


@contextlib.contextmanager
def named_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write; on leaving it takes its name, on an exception it vanishes.

    Two writers of the same path do not disturb each other: the last to finish wins, whole. A crash of the process
    leaves the file whole or absent; against power loss it needs `sync_files`.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as out:
            yield out
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def create_once(path: Path, content: bytes) -> bytes:
    """Writes the file unless it exists; returns what it holds, ours or that of whoever came first."""
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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
