"""Requests to the table: each of the few kinds rota makes, tried again where DynamoDB asks for that, in as many
threads as help.

botocore tries throttled requests again a few times. What is left to do here is what it knows nothing of: items that a
batch left out, transactions that met another one, and saying in the end that the table takes no more.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, NamedTuple, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from rota.aws.dynamo.items import (
    Delete,
    Item,
    Put,
    Update,
    Value,
    Write,
    decode_item,
    encode_item,
    encode_key,
    key_of,
    names_and_values,
    write_arguments,
)
from rota.aws.dynamo.keys import Key
from rota.aws.sessions import translated
from rota.connectors.aws_errors import code_of, message_of
from rota.core.errors import NotFoundError, RotaError, StoreBusyError, StoreError, StoreFullError

BATCH_WRITE = 25
BATCH_GET = 100
TRANSACTION = 100
TRANSACTION_BYTES = 3_500_000
"""Somewhat below the 4 MB that one may have, since sizes are estimates."""
WORKERS = 16
_TRIES = 12
"""How often what DynamoDB put off is asked for again."""
_DEAR = 3
"""As so many of those counts an error that botocore had tried to get past by itself."""
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 2.0
_ITEM_TOO_LARGE = "Item size"
_CONFLICT = {"TransactionConflict", "TransactionConflictException", "TransactionInProgressException"}
_BUSY = _CONFLICT | {
    "InternalServerError",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingError",
    "ThrottlingException",
}

A = TypeVar("A")
B = TypeVar("B")


class Answer(NamedTuple):
    """done: whether the condition held. item: what lay there before if it did not, else what the request asked to be
    told."""

    done: bool
    item: Item | None


class RefusedError(Exception):
    """A transaction whose conditions do not hold; nothing of it was written. failed: the number of each write whose
    condition failed, with what lay there."""

    def __init__(self, failed: Mapping[int, Item | None]) -> None:
        super().__init__(f"conditions {sorted(failed)} do not hold")
        self.failed: Mapping[int, Item | None] = failed


class Page(NamedTuple):
    """items: those of one request. after: the sort key to go on behind, None at the end."""

    items: list[Item]
    after: str | None


class Table:
    """One DynamoDB table. client: boto3's, from `rota.aws.sessions`. sleep: waits the given seconds between tries."""

    def __init__(self, client: Any, name: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.name: str = name
        self._client = client
        self._sleep = sleep
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._inside = threading.local()

    def get(self, keys: Iterable[Key], *, consistent: bool = True) -> dict[Key, Item]:
        """Those items that are there."""
        wanted = list(dict.fromkeys(keys))
        pages = [wanted[start : start + BATCH_GET] for start in range(0, len(wanted), BATCH_GET)]
        found: dict[Key, Item] = {}
        for page in self.map(lambda page: self._get_page(page, consistent=consistent), pages):
            found |= page
        return found

    def _get_page(self, keys: Sequence[Key], *, consistent: bool) -> dict[Key, Item]:
        if len(keys) == 1:
            answer = self._call("get_item", Key=encode_key(keys[0]), ConsistentRead=consistent)
            return {keys[0]: decode_item(answer["Item"])} if "Item" in answer else {}
        found: dict[Key, Item] = {}
        left: list[Any] = [encode_key(key) for key in keys]
        patience = _Patience(self._sleep)
        while patience.left("BatchGetItem", self.name):
            asked = {self.name: {"Keys": left, "ConsistentRead": consistent}}
            answer = self._tried(patience, "batch_get_item", RequestItems=asked)
            if answer is not None:
                for raw in answer.get("Responses", {}).get(self.name, []):
                    item = decode_item(raw)
                    found[key_of(item)] = item
                before, left = left, answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
                patience.renew(len(before) - len(left))
            if not left:
                break
        return found

    def write(self, write: Put | Update | Delete, returns: str = "NONE") -> Answer:
        """One write. returns: what DynamoDB calls ReturnValues."""
        method = {Put: "put_item", Update: "update_item", Delete: "delete_item"}[type(write)]
        try:
            answer = self._call(method, **write_arguments(write), ReturnValues=returns)
        except _ConditionFailedError as failed:
            return Answer(done=False, item=failed.item)
        attributes = answer.get("Attributes")
        return Answer(done=True, item=decode_item(attributes) if attributes else None)

    def transact(self, writes: Sequence[Write]) -> None:
        """All of it or nothing; RefusedError if a condition does not hold. A single write costs half of what it would
        cost in a transaction, so it is made without one."""
        if len(writes) == 1 and isinstance(writes[0], Put | Update | Delete):
            answer = self.write(writes[0])
            if not answer.done:
                raise RefusedError({0: answer.item})
            return
        kinds = {Put: "Put", Update: "Update", Delete: "Delete"}
        items = [
            {kinds.get(type(one), "ConditionCheck"): {"TableName": self.name, **write_arguments(one)}} for one in writes
        ]
        # One token for all tries, so that one whose answer was lost is not taken for a refusal.
        self._call("transact_write_items", table=False, TransactItems=items, ClientRequestToken=secrets.token_hex(16))

    def put_all(self, items: Iterable[Item]) -> None:
        """Store items whatever lies there, 25 to a request."""
        self._write_all([{"PutRequest": {"Item": encode_item(item)}} for item in items])

    def delete_all(self, keys: Iterable[Key]) -> None:
        self._write_all([{"DeleteRequest": {"Key": encode_key(key)}} for key in dict.fromkeys(keys)])

    def _write_all(self, requests: Sequence[Any]) -> None:
        pages = [requests[start : start + BATCH_WRITE] for start in range(0, len(requests), BATCH_WRITE)]
        self.map(self._write_page, pages)

    def _write_page(self, requests: Sequence[Any]) -> None:
        left: Sequence[Any] = requests
        patience = _Patience(self._sleep)
        while patience.left("BatchWriteItem", self.name):
            answer = self._tried(patience, "batch_write_item", RequestItems={self.name: left})
            if answer is not None:
                before, left = left, answer.get("UnprocessedItems", {}).get(self.name, [])
                patience.renew(len(before) - len(left))
            if not left:
                return

    def page(
        self,
        partition: str,
        low: str,
        high: str,
        *,
        limit: int,
        after: str | None = None,
        descending: bool = False,
        consistent: bool = True,
        where: str = "",
        values: Mapping[str, Value] | None = None,
    ) -> Page:
        """Items with low <= sort key <= high, from one request, which reads up to `limit` of them and answers those
        that fit `where`. after: a sort key, to go on behind it."""
        if low > high:
            return Page([], None)
        asked: dict[str, Value] = {**(values or {}), "partition": partition, "low": low, "high": high}
        condition = "#pk = :partition AND #sk BETWEEN :low AND :high"
        arguments: dict[str, Any] = {"FilterExpression": where} if where else {}
        if after is not None:
            arguments["ExclusiveStartKey"] = encode_key(Key(partition, after))
        answer = self._call(
            "query",
            KeyConditionExpression=condition,
            ConsistentRead=consistent,
            ScanIndexForward=not descending,
            Limit=limit,
            **arguments,
            **names_and_values(condition, where, values=asked),
        )
        last = answer.get("LastEvaluatedKey")
        return Page([decode_item(item) for item in answer["Items"]], last["sk"]["S"] if last else None)

    def query(
        self,
        partition: str,
        low: str = " ",
        high: str = "~",
        *,
        limit: int = 1000,
        descending: bool = False,
        consistent: bool = True,
        where: str = "",
        values: Mapping[str, Value] | None = None,
    ) -> Iterator[Item]:
        """All of them, a page at a time. limit: how many one request reads."""
        after: str | None = None
        while True:
            page = self.page(
                partition,
                low,
                high,
                limit=limit,
                after=after,
                descending=descending,
                consistent=consistent,
                where=where,
                values=values,
            )
            yield from page.items
            after = page.after
            if after is None:
                return

    def map(self, work: Callable[[A], B], things: Sequence[A]) -> list[B]:
        """`work` on each, some at a time. Work that calls this again does its part alone, or threads would wait for
        each other."""
        if len(things) < 2 or getattr(self._inside, "pool", False):
            return [work(thing) for thing in things]
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(WORKERS, "rota-dynamo", self._enter)
        begun = [self._pool.submit(work, thing) for thing in things]
        wait(begun, return_when=FIRST_EXCEPTION)
        # Whoever hears of a failure may undo what was done, so nothing of it may still be under way then.
        for one in begun:
            one.cancel()
        wait(begun)
        for one in begun:
            if not one.cancelled():
                one.result()
        return [one.result() for one in begun]

    def _enter(self) -> None:
        self._inside.pool = True

    def _call(self, method: str, *, table: bool = True, **arguments: Any) -> Any:
        patience = _Patience(self._sleep)
        while patience.left(_action(method), self.name):
            answer = self._tried(patience, method, **({"TableName": self.name} if table else {}), **arguments)
            if answer is not None:
                return answer
        return None

    def _tried(self, patience: _Patience, method: str, **arguments: Any) -> Any:
        """The answer, or None if it is to be tried again."""
        try:
            return getattr(self._client, method)(**arguments)
        except ClientError as error:
            code = code_of(error)
            if code == "ConditionalCheckFailedException":
                lay = error.response.get("Item")
                raise _ConditionFailedError(decode_item(lay) if lay else None) from None
            if code == "TransactionCanceledException":
                reasons = error.response.get("CancellationReasons", [])
                self._cancelled(error, reasons)
                return None
            if code in _BUSY:
                patience.spend(1 if code in _CONFLICT else _DEAR)
                return None
            raise self._error(error) from error
        except BotoCoreError as error:
            raise self._error(error) from error

    def _cancelled(self, error: ClientError, reasons: Sequence[Any]) -> None:
        """Raise what a cancelled transaction means, unless it is to be tried again."""
        failed = {
            number: decode_item(reason["Item"]) if reason.get("Item") else None
            for number, reason in enumerate(reasons)
            if reason.get("Code") == "ConditionalCheckFailed"
        }
        if failed:
            raise RefusedError(failed) from None
        if not any(reason.get("Code") in _BUSY for reason in reasons):
            raise self._error(error) from error

    def _error(self, error: ClientError | BotoCoreError) -> RotaError:
        if isinstance(error, ClientError):
            code = code_of(error)
            message = message_of(error)
            if code == "ResourceNotFoundException":
                region = self._client.meta.region_name
                return NotFoundError("table", self.name, f"is the stack deployed, and in region {region}?")
            if code == "ValidationException" and _ITEM_TOO_LARGE in message:
                return StoreFullError(f"DynamoDB takes items of 400 KB at most: {message}", table=self.name)
        meant = translated(error, "dynamodb", table=self.name)
        return StoreError(f"table {self.name!r}: {meant}", table=self.name)


def _action(method: str) -> str:
    """put_item is PutItem to AWS."""
    return "".join(part.capitalize() for part in method.split("_"))


class _Patience:
    """How long one request is made again. sleep: waits the given seconds."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep
        self._tries = 0
        self._spent = 0

    def left(self, action: str, table: str) -> bool:
        """Wait, unless it is the first time; StoreBusyError when it has been made often enough."""
        if self._spent >= _TRIES:
            message = f"table {table!r} takes no more at the moment: {action} was put off {self._tries} times"
            raise StoreBusyError(message, table=table)
        if self._tries:
            longest = min(_FIRST_PAUSE * 2 ** (self._tries - 1), _LONGEST_PAUSE)
            self._sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - so that those who collided part
        self._tries += 1
        self._spent += 1
        return True

    def renew(self, done: int) -> None:
        """So many more are done: what comes on, if slowly, is not given up."""
        if done:
            self._spent = 0

    def spend(self, more: int) -> None:
        """That try counts for so many."""
        self._spent += more - 1


class _ConditionFailedError(Exception):
    def __init__(self, item: Item | None) -> None:
        super().__init__("the condition does not hold")
        self.item = item
