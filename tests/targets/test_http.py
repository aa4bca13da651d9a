"""HTTP targets: what is sent, and what each answer amounts to."""

import json
import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from time import monotonic
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.targets.endpoint import Endpoint, answering, run_of, saying

from rota.core.errors import InvalidError, TargetError
from rota.core.outcome import failure_of
from rota.core.target import HttpTarget
from rota.targets.http import BODY_LIMIT, HttpCall

Reply = Callable[[BaseHTTPRequestHandler], None]
KEPT_FOR = 1.0
"""Seconds that an idle connection is kept."""
SECRET = 'Bearer s3cr3t/t0k"en'


Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def private(url: str, method: Method = "POST", headers: dict[str, str] | None = None) -> HttpTarget:
    return HttpTarget(url, method, headers or {}, allow_private=True)


def answer(call: HttpCall, target: HttpTarget, payload: object = None) -> object:
    text = call(run_of(target, payload))
    return None if text is None else json.loads(text)


def failure(call: HttpCall, target: HttpTarget, payload: object = None) -> TargetError:
    with pytest.raises(TargetError) as caught:
        call(run_of(target, payload))
    return caught.value


# What is sent


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_payload_is_the_json_body(endpoint: Endpoint, call: HttpCall, method: Method) -> None:
    answer(call, private(f"{endpoint.url}/in?a=1&b=%20c", method), {"größe": [1, None]})
    (request,) = endpoint.requests
    assert (request.method, request.path) == (method, "/in?a=1&b=%20c")
    assert json.loads(request.body) == {"größe": [1, None]}
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_methods_send_no_body(endpoint: Endpoint, call: HttpCall, method: Method) -> None:
    assert answer(call, private(endpoint.url, method), {"a": 1}) == {"status": 200}
    (request,) = endpoint.requests
    assert (request.method, request.body) == (method, b"")
    assert "Content-Type" not in request.headers
    assert "Content-Length" not in request.headers


@pytest.mark.parametrize(("method", "length"), [("POST", "0"), ("PUT", "0"), ("DELETE", None)])
def test_no_payload_is_an_empty_body(endpoint: Endpoint, call: HttpCall, method: Method, length: str | None) -> None:
    answer(call, private(endpoint.url, method))
    (request,) = endpoint.requests
    assert (request.headers.get("Content-Length"), request.headers.get("Content-Type")) == (length, None)


def test_the_run_is_told_in_headers(endpoint: Endpoint, call: HttpCall) -> None:
    run = run_of(private(endpoint.url), attempt=2)
    call(run)
    headers = endpoint.requests[0].headers
    assert headers["Idempotency-Key"] == headers["Rota-Run"] == run.id == "nightly@2026-11-21T02:30:00Z"
    assert headers["Rota-Scheduled"] == "2026-11-21T02:30:00Z"
    assert headers["Rota-Attempt"] == "3"
    assert headers["User-Agent"] == "rota"
    assert headers["Host"] == f"127.0.0.1:{endpoint.port}"


def test_headers_of_the_target_are_sent_and_win(endpoint: Endpoint, call: HttpCall) -> None:
    own = {"Authorization": SECRET, "user-agent": "shop/1", "Content-Type": "application/vnd.shop+json"}
    answer(call, private(endpoint.url, headers=own), 1)
    headers = endpoint.requests[0].headers
    assert [headers[name] for name in ("authorization", "user-agent", "content-type")] == list(own.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Idempotency-Key", "mine"),
        ("rota-run", "mine"),
        ("Content-Length", "+7"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
        ("X-Token", "tok\r\nX-Other: en"),
        ("X-Token", "token\n"),
        ("X-Token", " token"),
        ("X-Token", "tok\0en"),
        ("X Token", "token"),
        ("X-Token:", "token"),
        ("", "token"),
        ("Töken", "token"),
    ],
)
def test_headers_that_would_change_the_message_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidError, match=r"target\.headers") as refused:
        private("http://shop.example/", headers={name: value})
    assert value not in str(refused.value)


