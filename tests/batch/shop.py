"""The app of the batch tests: worker processes import it, so its tasks stand at the top of a module."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import pydantic

from rota.app import App
from rota.core.batch import Skip
from rota.core.retry import Retry

app = App("shop")
KEPT: list[bytearray] = []
HERE = os.environ.get("ROTA_TEST_PLACE", "/nonexistent")


class Order(msgspec.Struct):
    id: int
    price: float = 0.0


@dataclass
class OrderData:
    id: int
    price: float


class OrderDict(TypedDict):
    id: int
    price: float


class OrderModel(pydantic.BaseModel):
    id: int
    price: float


@app.task
def echo(item: Any) -> Any:
    return item


@app.task
def double(item: dict[str, Any]) -> dict[str, Any]:
    return {"id": item["id"], "twice": item["id"] * 2}


@app.task
def picky(item: dict[str, Any]) -> dict[str, Any]:
    """Fails on every tenth, skips every tenth but one."""
    number = item["id"]
    if number % 10 == 0:
        raise ValueError(f"no tens: {number}")
    if number % 10 == 1:
        raise Skip
    return {"id": number}


@app.task
def fails_later(item: dict[str, Any]) -> int:
    """From number 500 on."""
    if item["id"] >= 500:
        raise ValueError("too late")
    return int(item["id"])


@app.task
def mendable(item: dict[str, Any]) -> dict[str, Any]:
    """Fails on sevens until the file `mended` is there, and on elevens for ever."""
    if item["id"] % 11 == 0:
        raise LookupError("eleven")
    if item["id"] % 7 == 0 and not (Path(item["place"]) / "mended").exists():
        raise ValueError("seven")
    return {"id": item["id"]}


@app.task(retry=Retry(attempts=4, initial=0.001, maximum=0.01))
def flaky(item: dict[str, Any]) -> int:
    """Works the third time it is called for an item; notes every call."""
    note = Path(item["place"]) / f"calls-{item['id']}"
    with note.open("a") as out:
        out.write("x")
    if item["id"] % 5 == 0 and len(note.read_text()) < 3:
        raise ConnectionError("try again")
    return int(item["id"])


@app.task
def deadly(item: dict[str, Any]) -> int:
    """Three ways to die."""
    match item.get("kill"):
        case "exit":
            os._exit(7)
        case "segfault":
            ctypes.string_at(0)
        case "stop":
            raise StopIteration
        case "system":
            raise SystemExit(3)
    return int(item["id"])


@app.task
def dies_once(item: dict[str, Any]) -> int:
    """Kills its worker the first time an item asks for it."""
    note = Path(item["place"]) / f"died-{item['id']}"
    if item.get("kill") and not note.exists():
        note.touch()
        os._exit(9)
    return int(item["id"])


@app.task(retry=Retry(attempts=2, initial=0.001))
def greedy(item: dict[str, Any]) -> int:
    """Holds as many MB as the item says, and what items say is `kept`, for ever."""
    wanted = bytearray(int(item.get("mb", 0)) << 20)
    KEPT.append(bytearray(int(item.get("kept", 0)) << 20))
    return len(wanted) >> 20


@app.task(batch=True)
def totals(items: list[dict[str, Any]]) -> list[Any]:
    """A whole chunk at once; 13 spoils every list that it is in, 14 fails alone."""
    if any(item["id"] == 13 for item in items):
        raise ValueError("thirteen")
    return [ValueError("fourteen") if item["id"] == 14 else item["id"] for item in items]


@app.task(batch=True, retry=Retry(attempts=2, initial=0.001))
def forgetful(items: list[dict[str, Any]]) -> Any:
    """Forgets 13."""
    return [item["id"] for item in items if item["id"] != 13]


@app.task(batch=True)
def silent(items: list[dict[str, Any]]) -> Any:
    """Returns nothing."""


@app.task(retry=Retry(attempts=2, initial=0.001))
async def fetch(item: dict[str, Any]) -> int:
    await asyncio.sleep(0.01)
    if item["id"] == 3:
        raise ConnectionError("three")
    return int(item["id"])


@app.task(schema=Order)
def priced(order: Order) -> float:
    return order.price * 2


@app.task(schema=OrderData)
def priced_dataclass(order: OrderData) -> float:
    return order.price * 2


@app.task(schema=OrderDict)
def priced_dict(order: OrderDict) -> float:
    return order["price"] * 2


@app.task(schema=OrderModel)
def priced_model(order: OrderModel) -> float:
    return order.price * 2


@app.task(timeout=0.5)
def slow(item: dict[str, Any]) -> int:
    if item["id"] == 2:
        time.sleep(30)
    return int(item["id"])


@app.task(timeout=0.3)
def deaf(item: dict[str, Any]) -> int:
    """Does not heed its timeout for item 2, as code in C may not."""
    if item["id"] == 2:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        time.sleep(300)
    return int(item["id"])


@app.task
def sleepy(item: dict[str, Any]) -> int:
    time.sleep(0.01)
    return int(item["id"])


def numbers(payload: object = None, start: int = 0) -> Iterator[dict[str, int]]:
    """As many as the payload says."""
    for number in range(start, int(str(payload or 100))):
        yield {"id": number}


def endless() -> Iterator[dict[str, int]]:
    number = 0
    while True:
        yield {"id": number}
        number += 1


def breaks() -> Iterator[dict[str, int]]:
    yield {"id": 1}
    raise OSError("the well is dry")
