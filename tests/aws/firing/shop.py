"""The app whose tasks the worker runs in these tests."""

from __future__ import annotations

import asyncio
import time

import rota

app = rota.App("shop")
done: list[object] = []


@app.task
def note(payload: object) -> str:
    done.append(payload)
    return rota.current_run().id


@app.task(timeout=0.5)
def slow() -> None:
    time.sleep(30)


@app.task(timeout=0.5)
async def slow_async() -> None:
    try:
        await asyncio.sleep(30)
    finally:
        done.append("cleaned up")


@app.task(retry=rota.Retry(attempts=2, initial=0.05, jitter="none"))
def flaky() -> str:
    if rota.current_run().attempt == 1:
        raise RuntimeError("not yet")
    return "at last"
