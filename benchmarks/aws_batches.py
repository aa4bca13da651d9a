"""Batches on AWS, counted on the emulator: what a million items use and cost in each topology, and beside them a row an
item, put, put again and deleted, with the table asked again and again whether it is empty.

    python -m benchmarks.aws_batches [--quick] [--json]

The requests of a batch are some that every batch has and so many for each chunk. Both are found by counting a small
batch and a larger one, with the same items and functions of the same memory, and reckoned up to a million items. What
AWS asks for by time is reckoned from the emulator's functions, which take as long as this machine lets them: so dollars
are also given without Lambda's time. Tracking is what the ledger, or the rows, take in DynamoDB.

Throughput stands beside a bare loop: the same ranges as messages of a queue, a function that reads its range, runs the
task and puts its results, and no account of anything. What the form of a pipeline takes, whoever fills it, is told by a
bare pipeline: the same in an Express workflow with two functions. It is taken between the first part and the last; what
beginning and end of a batch take beside that is told apart. Items wait for 2 ms, as for a service.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate, count, pairwise
from statistics import median
from typing import Any

import boto3
from benchmarks.aws_bare_pipeline import BarePipeline
from benchmarks.aws_batch_app import BUCKET, KEY, WAYS, app
from benchmarks.aws_rows import AT_ONCE, Bare, Rows, span
from benchmarks.report import in_turn, show, tell, versions

from rota.aws.bill import Usage
from rota.aws.deploy import deployer
from rota.aws.synth import synthesize
from rota.client import Client
from rota.testing.emulator import Emulator
from rota.wiring import connect

MILLION = 1_000_000
EACH = (1, 10, 100, 1000)
ITEMS = 60_000
CHUNKS = {1: (40, 240), 10: (20, 220), 100: (10, 110), 1000: (5, 55)}
MESSAGES = {1: (40, 240), 10: (10, 40), 100: (2, 6), 1000: (1, 2)}
"""How many, in the small and in the larger batch. Rows are counted on fewer, since each item takes three requests."""
SPEED = {100: 80, 500: 24}
WAIT = 2
"""Milliseconds."""
ROUNDS = 3
TIMELESS = ("gb_seconds", "express_gb_seconds")
PATIENCE = 120.0


class Stack:
    """rota's stack in the emulator."""

    def __init__(self, emulator: Emulator, client: Client) -> None:
        self._emulator = emulator
        self._client = client
        self._numbers = count()
        self._billed = Usage()
        self.begun: float = 0.0
        """Milliseconds from the start of the last batch to its first part."""
        self.noticed: float = 0.0
        """Likewise from its last part to its end, manifest and receipt included."""

    def run(self, way: str, items: int, each: int, wait: int = 0) -> float:
        """Do a batch over the first so many items; answers the seconds from the first part to the last. Nobody asks how
        it goes meanwhile, so no request but the batch's own is counted."""
        source = f"s3://{BUCKET}/{_first(items, wait)}"
        functions = self._ended()
        started = self._client.batches.start(way, source=source, chunk_items=each, sink=f"r{next(self._numbers)}/")
        until = time.monotonic() + PATIENCE
        while self._ended() == functions and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.2)
        self._billed = Usage(**self._emulator.billed())
        ended = self._client.batches.wait(started.id, PATIENCE)
        assert ended.state == "succeeded", ended.error
        assert ended.counts.items == items
        assert ended.finished is not None
        bucket, _, prefix = str(ended.spec.sink["path"]).replace("{run}", ended.id).removeprefix("s3://").partition("/")
        first, last = span(bucket, f"{prefix}part-")
        self.begun, self.noticed = first - ended.created, ended.finished - last
        return (last - first) / 1000

    def _ended(self) -> int:
        """How often something ended a batch run: a finalizer, or the function of a map that does its work."""
        return _executions(self._emulator, "-Finalizer-") + _executions(self._emulator, "-Mapper-") // 2

    def used(self, way: str, items: int, each: int) -> Usage:
        self._emulator.reset_counts()
        self.run(way, items, each)
        return self._billed


def _executions(emulator: Emulator, function: str) -> int:
    return sum(it.requests for name, it in emulator.counts().items() if function in name and "Execute:" in name)


_made: set[str] = set()


def _first(items: int, wait: int = 0) -> str:
    """The name of an object that holds the first so many items, each of which takes so many ms."""
    name = f"{items}.{wait}.jsonl"
    if name not in _made:
        rows = (b'{"id":%d,"value":%d,"wait":%d}\n' % (n, n * 7919 % 1000, wait) for n in range(items))
        boto3.client("s3").put_object(Bucket=BUCKET, Key=name, Body=b"".join(rows))
        _made.add(name)
    return name


def a_million(used: Callable[[int], Usage], sizes: tuple[int, int]) -> Usage:
    """What a million items use, from two batches of so many items."""
    small, large = used(sizes[0]), used(sizes[1])
    each = (large + small.times(-1)).times(1 / (sizes[1] - sizes[0]))
    found = small + each.times(MILLION - sizes[0])
    return Usage(**{name: max(0.0, getattr(found, name)) for name in found.__struct_fields__})


