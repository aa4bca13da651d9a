"""A million small JSON Lines items, a trivial task, results kept, each chunk marked in a synced ledger.

    python -m benchmarks.batch [--quick] [--full] [--huge] [--json]

rota's time is from before the processes that make workers are started until the outcome is stored: parts and marks
synced, manifest and receipt written; "already serving" leaves out starting those processes. Beside
it, each in a process of its own with the same JSON library and task:

- `Pool.imap_unordered(chunksize=1000)` over the lines of the file, a process a core; items are decoded and results
  encoded in its workers, and the results go to one file. Nothing is synced, and a crash loses everything.
- huey, which is durable: see `benchmarks.batch_huey`.
- a bare loop in one process, item by item; and one that decodes item by item and encodes a thousand results at once,
  as rota does. rota's rate is divided by the cores here, so the loop is also run once a core, all at the same time:
  virtual cores that share a real one are each slower when both are busy.
- rota's own planner and workers with the ledger off: parts are written and synced, nothing is marked or proven. Beside
  the time that passes stands the processor time of all processes, which does not depend on who else uses the machine.

Memory is the resident memory of the whole process tree, summed, so that a page that processes share is counted once
for each; its highest value, looked at a hundred times a second. --full adds ten million items, --huge a hundred
million, once, for which 7 GB have to be free.

Nothing is removed before the end: a file was seen to cost thirty times as much where many had just been removed. What
the one before has left to be written is written before the next begins, or those that sync would wait for the others'.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
from benchmarks.batch_app import app, double
from benchmarks.place import directory
from benchmarks.report import QUICK, in_turn, show, versions

ITEMS = 100_000 if QUICK else 1_000_000
GROWTH = [10_000, 100_000, *([] if QUICK else [1_000_000]), *([10_000_000] if "--full" in sys.argv else [])]
HUGE = [100_000_000] if "--huge" in sys.argv else []
CHUNKS = (1_000, 10_000)
CORES = os.cpu_count() or 1
SYNCED = 200
"""Parts that are made durable together where there is no ledger to ask for it."""
MB = 1 << 20
Measured = dict[str, float]
_decode = msgspec.json.Decoder().decode
_encoder = msgspec.json.Encoder()


def write_items(path: Path, count: int) -> None:
    with path.open("w") as out:
        for begin in range(0, count, 10_000):
            out.writelines(f'{{"id":{n},"value":{n * 7919 % 1000}}}\n' for n in range(begin, begin + 10_000))


# each in a process of its own


class Noted:
    """A batch store that notes when the last mark, the decision and the outcome were stored."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.marked = self.decided = self.finished = 0.0
        self.ended = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def record(self, key: Any, planned: Any, marks: Any, *rest: Any) -> Any:
        run = self._store.record(key, planned, marks, *rest)
        if marks:
            self.marked = perf_counter()
        return run

    def decide(self, *given: Any) -> Any:
        found = self._store.decide(*given)
        self.decided = perf_counter()
        return found

    def finish(self, *given: Any) -> Any:
        found = self._store.finish(*given)
        self.finished = perf_counter()
        self.ended.set()
        return found


def with_rota(folder: Path, source: Path, chunk: int, serving: float = 0.0) -> Measured:
    from rota.embedded.batch.host import BatchHost
    from rota.wiring import clock, connect, database

    url = f"sqlite:///{folder}/rota.db"
    file = database(url)
    store = Noted(file.batches)
    with connect(url, app) as client:
        begin = perf_counter()
        host = BatchHost(store, clock(), app, file.database.version)  # type: ignore[arg-type]
        host.start()
        if serving:
            time.sleep(serving)
            begin = perf_counter()
        started = client.batches.start("double", source=str(source), sink=f"{folder}/results/", chunk_items=chunk)
        host.wake()
        store.ended.wait()
        run = client.batches.get(started.id)
        host.stop(1.0)
    file.close()
    assert run.state == "succeeded", run.error
    return {
        "items": run.results,
        "seconds": store.finished - begin,
        "marked": store.marked - begin,
        "noticed": 1000 * (store.decided - store.marked),
        "receipt": 1000 * (store.finished - store.marked),
    }


