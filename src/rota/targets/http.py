"""Call an HTTP endpoint.

Idea. The run id goes along as `Idempotency-Key`, so an endpoint that remembers keys makes a repeated attempt harmless.
The status decides: 2xx is success; a refusal that time may heal (408, 425, 429, 5xx) and any trouble on the way there
are transient; every other answer is final. Redirects are not followed: where they lead was not what the user wrote, and
they are the oldest way around a check of addresses. Addresses and time are the business of `rota.targets.outbound`.

Built on httpcore rather than on `httpx.Client`, because that is the layer where a connection is opened, and because it
adds nothing of its own: no redirects, no proxies or passwords from the environment, no cookies carried from the answer
to one schedule into the call of another, no log line with the whole URL.

Secrets. Messages name the method and the origin, never the path, the query or a header's value, and what an endpoint
says in its error is quoted without any header value that it echoes.
"""

from __future__ import annotations

import codecs
import ssl
from collections.abc import Mapping
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

import httpcore
import httpx
import msgspec

from rota.core.errors import TargetError
from rota.core.ids import iso
from rota.core.payload import NULL
from rota.core.run import Run
from rota.core.target import HttpTarget
from rota.targets.outbound import NotPublicError, Outbound, Resolve, TlsError, limited, system_resolve

BODY_LIMIT = 4096
_READ_LIMIT = 4 * BODY_LIMIT  # the surplus lets a secret that crosses the first limit be seen whole
_QUOTED = 200
# Short: an endpoint that hangs up on an idle connection just as it is used again would fail a run for nothing.
_KEEPALIVE = 1.0
_IDLE_CONNECTIONS = 20
_LONGEST_WAIT = 86_400.0

_LATER = frozenset((408, 425, 429))
_PLAIN = frozenset(("accept", "accept-language", "cache-control", "content-type", "host", "user-agent"))


class HttpCall:
    """Calls the endpoint of a run's HttpTarget. Safe to share between threads; connections are shared, too.

    resolve: from a host name to its addresses. tls: certificates to trust, by default the system's and certifi's.
    Answers with JSON, {"status": 200, "body": ...}: the first 4 KiB, as JSON if that is what the endpoint sent, else as
    text; "truncated": true if there was more. Raises TargetError.
    """

    def __init__(self, resolve: Resolve = system_resolve, tls: ssl.SSLContext | None = None) -> None:
        trusted = tls if tls is not None else httpcore.default_ssl_context()
        self._pools = {
            allow_private: httpcore.ConnectionPool(
                ssl_context=trusted,
                max_connections=None,  # as many as there are threads that call
                max_keepalive_connections=_IDLE_CONNECTIONS,
                keepalive_expiry=_KEEPALIVE,
                network_backend=Outbound(resolve, allow_private=allow_private),
            )
            for allow_private in (False, True)
        }

    def __call__(self, run: Run) -> bytes | None:
        target = run.spec.target
        assert isinstance(target, HttpTarget)
        failed = _failures(run, target)
        request = _request(run, target, failed)
        try:
            with (
                limited(target.timeout),
                closing(self._pools[target.allow_private].handle_request(request)) as response,
            ):
                status = response.status
                headers = {name.lower(): value for name, value in response.headers}
                body = _read(response)
        except NotPublicError as error:
            raise failed(
                f"{error}; allow_private=True on the target, or --allow-private, calls it all the same", transient=False
            ) from None
        except httpcore.TimeoutException:
            raise failed(f"no complete answer within {target.timeout:g} s") from None
        except TlsError as error:
            raise failed(str(error), transient=False) from None
        except httpcore.NetworkError as error:
            raise failed(str(error) or "the connection broke") from None
        except httpcore.RemoteProtocolError:
            # httpcore's words would quote what came, and that may be an echo of the request.
            raise failed("the connection was closed early, or the answer is not HTTP") from None
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol):
            raise failed("the URL or a header is not one that HTTP allows", transient=False) from None
        if not 200 <= status < 300:
            said = _quoted(_text(body, headers) or "", target.headers)
            transient = status in _LATER or status >= 500
            wait = _retry_after(headers) if transient else 0.0
            raise failed(f"{_named(status)}{': ' + said if said else ''}", transient=transient, retry_after=wait)
        return _answer(status, body, headers)

    def close(self) -> None:
        """Close the connections that are kept. Calls that are under way fail."""
        for pool in self._pools.values():
            pool.close()


def http_call(resolve: Resolve = system_resolve, tls: ssl.SSLContext | None = None) -> HttpCall:
    """A call (rota.ports.target.TargetCall) that carries out every HttpTarget of an engine."""
    return HttpCall(resolve, tls)


class _MakeError(Protocol):
    def __call__(self, message: str, *, transient: bool = True, retry_after: float = 0.0) -> TargetError: ...


