"""Which files a batch run reads: those that are there when planning begins, as they are then.

The list is written before the first chunk is planned, beside the spool, and read again after a restart. So a file that
appears later is not read, wherever its name sorts; one that changes or goes before its turn ends the batch run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from rota.connectors.atomic import atomic_file
from rota.connectors.place import Place
from rota.core.chunk import Origin
from rota.core.errors import SourceError

_NAME = "origins.jsonl"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Origin).decode


def pinned_origins(place: Place, directory: Path | None) -> Iterator[Origin]:
    """What `place` found the first time this was asked for `directory`; each time anew if there is none."""
    if directory is None:
        yield from place.find()
        return
    path = directory / _NAME
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as out:
            out.writelines(_encode(origin) + b"\n" for origin in place.find())
    try:
        with path.open("rb") as lines:
            yield from map(_decode, lines)
    except (OSError, ValueError) as error:
        raise SourceError(f"the list of files in {str(path)!r} cannot be read: {error}") from error
