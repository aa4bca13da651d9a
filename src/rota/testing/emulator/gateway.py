"""What stands between clients and MiniStack: counts each request, refuses what AWS would refuse, injects faults.

Its own paths: GET /_rota/counts, GET /_rota/billed, POST /_rota/counts/reset, and POST /_rota/faults with
{"sqs.SendMessage": {...}}.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from rota.testing.emulator.actions import Asked, asked
from rota.testing.emulator.count import Counts
from rota.testing.emulator.fault import Fault, Faults, faults_of
from rota.testing.emulator.limits import Refusal, refusal
from rota.testing.emulator.partial import cut, items_of, json_of
from rota.testing.emulator.replies import Reply, error_reply, json_reply

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASKED = "rota.asked"
"""Where the scope of a request holds what it asks for."""
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gateway:
    """An ASGI application around MiniStack's."""

    def __init__(self, inner: App, counts: Counts, faults: Faults) -> None:
        self._inner: App = inner
        self._counts: Counts = counts
        self._faults: Faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"].startswith("/_ministack/"):
            await self._inner(scope, receive, send)
            return
        body = await _read(receive)
        if scope["path"].startswith("/_rota/"):
            await _answer(send, self._own(scope["method"], scope["path"], body))
            return
        await self._aws(scope, body, receive, send)

    def _own(self, method: str, path: str, body: bytes) -> Reply:
        match method, path:
            case "GET", "/_rota/counts":
                return 200, {"content-type": "application/json"}, msgspec.json.encode(self._counts.all())
            case "GET", "/_rota/billed":
                return 200, {"content-type": "application/json"}, msgspec.json.encode(self._counts.units())
            case "POST", "/_rota/counts/reset":
                self._counts.clear()
            case "POST", "/_rota/faults":
                try:
                    self._faults.replace(faults_of(json.loads(body or b"{}")))
                except ValueError as error:
                    return json_reply({"error": str(error)}, 400)
            case _:
                return json_reply({"error": f"nothing at {method} {path}"}, 404)
        return json_reply({})

    async def _aws(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope.get("query_string", b"").decode()
        what = asked(scope["method"], scope["path"], query, headers, body)
        scope[ASKED] = what
        given = json_of(body) if what.service != "s3" else None
        self._counts.add(what.name, size=len(body), items=items_of(what, given))
        text = f"{scope['path']} {body.decode('utf-8', 'replace')}" if self._faults.any else ""
        fault = self._faults.pick(what.name, text)
        if fault is not None and fault.latency_ms:
            await asyncio.sleep(fault.latency_ms / 1000)
        if fault is not None and fault.twice:
            await self._carry_out(scope, body, receive)
        refused = refusal(what, headers, body, given)
        if refused is not None:
            await _answer(send, error_reply(what.service, refused))
        elif fault is not None and fault.refuses:
            if fault.lost:
                await self._carry_out(scope, body, receive)
            await _answer(send, error_reply(what.service, self._injected(fault, items_of(what, given))))
        elif fault is None or not await self._cut(what, given, fault, scope, receive, send):
            await self._inner(scope, _replay(body, receive), send)

    def _injected(self, fault: Fault, items: int) -> Refusal:
        """The error that a fault says. items: how many a transaction has, one of which is why it was cancelled."""
        code = fault.code or ("InternalFailure" if fault.lost else "ThrottlingException")
        status = 500 if fault.lost and fault.code is None else fault.status
        if code != "TransactionCanceledException":
            return Refusal(status, code, "injected")
        out = self._faults.some(items)
        reasons = tuple("TransactionConflict" if position in out else "None" for position in range(items))
        return Refusal(status, code, "injected", reasons)

    async def _cut(self, what: Asked, given: Any, fault: Fault, scope: Scope, receive: Receive, send: Send) -> bool:
        """Carries out a part of the request; False if the fault does not cut requests like this."""
        part = (
            cut(what, given, self._faults.some, unprocessed=fault.unprocessed, partial=fault.partial)
            if isinstance(given, dict)
            else None
        )
        if part is None:
            return False
        status, headers, answer = 200, {"content-type": "application/x-amz-json-1.0"}, b"{}"
        if part.forward is not None:
            status, headers, answer = await self._carry_out(scope, json.dumps(part.forward).encode(), receive)
        if status == 200:
            kept = {name: it for name, it in headers.items() if name not in ("x-amz-crc32", "content-length")}
            status, headers, answer = 200, kept, json.dumps(part.complete(json.loads(answer))).encode()
        await _answer(send, (status, headers, answer))
        return True

    async def _carry_out(self, scope: Scope, body: bytes, receive: Receive) -> Reply:
        """What MiniStack answers to this request with this body."""
        started: list[MutableMapping[str, Any]] = []
        pieces: list[bytes] = []

        async def collect(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                started.append(message)
            else:
                pieces.append(message.get("body", b""))

        headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-length"]
        changed = {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
        await self._inner(changed, _replay(body, receive), collect)
        said = {name.decode().lower(): value.decode("latin-1") for name, value in started[0].get("headers", [])}
        return started[0]["status"], said, b"".join(pieces)


async def _read(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, then what the connection says."""
    given = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _answer(send: Send, reply: Reply) -> None:
    status, headers, body = reply
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items() if name != "content-length"]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
