"""Sizes that AWS refuses and MiniStack takes, where the request alone tells."""

from __future__ import annotations

from typing import NamedTuple

from rota.testing.emulator.actions import Asked

SYNCHRONOUS_BYTES = 6 * 1024 * 1024
ASYNCHRONOUS_BYTES = 1024 * 1024
ANSWER_BYTES = 6_291_556
STATE_BYTES = 256 * 1024


class Refusal(NamedTuple):
    """The error that AWS answers with."""

    status: int
    code: str
    message: str


def refusal(what: Asked, headers: dict[str, str], body: bytes, given: object) -> Refusal | None:
    """Why AWS would refuse this request, if it would. given: the body's JSON, None where it is not JSON."""
    if what == ("lambda", "Invoke"):
        asynchronous = headers.get("x-amz-invocation-type") == "Event"
        limit = ASYNCHRONOUS_BYTES if asynchronous else SYNCHRONOUS_BYTES
        if len(body) > limit:
            return Refusal(413, "RequestTooLargeException", f"Request must be smaller than {limit} bytes for Invoke")
    if what.service == "states" and what.action in ("StartExecution", "StartSyncExecution") and isinstance(given, dict):
        data = given.get("input")
        if isinstance(data, str) and len(data.encode()) > STATE_BYTES:
            return Refusal(400, "InvalidExecutionInput", f"input is longer than {STATE_BYTES} bytes")
    return None
