"""Payloads are JSON of at most 256 KiB."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.core.errors import InvalidError
from rota.core.payload import LIMIT, NULL, decode_payload, encode_payload

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_there_and_back(value: object) -> None:
    text = encode_payload(value)
    assert decode_payload(text) == value == json.loads(text)


def test_nothing_is_null() -> None:
    assert encode_payload(None) == NULL
    assert decode_payload(NULL) is None


def test_the_limit_is_in_bytes_and_included() -> None:
    assert len(encode_payload("é" * ((LIMIT - 2) // 2))) == LIMIT
    with pytest.raises(
        InvalidError, match=rf"payload: '{LIMIT + 2} bytes of JSON' is not allowed; at most {LIMIT} bytes"
    ):
        encode_payload("é" * (LIMIT // 2))


def _endless() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize("value", [object(), {1, object()}, {("a", "b"): 1}, 1j, print, _endless(), "\ud800"])
def test_what_is_no_json_is_refused_by_field(value: object) -> None:
    with pytest.raises(InvalidError, match="anything that is JSON") as caught:
        encode_payload(value, "schedule.payload")
    assert caught.value.field == "schedule.payload"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_what_json_has_no_word_for_does_not_become_something_else(value: object) -> None:
    with pytest.raises(InvalidError):
        encode_payload(value)


def test_exact_numbers_are_not_lost() -> None:
    assert decode_payload(encode_payload({"price": Decimal("0.10")})) in ({"price": "0.10"}, {"price": 0.1})
