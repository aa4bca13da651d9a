"""Private addresses are refused at the door, and never in what is stored."""

from __future__ import annotations

import msgspec
import pytest

import rota
from rota.core.errors import InvalidError
from rota.core.target import AnyTarget, HttpTarget, parse_target

PRIVATE = [
    "http://127.0.0.1:8000/x", "http://10.1.2.3/", "http://192.168.0.1/", "https://169.254.169.254/latest",
    "http://[::1]/", "http://[fe80::1]/", "http://[::ffff:10.0.0.1]/", "http://localhost/", "http://LOCALHOST.:80/",
    "http://api.localhost/",
]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE)
def test_a_private_address_has_to_be_permitted(url: str) -> None:
    for given in (url, HttpTarget(url)):
        with pytest.raises(InvalidError, match="allow_private=True"):
            parse_target(given)
    permitted = HttpTarget(url, allow_private=True)
    assert parse_target(permitted) == permitted


@pytest.mark.parametrize("url", ["https://shop.example/", "http://8.8.8.8/", "http://[2a00:1450:4001::200e]/"])
def test_a_public_address_and_a_name_need_no_permission(url: str) -> None:
    assert parse_target(url) == HttpTarget(url)


def test_an_app_is_told_when_it_declares_the_schedule() -> None:
    with pytest.raises(InvalidError, match="allow_private=True"):
        rota.App("shop").schedule("hook", rota.Every("1h"), "http://localhost:8000/")


def test_what_is_stored_can_always_be_read() -> None:
    stored = HttpTarget("http://127.0.0.1/")
    assert msgspec.json.decode(msgspec.json.encode(stored), type=AnyTarget) == stored
