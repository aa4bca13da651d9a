"""What AWS would bill for a request: units by name, as `rota.aws.prices` names them.

DynamoDB bills by the size of items, which is reckoned here as its documentation says. Two sizes cannot be seen from
outside: that of an item which is updated without being answered, taken as 1 KB, and that of what a query reads and
filters out, which is left out. Polling by event source mappings is counted where the emulator does it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any

from rota.testing.emulator.actions import Asked

Units = dict[str, float]
_WRITE, _READ, _QUEUE, _EVENT = 1024, 4096, 65_536, 65_536
_S3_WRITES = (
    "PutObject",
    "UploadPart",
    "CompleteMultipartUpload",
    "CreateMultipartUpload",
    "ListObjects",
    "CopyObject",
)
_S3_READS = ("GetObject", "HeadObject", "HeadBucket")
_FREE = frozenset({"CreateTable", "DescribeTable", "DeleteTable", "UpdateTimeToLive", "UpdateContinuousBackups"})


def billed(what: Asked, given: Any, size: int, answer: Any) -> Units:
    """Units of a request that was carried out. given, answer: bodies as JSON, None where they are none. size: bytes of
    the request's body."""
    if what.service == "dynamodb" and isinstance(given, dict):
        return _dynamodb(what.action, given, answer if isinstance(answer, dict) else {})
    if what.service == "sqs":
        url = given.get("QueueUrl", "") if isinstance(given, dict) else ""
        return queue_requests(ceil(size / _QUEUE) or 1, fifo=str(url).endswith(".fifo"))
    if what.service == "s3":
        if what.action.startswith(_S3_WRITES):
            return {"object_writes": 1}
        return {"object_reads": 1} if what.action in _S3_READS else {}
    if what.service == "events" and what.action == "PutEvents":
        entries = given.get("Entries", ()) if isinstance(given, dict) else ()
        return {"events": sum(ceil(len(str(it.get("Detail", "")).encode()) / _EVENT) or 1 for it in entries)}
    return {}


def queue_requests(requests: int, *, fifo: bool) -> Units:
    """Units of requests to a queue."""
    return {"fifo_requests" if fifo else "queue_requests": requests}


def executed(milliseconds: int, memory: int) -> Units:
    """Units of an execution of a function. memory: MB."""
    return {"invocations": 1, "gb_seconds": milliseconds / 1000 * memory / 1024}


def _dynamodb(action: str, given: Mapping[str, Any], answer: Mapping[str, Any]) -> Units:
    match action:
        case "PutItem":
            return {"write_units": _writes(given.get("Item"))}
        case "UpdateItem" | "DeleteItem":
            return {"write_units": _writes(answer.get("Attributes"))}
        case "BatchWriteItem":
            requests = [it for some in given.get("RequestItems", {}).values() for it in some]
            left = sum(len(some) for some in answer.get("UnprocessedItems", {}).values())
            written = sum(_writes(it.get("PutRequest", {}).get("Item")) for it in requests)
            return {"write_units": written * (1 - left / len(requests)) if requests else 0}
        case "TransactWriteItems":
            return {"write_units": sum(2 * _writes(_put(it)) for it in given.get("TransactItems", ()))}
        case "GetItem":
            return {"read_units": _reads([answer.get("Item")], strong=bool(given.get("ConsistentRead")))}
        case "BatchGetItem":
            units = 0.0
            for table, asked in given.get("RequestItems", {}).items():
                found = answer.get("Responses", {}).get(table, [])
                missing = max(0, len(asked.get("Keys", ())) - len(found))
                units += sum(
                    _reads([it], strong=bool(asked.get("ConsistentRead"))) for it in [*found, *[None] * missing]
                )
            return {"read_units": units}
        case "TransactGetItems":
            return {"read_units": sum(2 * _reads([it.get("Item")], strong=True) for it in answer.get("Responses", ()))}
        case "Query" | "Scan":
            return {"read_units": _reads(answer.get("Items", ()), strong=bool(given.get("ConsistentRead")))}
        case _ if action in _FREE:
            return {}
    return {}


def _put(entry: Mapping[str, Any]) -> Any:
    return entry.get("Put", {}).get("Item")


def _writes(item: Any) -> int:
    return max(1, ceil(item_size(item) / _WRITE)) if isinstance(item, dict) else 1


def _reads(items: Iterable[Any], *, strong: bool) -> float:
    size = sum(item_size(it) for it in items if isinstance(it, dict))
    return max(1, ceil(size / _READ)) * (1.0 if strong else 0.5)


def item_size(item: Mapping[str, Any]) -> int:
    """Bytes of an item as DynamoDB reckons them."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    [(kind, it)] = value.items()
    match kind:
        case "S":
            return len(it.encode())
        case "N":
            return _number_size(it)
        case "B":
            return len(base64.b64decode(it))
        case "NS":
            return sum(map(_number_size, it))
        case "SS":
            return sum(len(one.encode()) for one in it)
        case "BS":
            return sum(len(base64.b64decode(one)) for one in it)
        case "L":
            return 3 + sum(1 + _value_size(one) for one in it)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(one) for name, one in it.items())
    return 1


def _number_size(text: str) -> int:
    digits = text.lstrip("-").replace(".", "").strip("0")
    return 1 + ceil(len(digits) / 2) + text.startswith("-")
