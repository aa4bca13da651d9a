"""How late one-offs arrive on the AWS engine: 1,000 over a minute, and 1,000 in the same second.

    python -m benchmarks.aws_lateness [--quick] [--json] [--same-second]

The stack is deployed in the emulator and its functions really run. Beside each measurement stands a bare consumer of
SQS, at the same times in the same run, whose messages were sent with `DelaySeconds`. That has whole seconds, which are
rounded up so that nothing comes early; how late such a message is after its own due time is `bare`, and after SQS's
seconds are over is `SQS`, which is what no consumer of SQS can do without. rota's own lateness is what is beyond that.

A direct one-off goes from SQS to the queue's consumer. A dispatched one is claimed, calls an HTTP endpoint, and is
settled. A precise one is always dispatched. Beside dispatched ones in the same second stands a bare function, which
makes the same calls and no others: what it takes, the emulator takes. --same-second: that part alone.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import boto3
from benchmarks.aws_bare_function import BareFunction, bare_function
from benchmarks.aws_ground import Consumer, Endpoint, Stack, deployed, ground, load, until
from benchmarks.report import AS_JSON, QUICK, tell, versions

COUNT, SPREAD = (100, 5.0) if QUICK else (1_000, 60.0)
AHEAD = 8.0 if QUICK else 12.0
"""Seconds for storing them, and handing them over."""
DISPATCHERS = 4
"""At once: on two cores more would only wait for each other."""


class Way(NamedTuple):
    name: str
    target: object
    precise: bool
    queue: bool


def send(url: str, times: list[float], body: Callable[[int], str]) -> dict[str, tuple[float, float]]:
    """Send a message for each time; answers by number when it is due, and when SQS's whole seconds are over."""
    sqs, found = boto3.client("sqs"), dict[str, tuple[float, float]]()

    def batch(start: int) -> None:
        now = time.time()
        entries = []
        for n in range(start, min(start + 10, len(times))):
            delay = max(0, math.ceil(times[n] - now))
            entries.append({"Id": str(n), "MessageBody": body(n), "DelaySeconds": delay})
            found[str(n)] = times[n], now + delay
        sqs.send_message_batch(QueueUrl=url, Entries=entries)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(batch, range(0, len(times), 10)))
    return found


class Bare:
    """A queue of its own: messages with a delay, and who reads them."""

    def __init__(self) -> None:
        self._sqs = boto3.client("sqs")
        self._url = self._sqs.create_queue(QueueName="bare")["QueueUrl"]
        self._due: dict[str, tuple[float, float]] = {}
        self._consumer = Consumer(self._url, lambda it: it["Body"])

    def send(self, times: list[float]) -> None:
        self._due = send(self._url, times, str)

    def late(self) -> tuple[list[float], list[float]]:
        """Of each message, after its due time, and after what SQS promised, in ms."""
        until(lambda: len(self._consumer.came) >= len(self._due), "the bare messages")
        return lateness(self._consumer.came, self._due)

    def stop(self) -> None:
        self._consumer.stop()
        self._sqs.delete_queue(QueueUrl=self._url)


def lateness(came: dict[str, float], due: dict[str, tuple[float, float]]) -> tuple[list[float], list[float]]:
    found = [1000 * (came[one] - at) for one, (at, _) in due.items()]
    return found, [1000 * (came[one] - promised) for one, (_, promised) in due.items()]


def of_rota(stack: Stack, way: Way, endpoint: Endpoint, times: list[float]) -> Callable[[], list[float]]:
    """Store one-offs for these times; answers what says how late they were."""
    endpoint.came.clear()
    ids = stack.client.at_many([(at, None) for at in times], way.target, precise=way.precise)
    due = dict(zip(ids, times, strict=True))
    url = stack.outputs["QueuePrefix"] + "bench"
    consumer = Consumer(url, lambda it: it["MessageAttributes"]["rota-run-id"]["StringValue"]) if way.queue else None
    came = consumer.came if consumer else endpoint.came

    def late() -> list[float]:
        until(lambda: len(came) >= len(due), f"{way.name}: all runs")
        if consumer:
            consumer.stop()
        return [1000 * (came[one] - at) for one, at in due.items()]

    return late


