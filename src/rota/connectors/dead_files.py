"""Dead letters of batch runs: a file for each chunk that has some, written anew by each redrive, the earlier ones kept.

A chunk's mark says which revision counts, so a crash between writing a file and storing the mark changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from rota.connectors.atomic import named_file
from rota.connectors.folder import Folder
from rota.core.completion import DeadItem
from rota.core.errors import LastingSourceError

_encode = msgspec.json.Encoder(enc_hook=repr).encode
_decode = msgspec.json.Decoder(DeadItem).decode


def dead_name(chunk: int, revision: int) -> str:
    """Its name in the folder of the batch run."""
    return f"dead/chunk-{chunk:09d}.r{revision}.jsonl"


def dead_path(place: Path, chunk: int, revision: int) -> Path:
    """Where they are; place: the directory of the batch run."""
    return place / dead_name(chunk, revision)


def write_dead(path: Path, dead: Iterable[DeadItem]) -> None:
    """Whole or not at all; `sync_files` makes it durable."""
    with named_file(path) as out:
        out.writelines(dead_lines(dead))


def read_dead(path: Path) -> Iterator[DeadItem]:
    """In the order of their items; SourceError if the file is not there or not whole."""
    try:
        with path.open("rb") as lines:
            yield from map(_decode, lines)
    except (OSError, ValueError) as error:
        raise LastingSourceError(f"the dead letters in {str(path)!r} cannot be read: {error}") from error


def dead_lines(dead: Iterable[DeadItem]) -> Iterator[bytes]:
    """What such a file holds."""
    return (_encode(one) + b"\n" for one in dead)


def read_dead_of(folder: Folder, chunk: int, revision: int) -> Iterator[DeadItem]:
    """As `read_dead`, from the folder of a batch run."""
    name = dead_name(chunk, revision)
    text = folder.read(name)
    if text is None:
        raise LastingSourceError(f"the dead letters in {name!r} are not there")
    try:
        yield from map(_decode, text.splitlines())
    except ValueError as error:
        raise LastingSourceError(f"the dead letters in {name!r} cannot be read: {error}") from error
