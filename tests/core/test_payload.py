"""Payloads are JSON of at most 256 KiB."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec
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


class Order(msgspec.Struct):
    number: int


@dataclass
class Parcel:
    number: int


class Fruit(StrEnum):
    APPLE = "apple"


@pytest.mark.parametrize("value", [object(), {1, object()}, {("a", "b"): 1}, 1j, print, _endless(), "\ud800"])
def test_what_is_no_json_is_refused_by_field(value: object) -> None:
    with pytest.raises(InvalidError, match="anything that is JSON") as caught:
        encode_payload(value, "schedule.payload")
    assert caught.value.field == "schedule.payload"


def test_a_value_that_cannot_be_shown_is_refused_all_the_same() -> None:
    with pytest.raises(InvalidError, match="payload: <int> is not allowed"):
        encode_payload(10**5000)


CHANGED = [
    {1, 2},
    frozenset(),
    b"abc",
    bytearray(b"abc"),
    memoryview(b"abc"),
    {1: 2},
    {1.5: 2},
    datetime(2026, 1, 1, tzinfo=UTC),
    date(2026, 1, 1),
    time(1, 2),
    timedelta(days=1),
    UUID(int=1),
    Decimal("0.10"),
    Order(1),
    Parcel(1),
    msgspec.Raw(b"1"),
    float("nan"),
    float("inf"),
]


@pytest.mark.parametrize("value", CHANGED)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_would_come_back_as_something_else_is_refused(value: object, wrapped: bool) -> None:
    given = {"a": ({"b": [0, value]},)} if wrapped else value
    with pytest.raises(InvalidError, match="at \\['a'\\]\\[0\\]\\['b'\\]" if wrapped else "JSON|not text"):
        encode_payload(given)


@pytest.mark.parametrize("value", [(), (1, 2), {"a": ({"b": (None, True, 1.5, "x")},)}])
def test_a_tuple_is_a_list(value: object) -> None:
    assert encode_payload(value) == json.dumps(value, separators=(",", ":")).encode()


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**100, 5e-324, 1.7976931348623157e308, 0.1, Fruit.APPLE])
def test_numbers_and_words_of_any_size_come_back_exactly(value: object) -> None:
    assert decode_payload(encode_payload([value, (value,)])) == [value, [value]]
