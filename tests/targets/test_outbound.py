"""Which addresses are reached, how names are resolved and checked, TLS, and the one deadline of a call."""

import json
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from socket import EAI_NONAME, gaierror
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.targets.endpoint import Endpoint, answering, run_of

from rota.core.errors import TargetError
from rota.core.reach import is_public
from rota.core.target import HttpTarget
from rota.targets.http import HttpCall, http_call
from rota.targets.outbound import system_resolve

TLS = Path(__file__).parent / "tls"

# Each is, or leads to, an address that is not public.
LITERALS = [
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "0.0.0.0", "192.0.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "239.1.1.1",
    "240.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[fe80::1]", "[fe80::1%25eth0]", "[fc00::1]", "[fd12:3456::1]", "[fec0::1]", "[ff02::1]",
    "[2001:db8::1]", "[3fff::1]", "[2001::1]", "[100::1]", "[5f00::1]", "[64:ff9b:1::a00:1]",
]  # fmt: skip
CARRIED = [
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:a00:1]", "[::ffff:169.254.169.254]", "[::127.0.0.1]",
    "[64:ff9b::10.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2002:a00:1::1]",
]  # fmt: skip
NUMBERS = ["2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "127.1", "127.0.1", "0", "0xa9fea9fe", "0300.0250.1"]
PUBLIC = ["93.184.216.34", "8.8.8.8", "172.32.0.1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2a00:1450:4001::200e"]


class Names:
    """A resolver for tests: answers from a table, and remembers what it was asked."""

    def __init__(self, table: dict[str, Sequence[str]]) -> None:
        self.table = table
        self.asked: list[str] = []

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.table:
            raise gaierror(EAI_NONAME, "Name or service not known")
        return self.table[host]


def failure(call: HttpCall, target: HttpTarget) -> TargetError:
    with pytest.raises(TargetError) as caught:
        call(run_of(target))
    return caught.value


def refuse_names(host: str) -> Sequence[str]:
    raise AssertionError(f"{host} is an address and must not be looked up")


# Addresses


@pytest.mark.parametrize("host", LITERALS + CARRIED + NUMBERS)
def test_an_address_that_is_not_public_is_refused_in_every_form(host: str, tls: ssl.SSLContext) -> None:
    with closing(http_call(refuse_names, tls)) as call:
        error = failure(call, HttpTarget(f"http://{host}/"))
    assert not error.transient
    assert "not a public address" in str(error)
    assert "allow_private" in str(error)


def test_an_octal_address_is_refused_as_url(tls: ssl.SSLContext) -> None:
    with closing(http_call(refuse_names, tls)) as call:
        assert not failure(call, HttpTarget("http://0177.0.0.1/")).transient


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_however_it_is_carried(address: IPv4Address) -> None:
    packed = address.packed
    carried = [
        IPv6Address(bytes(10) + b"\xff\xff" + packed),
        IPv6Address(bytes.fromhex("0064ff9b0000000000000000") + packed),
        IPv6Address(b"\x20\x02" + packed + bytes(10)),
    ]
    assert {is_public(each) for each in carried} == {is_public(address)}


@given(st.ip_addresses())
def test_nothing_that_python_calls_local_is_public(address: IPv4Address | IPv6Address) -> None:
    local = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )
    # What carries an IPv4 address is as public as that one: see above.
    carries = isinstance(address, IPv6Address) and (address.ipv4_mapped or address in IPv6Network("64:ff9b::/96"))
    assert carries or not (local and is_public(address))


# Names


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:10.0.0.1"], ["fe80::1%eth0"]]
)
def test_a_name_is_refused_if_any_of_its_addresses_is_not_public(addresses: list[str], tls: ssl.SSLContext) -> None:
    names = Names({"shop.rota.test": addresses})
    with closing(http_call(names, tls)) as call:
        error = failure(call, HttpTarget("http://shop.rota.test/"))
    assert not error.transient
    assert "shop.rota.test is " in str(error)
    assert names.asked == ["shop.rota.test"]


def test_localhost_is_refused(call: HttpCall) -> None:
    assert "not a public address" in str(failure(call, HttpTarget("http://localhost/")))


def test_the_name_is_resolved_once_and_stays_in_the_host_header(endpoint: Endpoint, tls: ssl.SSLContext) -> None:
    names = Names({"shop.rota.test": ["127.0.0.1"]})
    with closing(http_call(names, tls)) as call:
        call(run_of(HttpTarget(f"http://shop.rota.test:{endpoint.port}/", allow_private=True)))
    assert names.asked == ["shop.rota.test"]
    assert endpoint.requests[0].headers["Host"] == f"shop.rota.test:{endpoint.port}"


def test_the_next_address_is_tried_when_one_is_dead(endpoint: Endpoint, tls: ssl.SSLContext) -> None:
    names = Names({"shop.rota.test": ["::1", "127.0.0.1"]})  # the endpoint listens on the second alone
    with closing(http_call(names, tls)) as call:
        call(run_of(HttpTarget(f"http://shop.rota.test:{endpoint.port}/", allow_private=True)))
    assert len(endpoint.requests) == 1


