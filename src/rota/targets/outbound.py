"""Outgoing connections that end in time and, unless allowed more, reach public addresses only.

Idea. Who writes a schedule chooses a URL, and the server that fires it often stands where that person could not reach:
beside a database, a router's page, a cloud's metadata service. So the name is resolved here, once; every address it has
must be public; and the connection is made to one of those very addresses, so that a second look-up cannot give another
answer (DNS rebinding). Above this layer the host keeps its name, so the Host header, SNI and the check of the
certificate are about the name. Hosts written as numbers (`2130706433`, `0x7f.1`, `0177.0.0.1`) become addresses first.

Time. A timeout for each read does not bound a call: a server that sends one byte a second never trips it. So the
whole call has a deadline, and each wait, the one for the resolver included, gets what is left of it.

States. A connection may be kept and used again for the same origin: it stays at the address that was checked. Callers
that may reach private addresses and callers that may not share no connections: one pool with its `Outbound` for each.

Failures. NotPublicError before anything is sent; TlsError if the two ends do not agree on a secure connection;
httpcore's errors for everything else.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import IPv4Address, ip_address
from queue import Empty, SimpleQueue
from ssl import SSLContext, SSLEOFError, SSLError, SSLZeroReturnError
from threading import Thread
from time import monotonic

import httpcore

from rota.core.reach import Address, is_public

Resolve = Callable[[str], Sequence[str]]
"""The addresses of a host name, best first. Raises OSError where there are none, ValueError where it is no name."""

_PIECE = 4096

_deadline: ContextVar[float] = ContextVar("deadline")


class NotPublicError(Exception):
    """The host has an address that is not public."""


class TlsError(Exception):
    """A certificate or a handshake that either side refuses; not a connection that merely broke."""


@contextmanager
def limited(seconds: float) -> Generator[None]:
    """Bound everything that the connections of this module do for this thread meanwhile, taken together."""
    token = _deadline.set(monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def _left(too_late: type[httpcore.TimeoutException]) -> float:
    seconds = _deadline.get() - monotonic()
    if seconds <= 0:
        raise too_late("the time of the call is used up")
    return seconds


@contextmanager
def _telling_tls() -> Generator[None]:
    """Tell what TLS refuses from what the network does: httpcore calls both a network error."""
    try:
        yield
    except httpcore.NetworkError as error:
        cause = error.__cause__
        if isinstance(cause, SSLError) and not isinstance(cause, SSLEOFError | SSLZeroReturnError):
            raise TlsError(str(cause)) from None
        raise


def system_resolve(host: str) -> list[str]:
    """Ask the operating system."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _written_address(host: str) -> Address | None:
    """The address that `host` is, in any of the ways in which systems let one be written; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _in_time(resolve: Resolve, host: str) -> Sequence[str]:
    """`resolve(host)` in a thread of its own, since a resolver takes no timeout and cannot be interrupted."""
    answer: SimpleQueue[Sequence[str] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            answer.put(resolve(host))
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            answer.put(error)

    Thread(target=ask, name="rota-resolve", daemon=True).start()
    try:
        found = answer.get(timeout=_left(httpcore.ConnectTimeout))
    except Empty:
        raise httpcore.ConnectTimeout(f"resolving {host} took too long") from None
    if isinstance(found, OSError):
        raise httpcore.ConnectError(f"cannot resolve {host}: {found.strerror or found}")
    if isinstance(found, ValueError):
        raise httpcore.LocalProtocolError(f"{host} is not a host name")
    if isinstance(found, Exception):
        raise found
    return found


class Outbound(httpcore.NetworkBackend):
    """How a pool connects. To be used within `limited`."""

    def __init__(self, resolve: Resolve, *, allow_private: bool) -> None:
        self._resolve = resolve
        self._allow_private = allow_private
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # here and below, the deadline stands in for it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._addresses(host)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for tried, address in enumerate(addresses):
            # A share for each, so that one dead address leaves time for the next.
            share = _left(httpcore.ConnectTimeout) / (len(addresses) - tried)
            try:
                return _Stream(self._sockets.connect_tcp(str(address), port, share, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str) -> list[Address]:
        written = _written_address(host)
        addresses = [written] if written else [ip_address(text) for text in _in_time(self._resolve, host)]
        if not self._allow_private:
            for address in addresses:
                if not is_public(address):
                    raise NotPublicError(
                        f"{host} is not a public address"
                        if str(address) == host
                        else f"{host} is {address}, which is not a public address"
                    )
        return addresses


class _Stream(httpcore.NetworkStream):
    """A connection whose every wait ends by the deadline of the call that uses it."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _telling_tls():  # TLS 1.3: a server refuses the client's certificate only here
            return self._inner.read(max_bytes, _left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In pieces: the layer below would grant the whole time anew after each part that the peer takes.
        for start in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[start : start + _PIECE], _left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        with _telling_tls():
            return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(httpcore.ConnectTimeout)))

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)
