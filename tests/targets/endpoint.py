"""An HTTP endpoint on loopback whose answer a test decides."""

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, NamedTuple

from rota.core.payload import encode_payload
from rota.core.run import Run, RunSpec
from rota.core.target import AnyTarget

SCHEDULED = 1_795_228_200_000  # 2026-11-21T02:30:00Z


class Request(NamedTuple):
    method: str
    path: str
    headers: Message
    body: bytes
    peer: tuple[str, int]


class Endpoint:
    """requests: what came. reply: called with the handler once a request was read. over: set when the test is."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.reply: Callable[[BaseHTTPRequestHandler], None] = answering(200)
        self.over = Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with suppress(OSError):  # callers hang up on purpose
                    super().handle_one_request()
                    return
                self.close_connection = True

            def parse_request(self) -> bool:
                if not super().parse_request():
                    return False
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                peer = (str(self.client_address[0]), int(self.client_address[1]))
                outer.requests.append(Request(self.command, self.path, self.headers, body, peer))
                outer.reply(self)
                return False

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def finish_request(self, request: Any, client_address: Any) -> None:
                with suppress(OSError):  # a handshake that the caller breaks off
                    connection = tls.wrap_socket(request, server_side=True) if tls else request
                    super().finish_request(connection, client_address)
                    if tls:
                        connection.close()

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator["Endpoint"]:
        self._thread.start()
        try:
            yield self
        finally:
            self.over.set()
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


def answering(
    status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Callable[[BaseHTTPRequestHandler], None]:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        if status != 204:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return reply


def saying(raw: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """Exactly these bytes, then the end of the connection."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(raw)
        handler.close_connection = True

    return reply


def run_of(target: AnyTarget, payload: object = None, attempt: int = 0, id: str = "nightly", **spec: Any) -> Run:
    return Run(id, SCHEDULED, SCHEDULED, RunSpec(target, **spec), encode_payload(payload), attempt)
