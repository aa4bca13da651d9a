"""gzip and zstd streams of text formats, and text in encodings that cannot be cut by bytes.

Such a stream has no middle to start from. It is read once, by the planner, which stores every chunk's text in the spool
as it passes; a worker never decompresses what lies before its chunk.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module

from rota.connectors.options import Compression
from rota.connectors.place import BLOCK
from rota.core.errors import InvalidError, LastingSourceError

_SUFFIXES = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}
# In these, bytes below 0x40 always are the ASCII characters, so newlines and quotes can be found without decoding.
_CUTTABLE = re.compile(
    r"utf-8|ascii|iso8859-\d+|cp(125\d|437|8[56]\d|874|932|936|949|950)|koi8-[rut]|mac-roman|gbk|big5|shift_jis|euc_(jp|kr)"
)


def compression_of(uri: str, compression: Compression) -> str:
    """The compression to undo: "none", "gzip" or "zstd"."""
    if compression != "auto":
        return compression
    return next((kind for suffix, kind in _SUFFIXES.items() if uri.endswith(suffix)), "none")


def encoding_name(encoding: str) -> str:
    """The codec's canonical name; InvalidError if Python does not know it."""
    try:
        return codecs.lookup(encoding).name
    except LookupError as error:
        raise InvalidError(
            "encoding", encoding, "a text encoding that Python knows is, such as utf-8 or latin-1"
        ) from error


def is_cuttable(encoding: str) -> bool:
    """Whether a newline byte is a newline wherever it stands."""
    return _CUTTABLE.fullmatch(encoding_name(encoding)) is not None


def decompressed(blocks: Iterator[bytes], kind: str, uri: str) -> Iterator[bytes]:
    """The text of a compressed stream, in bounded blocks; SourceError if it is damaged or ends early."""
    if kind == "none":
        return blocks
    return _inflate(blocks, uri) if kind == "gzip" else _unzstd(blocks, uri)


def _inflate(blocks: Iterator[bytes], uri: str) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=31)
    begun = False
    try:
        for block in blocks:
            data = block
            while data:
                if member.eof:
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    member = zlib.decompressobj(wbits=31)
                begun = True
                text = member.decompress(data, BLOCK)
                if text:
                    yield text
                data = member.unused_data if member.eof else member.unconsumed_tail
        while begun and not member.eof and (text := member.decompress(member.unconsumed_tail, BLOCK)):
            yield text
    except zlib.error as error:
        raise LastingSourceError(f"source {uri!r} is no intact gzip file: {error}", source=uri) from error
    if begun and not member.eof:
        raise LastingSourceError(
            f"source {uri!r} is a truncated gzip file: it ends in the middle of the data", source=uri
        )


def _unzstd(blocks: Iterator[bytes], uri: str) -> Iterator[bytes]:
    # Loaded when a file asks for it: the library is larger than all else that a Lambda bundle holds.
    try:
        inflated: Callable[[Iterator[bytes], str], Iterator[bytes]] = import_module("rota.connectors.zstd").inflated
    except ModuleNotFoundError as error:
        raise LastingSourceError(f"source {uri!r} needs zstandard, which is not installed here", source=uri) from error
    return inflated(blocks, uri)


def transcoded(blocks: Iterator[bytes], encoding: str, uri: str) -> Iterator[bytes]:
    """The same text in UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)()
    passed = 0
    try:
        for block in blocks:
            if text := decoder.decode(block):
                yield text.encode()
            passed += len(block)
        if text := decoder.decode(b"", final=True):
            yield text.encode()
    except UnicodeError as error:
        raise LastingSourceError(
            f"source {uri!r} is not {encoding} text near byte {passed}: {error}", source=uri
        ) from error