def test_a_connection_to_a_private_address_is_not_lent_to_who_may_not(endpoint: Endpoint, tls: ssl.SSLContext) -> None:
    names = Names({"shop.rota.test": ["127.0.0.1"]})
    url = f"http://shop.rota.test:{endpoint.port}/"
    with closing(http_call(names, tls)) as call:
        call(run_of(HttpTarget(url, allow_private=True)))
        assert "not a public address" in str(failure(call, HttpTarget(url)))
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("found", [None, []])
def test_a_name_without_an_address_is_transient(found: list[str] | None, tls: ssl.SSLContext) -> None:
    names = Names({} if found is None else {"shop.rota.test": found})
    with closing(http_call(names, tls)) as call:
        error = failure(call, HttpTarget("http://shop.rota.test/"))
    assert error.transient
    assert "shop.rota.test" in str(error)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".test"])
def test_what_cannot_be_a_name_is_final(call: HttpCall, host: str) -> None:
    assert not failure(call, HttpTarget(f"http://{host}/")).transient


def test_the_system_resolves_localhost() -> None:
    assert all(ip_address(address).is_loopback for address in system_resolve("localhost"))


def test_proxies_of_the_environment_are_ignored(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    with closing(http_call()) as call:
        call(run_of(HttpTarget(endpoint.url, allow_private=True)))
    assert len(endpoint.requests) == 1


# TLS: the certificate is for endpoint.rota.test, by an authority that only these tests trust


@pytest.fixture
def secure() -> Iterator[Endpoint]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "endpoint.pem")
    with Endpoint(context).serving() as served:
        yield served


@pytest.fixture
def trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=TLS / "authority.pem")


def test_the_certificate_is_checked_for_the_name_though_the_address_is_pinned(
    secure: Endpoint, trust: ssl.SSLContext
) -> None:
    names = Names({"endpoint.rota.test": ["127.0.0.1"], "other.rota.test": ["127.0.0.1"]})
    with closing(http_call(names, trust)) as call:
        text = call(run_of(HttpTarget(f"https://endpoint.rota.test:{secure.port}/", allow_private=True)))
        error = failure(call, HttpTarget(f"https://other.rota.test:{secure.port}/", allow_private=True))
    assert json.loads(text or b"") == {"status": 200}
    assert not error.transient
    assert "certificate" in str(error).lower()
    assert len(secure.requests) == 1


def test_an_authority_that_is_not_trusted_is_final(secure: Endpoint, tls: ssl.SSLContext) -> None:
    with closing(http_call(Names({"endpoint.rota.test": ["127.0.0.1"]}), tls)) as call:
        assert not failure(call, HttpTarget(f"https://endpoint.rota.test:{secure.port}/", allow_private=True)).transient


def test_tls_with_a_plain_server_is_final(endpoint: Endpoint, call: HttpCall) -> None:
    url = endpoint.url.replace("http:", "https:")
    assert not failure(call, HttpTarget(url, timeout=60, allow_private=True)).transient


# Time. None of these waits is longer than a tenth of the deadline, so a timeout for each wait would never strike.


def trickle(head: bytes, part: bytes, over: Event) -> Callable[[BaseHTTPRequestHandler], None]:
    """`head`, then `part` again and again, slowly; it ends long after the deadline, in a good answer."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head)
        for _ in range(300):
            if over.wait(0.02):
                break
            handler.wfile.write(part)
        handler.wfile.write(b"\r\n\r\n")
        handler.close_connection = True

    return reply


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
        (b"HTTP/1.1 200 ", b"O"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
)
def test_an_answer_that_trickles_ends_at_the_deadline(
    endpoint: Endpoint, call: HttpCall, head: bytes, part: bytes
) -> None:
    endpoint.reply = trickle(head, part, endpoint.over)
    error = failure(call, HttpTarget(endpoint.url, timeout=0.2, allow_private=True))
    assert error.transient
    assert "within 0.2 s" in str(error)


def silence(endpoint: Endpoint, seconds: float) -> Callable[[BaseHTTPRequestHandler], None]:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        endpoint.over.wait(seconds)
        handler.close_connection = True

    return reply


def test_a_silent_endpoint_ends_at_the_deadline(endpoint: Endpoint, call: HttpCall) -> None:
    endpoint.reply = silence(endpoint, 10)
    assert "within 0.1 s" in str(failure(call, HttpTarget(endpoint.url, timeout=0.1, allow_private=True)))


def test_a_silent_resolver_ends_at_the_deadline(tls: ssl.SSLContext) -> None:
    over = Event()

    def never(host: str) -> Sequence[str]:
        over.wait(10)
        return ["127.0.0.1"]

    with closing(http_call(never, tls)) as call:
        error = failure(call, HttpTarget("http://shop.rota.test/", timeout=0.1))
    over.set()
    assert error.transient
    assert "within 0.1 s" in str(error)


def test_a_call_after_a_late_one_works(endpoint: Endpoint, call: HttpCall) -> None:
    endpoint.reply = silence(endpoint, 0.5)
    failure(call, HttpTarget(endpoint.url, timeout=0.1, allow_private=True))
    endpoint.reply = answering(200, b"on time")
    text = call(run_of(HttpTarget(endpoint.url, allow_private=True)))
    assert json.loads(text or b"") == {"status": 200, "body": "on time"}
