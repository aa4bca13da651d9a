"""Errors in the wire format of each AWS protocol."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

from rota.testing.emulator.limits import Refusal

_QUERY_PROTOCOL = frozenset({"cloudformation", "iam", "monitoring", "sns", "sts"})

Reply = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


def error_reply(service: str, refusal: Refusal) -> Reply:
    """What a service answers when it refuses."""
    if service == "s3":
        body = f"<Error><Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message></Error>"
        return refusal.status, {"content-type": "application/xml"}, body.encode()
    fault = "Sender" if refusal.status < 500 else "Receiver"
    if service in _QUERY_PROTOCOL:
        inner = f"<Type>{fault}</Type><Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message>"
        return (
            refusal.status,
            {"content-type": "text/xml"},
            f"<ErrorResponse><Error>{inner}</Error></ErrorResponse>".encode(),
        )
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "x-amzn-errortype": refusal.code,
        "x-amzn-query-error": f"{refusal.code};{fault}",
    }
    said: dict[str, object] = {"__type": refusal.code, "message": refusal.message}
    if refusal.reasons:
        said["CancellationReasons"] = [{"Code": reason} for reason in refusal.reasons]
    return refusal.status, headers, json.dumps(said).encode()


def json_reply(value: object, status: int = 200) -> Reply:
    """A JSON answer."""
    return status, {"content-type": "application/x-amz-json-1.0"}, json.dumps(value).encode()
