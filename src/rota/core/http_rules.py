"""What an HTTP target may say: checked when it is defined, so that nothing is stored that cannot be sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from rota.core.errors import InvalidError

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Either rota's promise to the endpoint, or how the connection frames its messages.
_RESERVED = frozenset(
    (
        "idempotency-key",
        "rota-run",
        "rota-scheduled",
        "rota-attempt",
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "te",  # codespell:ignore te
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


def check_url(url: object) -> None:
    """InvalidError unless `url` is an http(s) URL with a host, a port that exists, and no password."""
    allowed = "an http or https URL with a host, and a port from 1 to 65535 if it names one"
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise InvalidError("target.url", url, allowed) from None
    if not sound or _CONTROL.search(str(url)):
        raise InvalidError("target.url", url, allowed)
    if parts.username or parts.password:
        raise InvalidError("target.url", parts.hostname, "a URL without a password in it: put it in a header")


def check_headers(headers: object) -> None:
    """InvalidError for a header that HTTP does not allow or that rota sets itself. No value is repeated: it may be
    secret."""
    if not isinstance(headers, Mapping):
        raise InvalidError("target.headers", type(headers).__name__, "a dict of names and values")
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidError("target.headers", name, "names of letters, digits and !#$%&'*+.^_`|~-")
        if name.lower() in _RESERVED:
            raise InvalidError("target.headers", name, "headers that rota does not set itself")
        if not isinstance(value, str) or _CONTROL.search(value) or value != value.strip():
            raise InvalidError(
                "target.headers", name, "text without line breaks, control characters or blanks at an end"
            )