def without_ledger(folder: Path, source: Path, chunk: int) -> Measured:
    from rota.connectors.stored import open_stored_sink, open_stored_source
    from rota.embedded.batch.conductor import AHEAD
    from rota.embedded.batch.forge import Forge
    from rota.embedded.batch.jobs import Jobs
    from rota.embedded.batch.opening import setup_of
    from rota.embedded.batch.places import Places
    from rota.embedded.batch.planner import Planner
    from rota.embedded.batch.workers import Lifeline, Workers
    from rota.wiring import connect

    with connect(f"sqlite:///{folder}/rota.db", app) as client:
        begin = perf_counter()
        forge = Forge()
        forge.start()
        run = client.batches.prepare("double", source=str(source), sink=f"{folder}/results/", chunk_items=chunk)
    places = Places(run.place)
    places.make()
    sink = open_stored_sink(run.spec.sink)
    sink.prepare(run.id)
    lifeline = Lifeline()
    workers = Workers(setup_of(run, app.tasks), run.spec.concurrency, forge, lifeline)
    planner = Planner(open_stored_source(run.spec.source, places.spool).plan(run.spec.size), AHEAD, workers.ring)
    jobs = Jobs(run.spec, 0, ())
    items, parts = 0, []
    syncing = ThreadPoolExecutor(1)
    while not planner.is_over or workers.busy or jobs.waiting:
        jobs.add(planner.take(max(0, workers.most * 4 - jobs.waiting)))
        while workers.room() > 0 and (job := jobs.next(workers.most, 0, sealed=planner.is_over)):
            workers.give(job)
        for done, report in workers.poll(0.25)[0]:
            jobs.reported(done, report, 0)
            items += report.counts.succeeded
            parts.append(report.part)
            if len(parts) == SYNCED:
                syncing.submit(sink.sync, parts)
                parts = []
    syncing.submit(sink.sync, parts)
    syncing.shutdown()
    took = perf_counter() - begin
    planner.stop()
    workers.close()
    lifeline.close()
    forge.close()
    return {"items": items, "seconds": took}


def _line(line: bytes) -> bytes:
    return _encoder.encode(double.function(_decode(line))) + b"\n"


def with_pool(folder: Path, source: Path, _chunk: int) -> Measured:
    items = 0
    begin = perf_counter()
    with (
        source.open("rb") as lines,
        (folder / "results").open("wb") as out,
        multiprocessing.get_context("fork").Pool(CORES) as pool,
    ):
        for result in pool.imap_unordered(_line, lines, chunksize=1000):
            out.write(result)
            items += 1
    return {"items": items, "seconds": perf_counter() - begin}


def bare_loop(folder: Path, source: Path, _chunk: int) -> Measured:
    items, encode, call = 0, _encoder.encode, double.function
    begin = perf_counter()
    with source.open("rb") as lines, (folder / "results").open("wb") as out:
        for line in lines:
            out.write(encode(call(_decode(line))))
            out.write(b"\n")
            items += 1
    return {"items": items, "seconds": perf_counter() - begin}


def bare_blocks(folder: Path, source: Path, _chunk: int) -> Measured:
    items = 0
    begin = perf_counter()
    with source.open("rb") as lines, (folder / "results").open("wb") as out:
        while block := list(map(double.function, map(_decode, islice(lines, 1000)))):
            out.write(_encoder.encode_lines(block))
            items += len(block)
    return {"items": items, "seconds": perf_counter() - begin}


def bare_loops(folder: Path, source: Path, _chunk: int) -> Measured:
    """A loop on each core, all over the same items; the time of a loop, in the mean."""
    with multiprocessing.get_context("fork").Pool(CORES) as pool:
        places = [folder / str(number) for number in range(CORES)]
        for place in places:
            place.mkdir()
        loops = pool.starmap(bare_loop, [(place, source, 0) for place in places], chunksize=1)
    return {"items": loops[0]["items"], "seconds": sum(loop["seconds"] for loop in loops) / CORES}


def in_huey(folder: Path, source: Path, chunk: int) -> Measured:
    # Here, so that nobody else's memory has it.
    from benchmarks.batch_huey import with_huey

    return with_huey(folder, source, chunk)


WAYS: dict[str, Callable[[Path, Path, int], Measured]] = {
    "rota": with_rota,
    "served": lambda folder, source, chunk: with_rota(folder, source, chunk, serving=0.5),
    "off": without_ledger,
    "pool": with_pool,
    "huey": in_huey,
    "loop": bare_loop,
    "loops": bare_loops,
    "blocks": bare_blocks,
}


# measured from outside


def _tree(root: int) -> list[int]:
    """The process and all below it."""
    found = [root]
    for pid in found:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found


