"""Which hosts an HTTP target may name, as far as its URL alone tells; a name's addresses are looked up at each call."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from rota.core.errors import InvalidError

Address = IPv4Address | IPv6Address

# All global unicast comes from here; what lies outside is local, reserved or a way to write some IPv4 address.
_GLOBAL = IPv6Network("2000::/3")
_DOCUMENTATION = IPv6Network("3fff::/20")  # public to Python's tables before 3.13
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether `address` belongs to the public internet, also where it carries an IPv4 address inside."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _GLOBAL or address in _DOCUMENTATION or address.scope_id:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def check_public(url: str) -> None:
    """InvalidError if the host of `url` is an address that is not public, or localhost: every call would be refused.

    For what users write, not for what is stored: a rule that grows must not make a stored definition unreadable."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if not _is_local(host):
        return
    raise InvalidError(
        "target.url",
        url,
        f"{host} is not a public address, and calls of private ones have to be permitted: allow_private=True on the"
        " HttpTarget, or --allow-private",
    )


def _is_local(host: str) -> bool:
    try:
        return not is_public(ip_address(host.replace("%25", "%")))
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