@given(value=st.text(max_size=40))
def test_no_header_value_reaches_the_message(value: str) -> None:
    """Whatever the value: it is refused, or sent (to a port where nobody listens), and not quoted."""
    try:
        target = private(f"http://127.0.0.1:{_CLOSED_PORT}", headers={"X-Token": f"sec{value}ret"})
        said = str(failure(_CALL, target))
    except InvalidError as error:
        said = str(error)
    assert "sec" not in said


# What an answer amounts to


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answering(200), {"status": 200}),
        (answering(204), {"status": 204}),
        (answering(202, b"queued"), {"status": 202, "body": "queued"}),
        (answering(200, b'{"id": 7}', {"Content-Type": "application/json; charset=utf-8"}), {"body": {"id": 7}}),
        (answering(200, b"[1]", {"Content-Type": "application/problem+json"}), {"body": [1]}),
        (answering(200, b"[1]", {"Content-Type": "text/plain"}), {"body": "[1]"}),
        (answering(200, b"{oops", {"Content-Type": "application/json"}), {"body": "{oops"}),
        (answering(200, b"[" * 4000, {"Content-Type": "application/json"}), {"body": "[" * 4000}),
        (answering(200, b"a\xffb"), {"body": "a\ufffdb"}),
        (answering(200, b"\x1f\x8b\x08", {"Content-Encoding": "gzip"}), {}),
    ],
)
def test_success(endpoint: Endpoint, call: HttpCall, reply: Reply, expected: dict[str, object]) -> None:
    endpoint.reply = reply
    assert answer(call, private(endpoint.url)) == {"status": 200} | expected


