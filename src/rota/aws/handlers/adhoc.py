"""The ad-hoc function: called directly, or through its URL, which answers with status codes.

    200 done   201 created   400 not allowed   404 not found   405 not POST   409 exists, or its state forbids it
    503 the table or SQS takes no more at the moment   500 anything else, which the log tells

A direct call raises instead, so that Lambda reports it as the error of a function.
"""

from __future__ import annotations

import base64
import binascii
import logging
from functools import cache
from typing import Any

import msgspec

from rota.aws.adhoc import AdHoc
from rota.aws.handlers.setting import Context, began, figures, parts, starting
from rota.aws.payloads import Payloads
from rota.aws.sessions import client
from rota.aws.stack_client import KnownTargets, client_of
from rota.core.errors import ConflictError, ExistsError, InvalidError, NotFoundError, RotaError, StoreError

log: logging.Logger = logging.getLogger("rota.adhoc")
_STATUSES: tuple[tuple[type[RotaError], int], ...] = (
    (InvalidError, 400),
    (NotFoundError, 404),
    (ExistsError, 409),
    (ConflictError, 409),
    (StoreError, 503),
)


@cache
def adhoc() -> AdHoc:
    """The ad-hoc face of this function's stack."""
    built = parts()
    payloads = Payloads(client("s3"), built.settings.bucket) if built.settings.large_payloads else None
    check = KnownTargets(built.sqs, built.settings.queue_prefix)
    return AdHoc(client_of(built, actor="ad-hoc"), f"sqs:{built.settings.queue_prefix}data", payloads, check)


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Answer a call of the URL, or a direct one."""
    began(context)
    try:
        if isinstance(event, dict) and "http" in (event.get("requestContext") or {}):
            return _over_http(event)
        answer = adhoc().handle(event)
        figures().put("AdHocCalls", 1, "Count")
        return answer
    finally:
        figures().flush()


def _over_http(event: dict[str, Any]) -> dict[str, Any]:
    method = event["requestContext"]["http"].get("method", "")
    if method != "POST":
        return _response(405, {"error": f"{method} is not allowed; POST a JSON object"}, allow="POST")
    try:
        asked = _body(event)
        answer = adhoc().handle(asked)
    except RotaError as error:
        status = next((code for kind, code in _STATUSES if isinstance(error, kind)), 500)
        if status >= 500:
            log.exception("a call of the URL failed")
        return _response(status, {"error": str(error), **error.ids})
    except Exception:
        log.exception("a call of the URL failed")
        return _response(500, {"error": "an error of rota's own; the function's log tells more"})
    figures().put("AdHocCalls", 1, "Count")
    created = isinstance(asked, dict) and ("timestamp" in asked or "schedules" in asked)
    return _response(201 if created else 200, answer)


def _body(event: dict[str, Any]) -> object:
    text = event.get("body") or ""
    try:
        raw = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, binascii.Error, UnicodeError, RecursionError) as error:
        raise InvalidError("body", text[:200], f"a JSON object ({error})") from None


def _response(status: int, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", **headers},
        "body": msgspec.json.encode(body).decode(),
    }


if starting():
    adhoc()
