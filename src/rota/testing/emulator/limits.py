"""What AWS refuses and MiniStack takes, where the request alone tells."""

from __future__ import annotations

from typing import NamedTuple

from rota.testing.emulator.actions import Asked
from rota.testing.emulator.update_paths import overlap

SYNCHRONOUS_BYTES = 6 * 1024 * 1024
ASYNCHRONOUS_BYTES = 1024 * 1024
ANSWER_BYTES = 6_291_556
STATE_BYTES = 256 * 1024


class Refusal(NamedTuple):
    """The error that AWS answers with."""

    status: int
    code: str
    message: str
    reasons: tuple[str, ...] = ()
    """Of a cancelled transaction: what each item of it came to."""


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
    overlapping = overlap(given) if what in (("dynamodb", "UpdateItem"), ("dynamodb", "TransactWriteItems")) else None
    if overlapping is not None:
        one, other = (f"[{', '.join(path)}]" for path in overlapping)
        said = "Two document paths overlap with each other; must remove or rewrite one of these paths"
        message = f"Invalid UpdateExpression: {said}; path one: {one}, path two: {other}"
        return Refusal(400, "ValidationException", message)
    return None
