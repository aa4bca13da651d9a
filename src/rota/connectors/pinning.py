"""Which files a batch run reads: those that are there when planning begins, as they are then.

The list is written before the first chunk is planned, beside the spool, and read again after a restart. So a file that
appears later is not read, wherever its name sorts; one that changes or goes before its turn ends the batch run.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from rota.connectors.folder import Folder
from rota.connectors.place import BLOCK, Place
from rota.core.chunk import Origin
from rota.core.errors import LastingSourceError

_NAME = "origins.jsonl"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Origin).decode


def pinned_origins(place: Place, folder: Folder | None) -> Iterator[Origin]:
    """What `place` found the first time this was asked for `folder`; each time anew if there is none."""
    if folder is None:
        yield from place.find()
        return
    if folder.read(_NAME, 0, 1) is None:
        folder.write(_NAME, (_encode(origin) + b"\n" for origin in place.find()))
    try:
        yield from map(_decode, _lines(folder))
    except ValueError as error:
        raise LastingSourceError(f"the list of files that was pinned cannot be read: {error}") from error


def _lines(folder: Folder) -> Iterator[bytes]:
    at, rest = 0, b""
    while block := folder.read(_NAME, at, at + BLOCK):
        at += len(block)
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