def timeless(usage: Usage) -> float:
    """Dollars without what is paid for by time, which is this machine's."""
    kept = [name for name in usage.__struct_fields__ if name not in TIMELESS]
    return _dollars(Usage(**{name: getattr(usage, name) for name in kept}))


def tracking(usage: Usage) -> float:
    """Dollars of what is stored and read to know what is done."""
    return _dollars(Usage(write_units=usage.write_units, read_units=usage.read_units))


def costs(emulator: Emulator, stack: Stack, rows: Rows) -> None:
    numbers = count()

    def theirs(items: int, each: int) -> Usage:
        emulator.reset_counts()
        rows.run(f"rows-{next(numbers)}", items, each, lambda: _executions(emulator, "rows-processor"))
        time.sleep(0.2)
        return Usage(**emulator.billed())

    for way in WAYS:
        stack.run(way, 4000, 100)  # a function's first execution is as slow as its imports
    theirs(40, 1)
    for each in EACH:
        found: dict[str, Usage] = {way: a_million(_using(stack, way, each), _times(CHUNKS[each], each)) for way in WAYS}
        found["rows"] = a_million(lambda items, each=each: theirs(items, each), _times(MESSAGES[each], each))  # type: ignore[misc]
        compare(each, found)


def _using(stack: Stack, way: str, each: int) -> Callable[[int], Usage]:
    return lambda items: stack.used(way, items, each)


def _times(batches: tuple[int, int], each: int) -> tuple[int, int]:
    return batches[0] * each, batches[1] * each


def compare(each: int, found: Mapping[str, Usage]) -> None:
    about = f"a million items, {each:,} a message"
    for way in WAYS:
        for what, of in (("tracking", tracking), ("without the functions' time", timeless), ("all", _dollars)):
            figures = {"rota": [of(found[way])], "a row an item": [of(found["rows"])]}
            show(f"{about}, {way}, {what}", "dollars", figures, more_is_better=False)
    for name, usage in found.items():
        used = {line.unit: line.used for line in usage.lines()}
        tell(f"{about}, {name}", "", used)


def _dollars(usage: Usage) -> float:
    return usage.dollars


def speed(stack: Stack, bare: Bare, piped: BarePipeline) -> None:
    numbers = count()
    for each, chunks in SPEED.items():
        items = chunks * each
        spans = _spans(items, each)
        apart: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        ways: dict[str, Callable[[], float]] = {"bare": _bare(bare, spans, each, numbers)}
        ways["bare pipeline"] = _bare(piped, spans, each, numbers)
        ways |= {way: _timed(stack, way, items, each, apart[way]) for way in WAYS}
        for turn in ways.values():
            turn()  # a function's first execution is as slow as its imports
        found = in_turn(ways, ROUNDS)
        for way in WAYS:
            about = f"{chunks} times {each:,} items that wait {WAIT} ms, {AT_ONCE} functions, {way}"
            beside = {"bare loop": found["bare"]}
            if way == "pipeline":
                beside["bare pipeline"] = found["bare pipeline"]
            show(about, "items a second", {"rota": found[way], **beside})
            begun, noticed = zip(*apart[way][1:], strict=True)
            tell(f"{way}: start to first part, last part to end", "ms", {"": median(begun), "and": median(noticed)})


def _bare(
    bare: Bare | BarePipeline, spans: list[tuple[int, int]], each: int, numbers: Iterator[int]
) -> Callable[[], float]:
    def turn() -> float:
        run = f"bare-{next(numbers)}"
        bare.run(run, spans)
        first, last = span(BUCKET, f"{run}/")
        return (len(spans) - 1) * each * 1000 / (last - first)

    return turn


def _timed(stack: Stack, way: str, items: int, each: int, apart: list[tuple[float, float]]) -> Callable[[], float]:
    def turn() -> float:
        seconds = stack.run(way, items, each, WAIT)
        apart.append((stack.begun, stack.noticed))
        return (items - each) / seconds

    return turn


def _spans(items: int, each: int) -> list[tuple[int, int]]:
    """Ranges of lines in the object that has `items` of them, which the bare loop reads."""
    body: bytes = boto3.client("s3").get_object(Bucket=BUCKET, Key=_first(items, WAIT))["Body"].read()
    boto3.client("s3").put_object(Bucket=BUCKET, Key=KEY, Body=body)
    ends = list(accumulate(map(len, body.splitlines(keepends=True)), initial=0))
    return list(pairwise(ends[::each]))


def main() -> None:
    versions("ministack")
    with Emulator() as emulator:
        os.environ.update(emulator.environment())
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        boto3.client("s3").put_object(Bucket=BUCKET, Key=KEY, Body=b'{"id":0,"value":0,"wait":0}\n')
        _first(ITEMS)
        it = deployer(None, told=_silent, noted=_silent, poll=0.01)
        it.execute(it.plan("bench", synthesize(app, "benchmarks/aws_batch_app.py", None), {}))
        with connect("aws://bench", app) as client:
            stack = Stack(emulator, client)
            costs(emulator, stack, Rows(BUCKET, _first(ITEMS)))
            speed(stack, Bare(BUCKET, KEY), BarePipeline(BUCKET, KEY))


def _silent(_: Any) -> None:
    """The deployment says nothing."""


if __name__ == "__main__":
    main()
