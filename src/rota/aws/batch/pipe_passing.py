"""What the processor of a pipeline passes on to the writer: the mark of a chunk, and its results as JSON Lines.

Where they are small they travel in the state of the workflow itself, compressed: a chunk then costs no object on the
way. A state takes 256 KB and no more, so what is larger goes by the batch run's own folder, and its name travels: first
the results, then the mark too. Either way the results of a part are what its digest says, or they are not written.

    small    inline:eJxTtkvOz0vLTE8t...       mark and results
    larger   inline:eJyrVspNLMpWsqp...        mark; its parts are files in apart/passing/
    largest  apart/passing/ATTEMPT.json       the name of the mark's file
"""

from __future__ import annotations

import binascii
import hashlib
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator

import msgspec

from rota.connectors.folder import Folder
from rota.core.chunk import Chunk
from rota.core.completion import Mark
from rota.core.errors import SourceError
from rota.core.receipt import Part
from rota.ports.sink import Sink

PASSING = "apart/passing/"
_INLINE = "inline:"
_QUICK = 1
"""Level of compression: of what takes milliseconds to send, no more time is to be saved."""
_BLOCK = 1000


class Passed(msgspec.Struct, frozen=True):
    """results: of parts of the mark by their names, as JSON Lines; those that are not here are in the folder."""

    mark: Mark
    results: dict[str, str]


def pass_on(folder: Folder, token: str, mark: Mark, held: dict[str, bytes], room: int) -> str:
    """What the writer is to be told: all of it if that takes no more than `room` bytes, or where the rest is. held:
    results that are nowhere else."""
    text = _inline(Passed(mark, {name: data.decode() for name, data in held.items()}))
    if len(text) <= room:
        return text
    keep(folder, held)
    text = _inline(Passed(mark, {}))
    if len(text) <= room:
        return text
    name = f"{PASSING}{token}.json"
    folder.write(name, [msgspec.json.encode(mark)])
    return name


def keep(folder: Folder, held: dict[str, bytes]) -> None:
    """Put results into the folder under their names."""
    for name, data in held.items():
        folder.write(name, [data])


def passed_on(folder: Folder, passed: str) -> Passed:
    """What was passed on. SourceError if it is not there or not whole."""
    if passed.startswith(_INLINE):
        try:
            data = zlib.decompress(b64decode(passed.removeprefix(_INLINE), validate=True))
            return msgspec.json.decode(data, type=Passed)
        except (binascii.Error, zlib.error, msgspec.DecodeError) as error:
            raise SourceError(f"what the processor passed on is not whole: {error}") from None
    text = folder.read(passed)
    if text is None:
        raise SourceError(f"what the processor passed on as {passed!r} is not there")
    return Passed(msgspec.json.decode(text, type=Mark), {})


def written(folder: Folder, sink: Sink, chunk: Chunk, part: Part, results: dict[str, str]) -> Part:
    """The part of `sink` with the results that this one passes on; a part that is written already stays as it is.
    SourceError if they are not there or not whole."""
    if not part.name.startswith(PASSING):
        return part
    data = results[part.name].encode() if part.name in results else folder.read(part.name)
    if data is None or hashlib.sha256(data).hexdigest() != part.sha256:
        raise SourceError(f"the results in {part.name!r} are not there, or not whole")
    edition = int(part.name.rpartition(".e")[2].removesuffix(".jsonl"))
    return sink.write(chunk, _blocks(data), edition)


def _inline(passed: Passed) -> str:
    """Text that is as long in a state as it is here: nothing in it has to be escaped."""
    return _INLINE + b64encode(zlib.compress(msgspec.json.encode(passed), _QUICK)).decode()


def _blocks(data: bytes) -> Iterator[list[object]]:
    lines = data.splitlines()
    for low in range(0, len(lines), _BLOCK):
        yield [msgspec.json.decode(line) for line in lines[low : low + _BLOCK]]