def percentiles(found: list[float]) -> dict[str, float]:
    ordered = sorted(found)
    return {"p50": ordered[len(ordered) // 2], "p99": ordered[int(len(ordered) * 0.99)], "latest": ordered[-1]}


def show(what: str, rota: list[float], bare: list[float], sqs: list[float]) -> None:
    ours, theirs, least = percentiles(rota), percentiles(bare), percentiles(sqs)
    tell(what, "ms", ours)
    tell("  a bare consumer of SQS, after the due time", "ms", theirs)
    tell("  a bare consumer of SQS, after whole seconds", "ms", least)
    tell("  rota less the first of these", "ms", {key: ours[key] - theirs[key] for key in ("p50", "p99")})
    tell("  rota less the second", "ms", {key: ours[key] - least[key] for key in ("p50", "p99")})
    if (early := sum(it < 0 for it in rota)) > 0:
        tell("  came early", "runs", {"rota": early})


def spread(stack: Stack, way: Way, endpoint: Endpoint) -> None:
    begin = time.time() + AHEAD
    times = [round(begin + SPREAD * n / COUNT, 3) for n in range(COUNT)]
    bare = Bare()
    late = of_rota(stack, way, endpoint, times)
    bare.send(times)
    show(f"{way.name}, {COUNT:,} over {SPREAD:g} s", late(), *bare.late())
    bare.stop()


def same_second(stack: Stack, way: Way, endpoint: Endpoint, function: BareFunction) -> None:
    """One after the other: at once they would stand in each other's way."""
    at = round(time.time() + AHEAD) + 0.5
    found = of_rota(stack, way, endpoint, [at] * COUNT)()
    bare = Bare()
    bare.send([round(time.time() + AHEAD / 2) + 0.5] * COUNT)
    show(f"{way.name}, {COUNT:,} in the same second", found, *bare.late())
    bare.stop()
    if not way.queue:
        _beside(function, endpoint, found)


def _beside(function: BareFunction, endpoint: Endpoint, rota: list[float]) -> None:
    """The bare function, with as many messages of which none is early."""
    ids = [str(n) for n in range(COUNT)]
    endpoint.came.clear()
    function.prepare(ids)
    url = str(endpoint.target)
    due = send(function.queue, [time.time() + AHEAD / 2] * COUNT, lambda n: json.dumps({"id": str(n), "url": url}))
    until(lambda: len(endpoint.came) >= COUNT, "the calls of the bare function")
    theirs = percentiles(lateness(endpoint.came, due)[1])
    ours = percentiles(rota)
    tell("  a bare function that makes the same calls", "ms", theirs)
    tell("  rota as a share of that", "", {key: ours[key] / theirs[key] for key in ours})


def warm(stack: Stack, endpoint: Endpoint) -> None:
    """Functions that run already, as they do in a stack that is used."""
    stack.feed()
    now = time.time()
    stack.client.at_many([(now + n / 20, None) for n in range(40)], endpoint.target)
    until(lambda: len(endpoint.came) >= 40, "the first runs")


def main() -> None:
    versions("ministack", "boto3")
    with ground() as emulator, deployed(emulator, DispatcherConcurrency=str(DISPATCHERS)) as stack:
        endpoint = Endpoint()
        warm(stack, endpoint)
        if not AS_JSON:
            print(f"  {load()}", flush=True)
        ways = (
            Way("direct", "queue:bench", precise=False, queue=True),
            Way("dispatched", endpoint.target, precise=False, queue=False),
            Way("precise, to a queue", "queue:bench", precise=True, queue=True),
            Way("precise, dispatched", endpoint.target, precise=True, queue=False),
        )
        for way in () if "--same-second" in sys.argv else ways:
            stack.feed()
            spread(stack, way, endpoint)
        with bare_function(DISPATCHERS) as function:
            for way in ways:
                stack.feed()
                same_second(stack, way, endpoint, function)
        endpoint.stop()


if __name__ == "__main__":
    main()
