"""Reckons what AWS would bill for each request that MiniStack carries out."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from rota.testing.emulator.actions import Asked
from rota.testing.emulator.billed import Units, billed
from rota.testing.emulator.count import Counts
from rota.testing.emulator.gateway import ASKED, App, Receive, Scope, Send
from rota.testing.emulator.partial import json_of

_BILLED_FAILURES = ("ConditionalCheckFailedException", "TransactionCanceledException")
"""DynamoDB bills writes whose condition did not hold."""


class Meter:
    """An ASGI application around MiniStack's, inside the gateway."""

    def __init__(self, inner: App, counts: Counts) -> None:
        self._inner: App = inner
        self._counts: Counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        what: Asked | None = scope.get(ASKED)
        if what is None:
            await self._inner(scope, receive, send)
            return
        request: list[bytes] = []
        answer: list[bytes] = []
        status = 0

        async def heard() -> MutableMapping[str, Any]:
            message = await receive()
            request.append(message.get("body", b""))
            return message

        async def said(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif what.service == "dynamodb":
                answer.append(message.get("body", b""))
            await send(message)

        await self._inner(scope, heard, said)
        self._counts.bill(_units(what, b"".join(request), status, b"".join(answer)))


def _units(what: Asked, request: bytes, status: int, answer: bytes) -> Units:
    given = None if what.service == "s3" else json_of(request)
    found = json_of(answer) if answer else None
    if status < 400:
        return billed(what, given, len(request), found)
    failed = found.get("__type", "") if isinstance(found, dict) else ""
    return billed(what, given, len(request), None) if failed.endswith(_BILLED_FAILURES) else {}
