"""Dead letters of batch runs: a file for each chunk that has some, written anew by each redrive, the earlier ones kept.

A chunk's mark says which revision counts, so a crash between writing a file and storing the mark changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from rota.connectors.atomic import named_file
from rota.core.completion import DeadItem
from rota.core.errors import SourceError

_encode = msgspec.json.Encoder(enc_hook=repr).encode
_decode = msgspec.json.Decoder(DeadItem).decode


def dead_path(place: Path, chunk: int, revision: int) -> Path:
    """Where they are; place: the directory of the batch run."""
    return place / "dead" / f"chunk-{chunk:09d}.r{revision}.jsonl"


def write_dead(path: Path, dead: Iterable[DeadItem]) -> None:
    """Whole or not at all; `sync_files` makes it durable."""
    with named_file(path) as out:
        out.writelines(_encode(one) + b"\n" for one in dead)


def read_dead(path: Path) -> Iterator[DeadItem]:
    """In the order of their items; SourceError if the file is not there or not whole."""
    try:
        with path.open("rb") as lines:
            yield from map(_decode, lines)
    except (OSError, ValueError) as error:
        raise SourceError(f"the dead letters in {str(path)!r} cannot be read: {error}") from error
