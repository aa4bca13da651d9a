"""Calls of a function's URL, answered with status codes.

200 done   201 created   400 not allowed   404 not found   405 not POST   409 exists, or its state forbids it
503 the table or SQS takes no more at the moment   500 anything else, which the log tells
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from rota.core.errors import ConflictError, ExistsError, InvalidError, NotFoundError, RotaError, SourceError, StoreError

_STATUSES: tuple[tuple[type[RotaError], int], ...] = (
    (InvalidError, 400),
    (SourceError, 400),
    (NotFoundError, 404),
    (ExistsError, 409),
    (ConflictError, 409),
    (StoreError, 503),
)


def is_http(event: object) -> bool:
    """Whether the event is a call of the function's URL."""
    return isinstance(event, dict) and "http" in (event.get("requestContext") or {})


def over_http(
    event: dict[str, Any],
    handle: Callable[[Any], dict[str, Any]],
    creates: Callable[[Any], bool],
    log: logging.Logger,
) -> dict[str, Any]:
    """Answer a call of the URL. creates: whether what was asked for makes something new."""
    method = event["requestContext"]["http"].get("method", "")
    if method != "POST":
        return _response(405, {"error": f"{method} is not allowed; POST a JSON object"}, allow="POST")
    try:
        asked = _body(event)
        answer = handle(asked)
    except RotaError as error:
        status = next((code for kind, code in _STATUSES if isinstance(error, kind)), 500)
        if status >= 500:
            log.exception("a call of the URL failed")
        return _response(status, {"error": str(error), **error.ids})
    except Exception:
        log.exception("a call of the URL failed")
        return _response(500, {"error": "an error of rota's own; the function's log tells more"})
    return _response(201 if creates(asked) else 200, answer)


def _body(event: dict[str, Any]) -> object:
    text = event.get("body") or ""
    raw: bytes = text.encode(errors="replace")
    try:
        if event.get("isBase64Encoded"):
            raw = base64.b64decode(text, validate=True)
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, binascii.Error, UnicodeError, RecursionError) as error:
        said = raw[:200].decode(errors="replace")
        raise InvalidError("body", said, f"a JSON object ({error})") from None


def _response(status: int, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", **headers},
        "body": msgspec.json.encode(body).decode(),
    }
