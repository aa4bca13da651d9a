"""A DynamoDB client that refuses what DynamoDB refuses and the emulator lets pass.

It knows the rules that rota could break: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_WORDS = {
    "SET",
    "REMOVE",
    "ADD",
    "AND",
    "OR",
    "NOT",
    "IN",
    "BETWEEN",
    "attribute_exists",
    "attribute_not_exists",
    "size",
    "contains",
}
_TOKEN = re.compile(r"[#:]?\w+")
_MEGABYTE = 1024 * 1024


class Strict:
    """Passes to `client` what DynamoDB would take; AssertionError for the rest."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.meta = client.meta

    def __getattr__(self, method: str) -> Any:
        check = getattr(type(self), f"_check_{method}", None)
        called = getattr(self._client, method)
        if check is None:
            return called

        def call(**arguments: Any) -> Any:
            check(self, arguments)
            return called(**arguments)

        return call

    def _check_put_item(self, given: Mapping[str, Any]) -> None:
        _item(given["Item"])
        _expressions(given)

    def _check_update_item(self, given: Mapping[str, Any]) -> None:
        _key(given["Key"])
        _expressions(given)
        _paths(given)

    def _check_delete_item(self, given: Mapping[str, Any]) -> None:
        _key(given["Key"])
        _expressions(given)

    def _check_query(self, given: Mapping[str, Any]) -> None:
        _expressions(given)
        assert given["Limit"] > 0
        named = {
            given["ExpressionAttributeNames"][name] for name in re.findall(r"#\w+", given.get("FilterExpression", ""))
        }
        assert not named & {"pk", "sk"}, "a filter may not name a key attribute"
        values = given["ExpressionAttributeValues"]
        assert values[":low"]["S"] <= values[":high"]["S"], "BETWEEN wants the lower bound first"

    def _check_batch_get_item(self, given: Mapping[str, Any]) -> None:
        for table in given["RequestItems"].values():
            keys = [(key["pk"]["S"], key["sk"]["S"]) for key in table["Keys"]]
            assert 0 < len(keys) <= 100
            assert len(set(keys)) == len(keys), "a key twice"

    def _check_batch_write_item(self, given: Mapping[str, Any]) -> None:
        for requests in given["RequestItems"].values():
            assert 0 < len(requests) <= 25
            keys = []
            for request in requests:
                if "PutRequest" in request:
                    _item(request["PutRequest"]["Item"])
                    keys.append(_key_of(request["PutRequest"]["Item"]))
                else:
                    keys.append(_key_of(request["DeleteRequest"]["Key"]))
            assert len(set(keys)) == len(keys), "a key twice"
            assert _size(requests) <= 16 * _MEGABYTE

    def _check_transact_write_items(self, given: Mapping[str, Any]) -> None:
        items = given["TransactItems"]
        assert 0 < len(items) <= 100
        assert 0 < len(given["ClientRequestToken"]) <= 36
        keys = []
        for one in items:
            ((kind, write),) = one.items()
            keys.append(_key_of(write["Item"] if kind == "Put" else write["Key"]))
            if kind == "Put":
                _item(write["Item"])
            if kind == "Update":
                _paths(write)
            _expressions(write)
        assert len(set(keys)) == len(keys), "a transaction may name an item once"
        assert _size(items) <= 4 * _MEGABYTE


def _key_of(item: Mapping[str, Any]) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _key(key: Mapping[str, Any]) -> None:
    assert set(key) == {"pk", "sk"}
    for name, longest in (("pk", 2048), ("sk", 1024)):
        assert 0 < len(key[name]["S"].encode()) <= longest


def _item(item: Mapping[str, Any]) -> None:
    _key({name: item[name] for name in ("pk", "sk")})
    assert _size(item) <= 400 * 1024
    assert all(value.get("SS", True) for value in item.values()), "no empty sets"


def _size(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(len(name) + _size(inner) for name, inner in value.items())
    if isinstance(value, str | bytes):
        return len(value if isinstance(value, bytes) else value.encode())
    return sum(map(_size, value)) if isinstance(value, Iterable) else 1


def _expressions(given: Mapping[str, Any]) -> None:
    text = " ".join(str(value) for name, value in given.items() if name.endswith("Expression"))
    used = set(_TOKEN.findall(text))
    assert {word for word in used if word[0] not in "#:"} <= _WORDS, "attributes may be reserved words"
    names, values = given.get("ExpressionAttributeNames", {}), given.get("ExpressionAttributeValues", {})
    assert {word for word in used if word[0] == "#"} == set(names), "all names are used, and explained"
    assert {word for word in used if word[0] == ":"} == set(values), "all values are used, and explained"
    assert len(text) <= 4096
    assert all(value.get("SS", True) for value in values.values())


def _paths(given: Mapping[str, Any]) -> None:
    parts = re.split(r"\b(?:SET|REMOVE|ADD)\b", given["UpdateExpression"])
    changed = [re.findall(r"#\w+", part)[0] for section in parts for part in section.split(",") if part.strip()]
    assert len(set(changed)) == len(changed), "an attribute may be changed once"
    names = given["ExpressionAttributeNames"]
    assert not {names[name] for name in changed} & {"pk", "sk"}