def _resident(root: int) -> int:
    """Bytes of the whole tree."""
    pages = 0
    for pid in _tree(root):
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def apart(way: str, source: Path, count: int, chunk: int = 0) -> Measured:
    """One way in a process of its own, and the memory and the processor time that it and its processes took."""
    folder = tempfile.mkdtemp(prefix=way, dir=source.parent)
    command = [sys.executable, "-m", "benchmarks.batch", "--way", way, str(source), str(chunk), folder]
    os.sync()
    most, before = 0, resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while process.poll() is None:
            most = max(most, _resident(process.pid))
            time.sleep(0.01)
        assert process.stdout is not None
        said = process.stdout.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    measured: Measured = json.loads(said) | {"cpu": cpu}
    assert measured["items"] == count, f"{way}: {measured['items']} of {count}"
    return measured | {"rate": count / measured["seconds"], "memory": most / MB}


def main() -> None:
    if "--way" in sys.argv:
        way, source, chunk, folder = sys.argv[sys.argv.index("--way") + 1 :][:4]
        print(json.dumps(WAYS[way](Path(folder), Path(source), int(chunk))), flush=True)
        return
    versions("msgspec", "huey")
    with directory() as folder:
        source = folder / "items.jsonl"
        write_items(source, ITEMS)
        ways = {f"{way} {chunk}": (way, chunk) for chunk in CHUNKS for way in ("rota", "served", "off")}
        ways |= {way: (way, 0) for way in ("pool", "huey", "loop", "loops", "blocks")}
        turns = {
            name: lambda way=way, chunk=chunk: apart(way, source, ITEMS, chunk) for name, (way, chunk) in ways.items()
        }
        found: dict[str, list[Any]] = in_turn(turns, 5)
        for chunk in CHUNKS:
            compare(found, chunk)
        for count in GROWTH + HUGE:
            source = folder / f"items-{count}.jsonl"
            write_items(source, count)
            grown = [apart("rota", source, count, CHUNKS[0]) for _ in range(1 if QUICK or count in HUGE else 3)]
            show(f"growth, {count:,} items", "items a second", {"rota": [it["rate"] for it in grown]})
            show(f"growth, {count:,} items, whole tree", "MB resident", {"rota": [it["memory"] for it in grown]})
        large = CHUNKS[-1]
        turns = {way: lambda way=way: apart(way, source, GROWTH[-1], large) for way in ("rota", "off")}
        both: dict[str, list[Any]] = in_turn(turns, 5)
        for what, unit in (("seconds", "% longer than off"), ("cpu", "% more processor time than off")):
            cost = [100 * (on[what] / off[what] - 1) for on, off in zip(both["rota"], both["off"], strict=True)]
            show(f"{GROWTH[-1]:,} items in chunks of {large:,}, ledger on", unit, {"rota": cost})


def compare(found: dict[str, list[Measured]], chunk: int) -> None:
    def of(way: str, what: str = "rate") -> list[float]:
        return [it[what] for it in found[way]]

    rota, off = f"rota {chunk}", f"off {chunk}"
    about = f"{ITEMS:,} items in chunks of {chunk:,}"
    peers = {"rota, ledger off": of(off), "multiprocessing.Pool, not durable": of("pool")}
    peers["huey, chunks of 1,000"] = of("huey")
    show(about, "items a second", {"rota": of(rota), **peers})
    served = {"rota": of(f"served {chunk}"), "multiprocessing.Pool, not durable": of("pool")}
    show(f"{about}, engine already serving", "items a second", served)
    loops = {"bare loop on every core": of("loops"), "bare loop": of("loop"), "bare loop, blocks": of("blocks")}
    for name, way in ((f"a core of {CORES}", rota), (f"engine already serving, a core of {CORES}", f"served {chunk}")):
        show(f"{about}, {name}", "items a second", {"rota": [rate / CORES for rate in of(way)], **loops})
    memory = {"rota": of(rota, "memory"), "multiprocessing.Pool": of("pool", "memory"), "huey": of("huey", "memory")}
    show(f"{about}, whole tree", "MB resident", memory, more_is_better=False)
    pairs = list(zip(of(rota, "marked"), of(rota, "seconds"), of(off, "seconds"), strict=True))
    until = {"rota": [100 * (marked / bare - 1) for marked, _, bare in pairs]}
    show(f"{about}, ledger on until the last mark", "% longer than off", until)
    whole = {"rota": [100 * (ended / bare - 1) for _, ended, bare in pairs]}
    show(f"{about}, ledger on until the receipt is stored", "% longer than off", whole)
    spent = {"rota": [100 * (on / bare - 1) for on, bare in zip(of(rota, "cpu"), of(off, "cpu"), strict=True)]}
    show(f"{about}, ledger on, whole processes from start to end", "% more processor time than off", spent)
    show(f"{about}, last mark to the end decided", "ms", {"rota": of(rota, "noticed")})
    show(f"{about}, last mark to manifest, receipt and outcome stored", "ms", {"rota": of(rota, "receipt")})


if __name__ == "__main__":
    main()