@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_of_a_long_answer_the_beginning_is_kept(endpoint: Endpoint, call: HttpCall, kind: str) -> None:
    body = json.dumps("é" * BODY_LIMIT, ensure_ascii=False).encode()
    endpoint.reply = answering(200, body, {"Content-Type": kind})
    kept = answer(call, private(endpoint.url))
    # The limit falls into a character, which is then left out.
    assert kept == {"status": 200, "body": '"' + "é" * ((BODY_LIMIT - 1) // 2), "truncated": True}


def test_an_endless_answer_is_not_read_to_its_end(endpoint: Endpoint, call: HttpCall) -> None:
    def pour(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        while not endpoint.over.is_set():
            handler.wfile.write(b"x" * 65536)

    endpoint.reply = pour
    assert answer(call, private(endpoint.url)) == {"status": 200, "body": "x" * BODY_LIMIT, "truncated": True}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 599])
def test_what_time_may_heal_is_transient(endpoint: Endpoint, call: HttpCall, status: int) -> None:
    endpoint.reply = answering(status, b"try later")
    error = failure(call, private(endpoint.url))
    assert error.transient
    assert str(status) in str(error)
    assert str(error).endswith(": try later")
    assert error.ids == {"schedule": "nightly", "run": "nightly@2026-11-21T02:30:00Z"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "9" * 400}, 86_400),
        ({"Retry-After": "Sat, 21 Nov 2026 02:31:30 GMT", "Date": "Sat, 21 Nov 2026 02:30:00 GMT"}, 90),
        ({"Retry-After": "Sat, 21 Nov 2026 02:29:00 GMT", "Date": "Sat, 21 Nov 2026 02:30:00 GMT"}, 0),
        ({"Retry-After": "Sat, 21 Nov 2026 02:29:00 GMT", "Date": "today"}, 0),
        ({"Retry-After": "-1"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({}, 0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_an_endpoint_may_ask_for_a_longer_wait(
    endpoint: Endpoint, call: HttpCall, status: int, headers: dict[str, str], seconds: float
) -> None:
    endpoint.reply = answering(status, headers=headers)
    error = failure(call, private(endpoint.url))
    assert error.retry_after == failure_of(error).retry_after == seconds


def test_no_wait_is_asked_for_before_what_is_final(endpoint: Endpoint, call: HttpCall) -> None:
    endpoint.reply = answering(403, headers={"Retry-After": "120"})
    assert failure(call, private(endpoint.url)).retry_after == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 451, 304])
def test_what_another_try_cannot_help_is_final(endpoint: Endpoint, call: HttpCall, status: int) -> None:
    endpoint.reply = answering(status)
    error = failure(call, private(endpoint.url))
    assert not error.transient
    assert str(status) in str(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(endpoint: Endpoint, call: HttpCall, status: int) -> None:
    endpoint.reply = answering(status, headers={"Location": f"{endpoint.url}/next"})
    error = failure(call, private(f"{endpoint.url}/first"))
    assert not error.transient
    assert "redirects are not followed" in str(error)
    assert [request.path for request in endpoint.requests] == ["/first"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 2",
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000,
    ],
)
def test_an_answer_that_is_broken_off_is_transient(endpoint: Endpoint, call: HttpCall, raw: bytes) -> None:
    endpoint.reply = saying(raw)
    assert failure(call, private(endpoint.url)).transient


def test_nobody_listening_is_transient(call: HttpCall) -> None:
    error = failure(call, private(f"http://127.0.0.1:{_CLOSED_PORT}"))
    assert error.transient
    assert "refused" in str(error)


def test_a_host_that_is_none_is_final(call: HttpCall) -> None:
    assert not failure(call, private("http://0177.0.0.1/")).transient


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:99999/", "http://127.0.0.1:0/", "http://[::1/", "http://a\0b/", "ftp://a/", "http://", "x"],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidError, match=r"target\.url"):
        private(url)


# Secrets


@pytest.mark.parametrize(
    "echo",
    [
        lambda secret: f"no such token: {secret}",
        lambda secret: json.dumps({"seen": secret}),
        lambda secret: json.dumps({"seen": secret}).replace("/", "\\/"),
        lambda secret: f"token {secret.split()[1]} is unknown",
        lambda secret: " " * (BODY_LIMIT - 10) + secret,
    ],
)
def test_an_error_that_echoes_a_secret_is_quoted_without_it(
    endpoint: Endpoint, call: HttpCall, caplog: pytest.LogCaptureFixture, echo: Callable[[str], str]
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.reply = answering(403, echo(SECRET).encode())
    target = private(f"{endpoint.url}/path-secret?query=secret", headers={"Authorization": SECRET})
    told = str(failure(call, target)) + caplog.text
    assert not [word for word in ("s3cr3t", "t0k", "path-secret", "query") if word in told]


def test_a_protocol_error_quotes_nothing(endpoint: Endpoint, call: HttpCall) -> None:
    endpoint.reply = saying(f"HTTP/1.1 200 OK\r\nAuthorization {SECRET}\r\n\r\n".encode())
    assert "s3cr3t" not in str(failure(call, private(endpoint.url, headers={"Authorization": SECRET})))


def test_a_cookie_does_not_travel_to_the_next_call(endpoint: Endpoint, call: HttpCall) -> None:
    endpoint.reply = answering(200, headers={"Set-Cookie": "session=of-one-schedule"})
    answer(call, private(endpoint.url))
    answer(call, private(endpoint.url))
    assert "Cookie" not in endpoint.requests[1].headers


# Connections


def test_connections_are_used_again(endpoint: Endpoint, call: HttpCall) -> None:
    took = KEPT_FOR
    while took >= KEPT_FOR:  # after a rest that long a new one is right
        endpoint.requests.clear()
        began = monotonic()
        for _ in range(3):
            answer(call, private(endpoint.url))
        took = monotonic() - began
    assert len({request.peer for request in endpoint.requests}) == 1


def test_many_threads_share_one_call(endpoint: Endpoint, call: HttpCall) -> None:
    def echo(handler: BaseHTTPRequestHandler) -> None:
        answering(200, handler.path.encode())(handler)

    endpoint.reply = echo
    paths = [f"/{n}" for n in range(60)]
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda path: answer(call, private(endpoint.url + path)), paths))
    assert answers == [{"status": 200, "body": path} for path in paths]


def _closed_port() -> int:
    """A port that is bound and not listened to for as long as the tests run, so that nobody else gets it."""
    _HELD.bind(("127.0.0.1", 0))
    return int(_HELD.getsockname()[1])


_HELD = socket.socket()
_CLOSED_PORT = _closed_port()
_CALL = HttpCall()
