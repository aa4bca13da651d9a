"""Payloads are JSON, at most 256 KiB, and are checked and encoded once, where they enter.

The encoder knows how to write far more than JSON can say: a set becomes a list, bytes and datetimes become text, keys
that are numbers become text. The task would get something else than was given, so what is encoded is read back and
must be the same. Only a tuple may come back as a list.
"""

from __future__ import annotations

import math

import msgspec

from rota.core.errors import InvalidError

LIMIT = 256 * 1024
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()
NULL = b"null"
_ALLOWED = "anything that is JSON: None, True, False, finite numbers, text, and lists, tuples and dicts of these"


def encode_payload(value: object, field: str = "payload") -> bytes:
    """JSON of `value`; InvalidError if it has none, would come back as something else, or is over 256 KiB."""
    if value is None:
        return NULL
    try:
        text = _encoder.encode(value)
        stranger = None if _decoder.decode(text) == value else stranger_to_json(value)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise InvalidError(field, value, f"{_ALLOWED} ({error})") from None
    if stranger is not None:
        raise InvalidError(field, value, f"{_ALLOWED} ({stranger})")
    if len(text) > LIMIT:
        raise InvalidError(
            field,
            f"{len(text)} bytes of JSON",
            f"at most {LIMIT} bytes; put large data in a file or in S3 and pass its name",
        )
    return text


def stranger_to_json(value: object, place: str = "") -> str | None:
    """The first part of `value` that JSON would change, in words; None if it is only tuples."""
    match value:
        case dict():
            for key, one in value.items():
                if not isinstance(key, str):
                    return f"the key {key!r:.40} is not text{_at(place)}"
                if found := stranger_to_json(one, f"{place}[{key!r:.40}]"):
                    return found
            return None
        case list() | tuple():
            parts = (stranger_to_json(one, f"{place}[{n}]") for n, one in enumerate(value))
            return next((found for found in parts if found), None)
        case float():
            return None if math.isfinite(value) else f"{value} is not a number in JSON{_at(place)}"
        case None | str() | int():
            return None
    return f"{type(value).__name__} is not JSON{_at(place)}"


def _at(place: str) -> str:
    return f", at {place}" if place else ""


def decode_payload(text: bytes) -> object:
    """The value behind `encode_payload`'s answer."""
    return _decoder.decode(text)
