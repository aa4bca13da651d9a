"""zstd streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import zstandard

from rota.core.errors import LastingSourceError

_SLICE = 1 << 14


def inflated(blocks: Iterator[bytes], uri: str) -> Iterator[bytes]:
    """The text of a zstd stream, in bounded blocks; SourceError if it is damaged or ends early."""
    new: Callable[[], zstandard.ZstdDecompressionObj] = zstandard.ZstdDecompressor().decompressobj
    frame, begun = new(), False
    try:
        for block in blocks:
            for low in range(0, len(block), _SLICE):
                data = block[low : low + _SLICE]
                while data:
                    if frame.eof:
                        frame = new()
                    begun = True
                    text = frame.decompress(data)
                    if text:
                        yield text
                    data = frame.unused_data if frame.eof else b""
    except zstandard.ZstdError as error:
        raise LastingSourceError(f"source {uri!r} is no intact zstd file: {error}", source=uri) from error
    if begun and not frame.eof:
        raise LastingSourceError(
            f"source {uri!r} is a truncated zstd file: it ends in the middle of the data", source=uri
        )
