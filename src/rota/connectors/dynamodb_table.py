"""A DynamoDB table as sink: each result replaces the item with its key, 25 to a request.

Several runs may write to one table: that is what a key is for. What DynamoDB leaves unprocessed is sent again after a
growing pause, until the attempts are used up; then the chunk fails and is written again as a whole.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from rota.connectors.aws_clients import aws_client
from rota.connectors.aws_errors import code_of, store_error
from rota.connectors.jsonl import join_lines
from rota.connectors.options import DynamoTable
from rota.connectors.part_files import part_name
from rota.core.chunk import Chunk
from rota.core.errors import InvalidError, StoreError
from rota.core.receipt import Delivered, Part

ITEMS_A_REQUEST = 25
LARGEST_ITEM = 400 * 1024
_ATTEMPTS = 12
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0

_SCHEME = "dynamodb:"
_TYPES = {"S": "a text", "N": "a number", "B": "bytes"}

_serialize = TypeSerializer().serialize


class DynamoTableSink:
    """The `Sink` of `DynamoTable`. `sleep` waits the given seconds between attempts."""

    def __init__(self, options: DynamoTable, client: Any = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._table = options.table
        self._wanted = options.keys
        self._client: Any = client or aws_client("dynamodb", "sink", options.table)
        self._sleep = sleep
        self._keys: dict[str, str] = {}

    def check(self) -> None:
        self._key_types()

    def holder(self) -> str | None:
        return None

    def _key_types(self) -> dict[str, str]:
        """The attributes of the table's key, with DynamoDB's letters for their types."""
        if not self._keys:
            try:
                described = self._client.describe_table(TableName=self._table)["Table"]
            except ClientError as error:
                if code_of(error) == "ResourceNotFoundException":
                    raise InvalidError("sink", self._table, "the name of a DynamoDB table that exists is") from error
                raise self._failed(error) from error
            except BotoCoreError as error:
                raise self._failed(error) from error
            types = {it["AttributeName"]: it["AttributeType"] for it in described["AttributeDefinitions"]}
            keys = {it["AttributeName"]: types[it["AttributeName"]] for it in described["KeySchema"]}
            if self._wanted and tuple(keys) != self._wanted:
                allowed = f"the key of table {self._table!r} is {', '.join(keys)}"
                raise InvalidError("sink.key", ", ".join(self._wanted), allowed)
            self._keys = keys
        return self._keys

    def _failed(self, error: ClientError | BotoCoreError) -> StoreError:
        return store_error(f"DynamoDB table {self._table!r}", error, "dynamodb", sink=self._table)

    def prepare(self, run_id: str) -> None:
        self._key_types()

    def write(self, chunk: Chunk, results: Iterable[Sequence[object]], revision: int = 0) -> Part:
        digest = hashlib.sha256()
        items = size = 0
        waiting: dict[tuple[str, ...], dict[str, Any]] = {}
        for block in results:
            for result in block:
                problem = self.refusal(result)
                if problem:
                    raise InvalidError("result", result, problem)
                item = self._item(result)
                # A request may name a key once; of two results with one key the later counts, as if written in order.
                waiting[tuple(repr(item[name]) for name in self._keys)] = item
                if len(waiting) == ITEMS_A_REQUEST:
                    self._send(list(waiting.values()))
                    waiting.clear()
            items += len(block)
            data = join_lines(block)
            digest.update(data)
            size += len(data)
        if waiting:
            self._send(list(waiting.values()))
        return Part(part_name(chunk.number, revision, "rows"), items, size, digest.hexdigest())

    def _item(self, result: object) -> dict[str, Any]:
        fields = result if isinstance(result, Mapping) else msgspec.to_builtins(result)
        return {name: _serialize(_exact(value)) for name, value in fields.items()}

    def _send(self, items: list[dict[str, Any]]) -> None:
        requests: list[Any] = [{"PutRequest": {"Item": item}} for item in items]
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE))
            try:
                answer = self._client.batch_write_item(RequestItems={self._table: requests})
            except ClientError as error:
                if code_of(error) not in {
                    "ProvisionedThroughputExceededException",
                    "ThrottlingException",
                }:
                    raise self._failed(error) from error
                continue
            except BotoCoreError as error:
                raise self._failed(error) from error
            requests = answer.get("UnprocessedItems", {}).get(self._table, [])
            if not requests:
                return
        raise StoreError(
            f"DynamoDB table {self._table!r} left {len(requests)} items unprocessed after {_ATTEMPTS} attempts",
            sink=self._table,
        )

    def sync(self, parts: Iterable[Part]) -> None:
        """What DynamoDB has taken is durable."""

    def refusal(self, result: object) -> str | None:
        try:
            fields = result if isinstance(result, Mapping) else msgspec.to_builtins(result)
            if not isinstance(fields, Mapping):
                return "a result for a table must be an object with named fields"
            keys = self._key_types()
            missing = [name for name in keys if fields.get(name) in {None, ""}]
            if missing:
                return f"the result has no value for the key {missing[0]!r}"
            size = len(join_lines([fields]))
            item = self._item(fields)
            for name, kind in keys.items():
                if kind not in item[name]:
                    return f"the result's key {name!r} must be {_TYPES[kind]} for table {self._table!r}"
        except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
            return f"the result cannot be written to DynamoDB: {error}"
        return (
            None if size <= LARGEST_ITEM else f"the result has {size} bytes as JSON, and DynamoDB takes {LARGEST_ITEM}"
        )

    def finish(self, parts: Iterable[Part]) -> Delivered:
        for _ in parts:
            pass
        return self.left()

    def left(self) -> Delivered:
        return Delivered("table", f"{_SCHEME}{self._table}")

    def discard(self, run_id: str) -> None:
        """Leaves the items: by key, they may have been another run's before."""


def table_problem(location: str) -> str:
    """Why the table of a `Delivered.location` cannot be seen, or ""."""
    try:
        DynamoTableSink(DynamoTable(location.removeprefix(_SCHEME))).check()
    except (InvalidError, StoreError) as error:
        return f"the table of the results cannot be seen: {error}"
    return ""


def _exact(value: Any) -> Any:
    """DynamoDB's numbers are decimal; a float becomes the shortest decimal that stands for it."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {str(name): _exact(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_exact(inner) for inner in value]
    return value
