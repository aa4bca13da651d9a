"""Plain values to DynamoDB's and back, and the writes that a table is asked for.

Expressions are written with `#name` for an attribute and `:value` for a value, whose names are the attribute's and the
argument's; so no reserved word is ever in the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rota.aws.dynamo.keys import Key

Value = str | int | bytes | bool | frozenset[str]
Item = dict[str, Value]

_NAME = re.compile(r"#(\w+)")
_VALUE = re.compile(r":(\w+)")

STATES: dict[str, Value] = {
    name: name
    for name in ("pending", "moved", "held", "running", "succeeded", "failed", "cancelled", "interrupted", "signpost")
}
"""Values that any expression may name. A run is `moved` while it is pending, but due at another time than scheduled."""


class Put(NamedTuple):
    """Store the item, whole, if `when` holds."""

    item: Item
    when: str = ""
    values: Mapping[str, Value] = {}


class Update(NamedTuple):
    """Change the item as `do` says, if `when` holds; it is made if it is not there."""

    key: Key
    do: str
    values: Mapping[str, Value] = {}
    when: str = ""


def change(
    key: Key,
    sets: Mapping[str, Value],
    removes: Iterable[str] = (),
    adds: Mapping[str, Value] | None = None,
    when: str = "",
    values: Mapping[str, Value] | None = None,
) -> Update:
    """The update that sets those attributes, removes those, and adds to those sets. values: what `when` names."""
    parts = []
    if sets:
        parts.append("SET " + ", ".join(f"#{name} = :{name}" for name in sets))
    gone = [name for name in removes if name not in sets]
    if gone:
        parts.append("REMOVE " + ", ".join(f"#{name}" for name in gone))
    if adds:
        parts.append("ADD " + ", ".join(f"#{name} :{name}" for name in adds))
    return Update(key, " ".join(parts), {**(values or {}), **sets, **(adds or {})}, when)


class Delete(NamedTuple):
    """Remove the item if `when` holds."""

    key: Key
    when: str = ""
    values: Mapping[str, Value] = {}


class Check(NamedTuple):
    """Change nothing, but `when` must hold. In a transaction only."""

    key: Key
    when: str
    values: Mapping[str, Value] = {}


Write = Put | Update | Delete | Check


def encode(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, bytes):
        return {"B": value}
    return {"SS": sorted(value)}


def decode(value: Mapping[str, Any]) -> Value:
    ((kind, content),) = value.items()
    if kind == "N":
        return int(content)
    if kind == "SS":
        return frozenset(content)
    if kind == "B":
        return bytes(content)
    if kind in ("S", "BOOL"):
        return content  # type: ignore[no-any-return]
    raise ValueError(f"rota writes no attribute of type {kind}")


def encode_item(item: Item) -> dict[str, Any]:
    return {name: encode(value) for name, value in item.items()}


def decode_item(item: Mapping[str, Any]) -> Item:
    return {name: decode(value) for name, value in item.items()}


def encode_key(key: Key) -> dict[str, Any]:
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}


def key_of(item: Item) -> Key:
    return Key(text_of(item, "pk"), text_of(item, "sk"))


def names_and_values(*expressions: str, values: Mapping[str, Value]) -> dict[str, Any]:
    """The two arguments that explain what stands in the expressions, those that are needed alone."""
    text = " ".join(expressions)
    named = {f"#{name}": name for name in _NAME.findall(text)}
    known = {**STATES, **values}
    valued = {f":{name}": encode(known[name]) for name in _VALUE.findall(text)}
    found: dict[str, Any] = {}
    if named:
        found["ExpressionAttributeNames"] = named
    if valued:
        found["ExpressionAttributeValues"] = valued
    return found


def write_arguments(write: Write) -> dict[str, Any]:
    """What a request for this write holds, but for the table."""
    arguments: dict[str, Any] = (
        {"Item": encode_item(write.item)} if isinstance(write, Put) else {"Key": encode_key(write.key)}
    )
    do = write.do if isinstance(write, Update) else ""
    if do:
        arguments["UpdateExpression"] = do
    if write.when:
        arguments["ConditionExpression"] = write.when
        arguments["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return arguments | names_and_values(do, write.when, values=write.values)


def size_of(item: Item) -> int:
    """About what DynamoDB takes the item's size to be, in bytes."""
    return sum(len(name) + _bytes(value) for name, value in item.items())


def _bytes(value: Value) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, frozenset):
        return 3 + sum(len(one) + 1 for one in value)
    return 1 if isinstance(value, bool) else 21


def text_of(item: Item, name: str) -> str:
    """A text attribute, "" if it is not there."""
    value = item.get(name, "")
    assert isinstance(value, str)
    return value


def number_of(item: Item, name: str) -> int | None:
    value = item.get(name)
    assert value is None or isinstance(value, int)
    return value


def bytes_of(item: Item, name: str) -> bytes | None:
    value = item.get(name)
    assert value is None or isinstance(value, bytes)
    return value


def set_of(item: Item, name: str) -> frozenset[str]:
    value = item.get(name, frozenset())
    assert isinstance(value, frozenset)
    return value