def _failures(run: Run, target: HttpTarget) -> _MakeError:
    """What makes the errors of one call: they name the method and the origin, and carry the ids."""
    about = f"{target.method} {_origin(target)}"

    def failed(message: str, *, transient: bool = True, retry_after: float = 0.0) -> TargetError:
        return TargetError(
            f"{about}: {message}",
            transient=transient,
            retry_after=retry_after,
            schedule=run.schedule_id,
            run=run.id,
        )

    return failed


def _origin(target: HttpTarget) -> str:
    parts = urlsplit(target.url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _request(run: Run, target: HttpTarget, failed: _MakeError) -> httpcore.Request:
    try:
        url = httpx.URL(target.url)
    except httpx.InvalidURL:
        raise failed("this is not a valid URL", transient=False) from None
    if url.port is not None and not 0 < url.port < 65536:
        raise failed("the port is not one from 1 to 65535", transient=False)  # sockets would take it modulo 65536
    body = _body(run, target)
    headers = {b"host": url.netloc, b"user-agent": b"rota", b"accept": b"*/*", b"accept-encoding": b"identity"}
    if body:
        headers[b"content-type"] = b"application/json"
    headers |= {name.lower().encode(): value.encode() for name, value in target.headers.items()}
    headers[b"idempotency-key"] = headers[b"rota-run"] = run.id.encode()
    headers[b"rota-scheduled"] = iso(run.scheduled).encode()
    headers[b"rota-attempt"] = b"%d" % (run.attempt + 1)
    if body is not None:
        headers[b"content-length"] = b"%d" % len(body)
    return httpcore.Request(
        target.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=list(headers.items()),
        content=body,
    )


def _body(run: Run, target: HttpTarget) -> bytes | None:
    """The payload; nothing where there is none, as many endpoints refuse a bare `null`."""
    if target.method in ("GET", "HEAD"):
        return None
    if run.payload != NULL:
        return run.payload
    return None if target.method == "DELETE" else b""


def _read(response: httpcore.Response) -> bytes:
    """The beginning of the body. What follows the limit is not waited for; the connection is closed instead."""
    body = bytearray()
    for part in response.iter_stream():
        body += part
        if len(body) >= _READ_LIMIT:
            break
    return bytes(body[:_READ_LIMIT])


def _text(body: bytes, headers: Mapping[bytes, bytes]) -> str | None:
    """The body as text; None where there is none, or where it is compressed although nobody asked for that."""
    if not body or headers.get(b"content-encoding", b"identity") != b"identity":
        return None
    return codecs.getincrementaldecoder("utf-8")("replace").decode(body)  # a character cut in half is left out


def _answer(status: int, body: bytes, headers: Mapping[bytes, bytes]) -> bytes:
    answer: dict[str, object] = {"status": status}
    text = _text(body[:BODY_LIMIT], headers)
    if text is not None:
        answer["body"] = text
        if len(body) > BODY_LIMIT:
            answer["truncated"] = True
        elif b"json" in headers.get(b"content-type", b"").lower():
            # What calls itself JSON and is none stays text.
            with suppress(msgspec.DecodeError, ValueError, RecursionError):
                answer["body"] = msgspec.json.decode(body)
    return msgspec.json.encode(answer)


def _retry_after(headers: Mapping[bytes, bytes]) -> float:
    """Seconds that the endpoint asks to wait before another try, at most a day; 0 if it asks nothing. A moment is taken
    relative to the answer's own Date, so that no two clocks are compared."""
    said = headers.get(b"retry-after", b"").strip().decode("latin-1")
    if said.isascii() and said.isdigit():
        return min(float(said), _LONGEST_WAIT)
    try:
        until, now = (parsedate_to_datetime(text) for text in (said, headers.get(b"date", b"").decode("latin-1")))
        return min(max((until - now).total_seconds(), 0.0), _LONGEST_WAIT)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _named(status: int) -> str:
    """Such as "404 Not Found". The endpoint's own phrase is left out: it may say anything."""
    if 300 <= status < 400:
        return f"{status}, a redirect, and redirects are not followed"
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _quoted(text: str, sent: Mapping[str, str]) -> str:
    """The beginning of `text` in one line, without any header value that was sent."""
    for secret in _secrets(sent):
        text = text.replace(secret, "***")
    line = " ".join(text[:BODY_LIMIT].split())
    return line if len(line) <= _QUOTED else line[:_QUOTED] + "…"


def _secrets(sent: Mapping[str, str]) -> list[str]:
    """The forms in which an answer may repeat header values: whole, without "Bearer", within JSON. Longest first."""
    values = {value for name, value in sent.items() if name.lower() not in _PLAIN}
    values |= {word for value in values for word in value.split() if len(word) >= 4}
    values |= {msgspec.json.encode(value).decode()[1:-1] for value in values}
    values |= {value.replace("/", "\\/") for value in values}
    return sorted(values - {""}, key=len, reverse=True)
