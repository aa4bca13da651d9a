"""Payloads are JSON, at most 256 KiB, and are checked and encoded once, where they enter."""

from __future__ import annotations

import math

import msgspec

from rota.core.errors import InvalidError

LIMIT = 256 * 1024
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()
NULL = b"null"


def encode_payload(value: object, field: str = "payload") -> bytes:
    """JSON of `value`; InvalidError if it has none or is over 256 KiB."""
    if value is None:
        return NULL
    try:
        text = _encoder.encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise InvalidError(field, value, f"anything that is JSON ({error})") from None
    if NULL in text and not _finite(msgspec.to_builtins(value)):
        # The encoder writes null for them, and the task would get something else than was given.
        raise InvalidError(field, value, "anything that is JSON (NaN and infinity are not)")
    if len(text) > LIMIT:
        raise InvalidError(
            field,
            f"{len(text)} bytes of JSON",
            f"at most {LIMIT} bytes; put large data in a file or in S3 and pass its name",
        )
    return text


def _finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not isinstance(value, list | tuple) or all(map(_finite, value))


def decode_payload(text: bytes) -> object:
    """The value behind `encode_payload`'s answer."""
    return _decoder.decode(text)
