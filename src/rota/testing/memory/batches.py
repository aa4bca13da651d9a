"""Batch runs and their ledgers in memory."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

import msgspec

from rota.core.batch import BatchKey, BatchRun, Wish
from rota.core.chunk import Chunk
from rota.core.completion import ChunkRow, FailureGroup, Mark, Signature, Verdict, group_failures
from rota.core.errors import NotFoundError
from rota.core.receipt import Counts
from rota.core.run import Run
from rota.core.total import Total
from rota.ports.batches import BatchQuery, Finished, Which
from rota.testing.memory.runs import MemoryRunStore
from rota.testing.memory.state import MemoryState

_replace = msgspec.structs.replace


class MemoryBatchStore:
    """A `BatchStore` that lasts as long as its state; `runs` gets the runs that notify."""

    def __init__(self, state: MemoryState, runs: MemoryRunStore) -> None:
        self._lock = state.lock
        self._notified = runs
        self._runs: dict[BatchKey, BatchRun] = {}
        self._chunks: dict[BatchKey, dict[int, ChunkRow]] = {}

    def accept(self, runs: Sequence[BatchRun]) -> builtins.list[BatchRun]:
        with self._lock:
            return [self._accept(run) for run in runs]

    def _accept(self, run: BatchRun) -> BatchRun:
        for known in self._runs.values():
            if run.cause and known.cause == run.cause:
                return known
        while run.key in self._runs:
            run = _replace(run, created=run.created + 1)
        self._runs[run.key] = run
        self._chunks[run.key] = {}
        return run

    def get(self, keys: Sequence[BatchKey]) -> builtins.list[BatchRun]:
        with self._lock:
            return [self._runs[key] for key in keys if key in self._runs]

    def list(self, query: BatchQuery) -> builtins.list[BatchRun]:
        with self._lock:
            found = sorted(self._runs.values(), key=_newest)
        return [
            run
            for run in found
            if (query.name is None or run.name == query.name)
            and (query.state is None or run.state == query.state)
            and (query.after is None or _newest(run) > (-query.after.created, query.after.name))
        ][: query.limit]

    def open(self, limit: int) -> builtins.list[BatchRun]:
        with self._lock:
            found = [run for run in self._runs.values() if run.is_open]
        return sorted(found, key=lambda run: (run.created, run.name))[:limit]

    def begin(self, key: BatchKey, now: int) -> bool:
        with self._lock:
            run = self._runs.get(key)
            if run is None or run.state != "pending":
                return False
            self._runs[key] = _replace(run, state="running", started=now)
            return True

    def record(
        self,
        key: BatchKey,
        planned: Sequence[Chunk],
        marks: Sequence[Mark],
        sealed: int | None = None,
        total: Total | None = None,
    ) -> BatchRun:
        with self._lock:
            if key not in self._runs:
                raise NotFoundError("batch run", key.id)
            ledger = self._chunks[key]
            for chunk in (*planned, *(mark.chunk for mark in marks)):
                if chunk.number not in ledger:
                    ledger[chunk.number] = ChunkRow(chunk)
                    run = self._runs[key]
                    self._runs[key] = _replace(run, planned=run.planned + 1, expected=run.expected + (chunk.items or 0))
            for mark in marks:
                row = ledger[mark.chunk.number]
                if row.mark is None or row.mark.revision <= mark.revision:
                    self._add(key, row.mark, -1)
                    self._add(key, mark, 1)
                    ledger[mark.chunk.number] = ChunkRow(row.chunk, _replace(mark, chunk=row.chunk))
            if sealed is not None:
                self._runs[key] = _replace(self._runs[key], sealed=sealed)
            if total is not None:
                self._runs[key] = _replace(self._runs[key], about=total.items, counted=total.exact)
            return self._runs[key]

    def _add(self, key: BatchKey, mark: Mark | None, sign: int) -> None:
        if mark is None:
            return
        run, it = self._runs[key], mark.counts
        self._runs[key] = _replace(
            run,
            done=run.done + sign,
            counts=run.counts + Counts(sign * it.items, sign * it.succeeded, sign * it.failed, sign * it.skipped),
            results=run.results + sign * sum(part.items for part in mark.parts),
            result_bytes=run.result_bytes + sign * sum(part.bytes for part in mark.parts),
            retries=run.retries + sign * mark.retries,
        )

    def recut(self, key: BatchKey, chunks: Sequence[Chunk]) -> BatchRun:
        with self._lock:
            for chunk in chunks:
                self._add(key, self._chunks[key][chunk.number].mark, -1)
                self._chunks[key][chunk.number] = ChunkRow(chunk)
            return self._runs[key]

    def ask(self, key: BatchKey, wish: Wish) -> BatchRun | None:
        with self._lock:
            run = self._runs.get(key)
            if run is None or run.state not in {"pending", "running"}:
                return None
            self._runs[key] = run if run.wish == "cancel" else _replace(run, wish=wish)
            return self._runs[key]

    def chunks(self, key: BatchKey, which: Which, after: int, limit: int) -> builtins.list[ChunkRow]:
        with self._lock:
            run = self._runs.get(key)
            rows = sorted(self._chunks.get(key, {}).items())
            found = [row for number, row in rows if number > after and run is not None and _is(row, which, run)]
        return [ChunkRow(row.chunk, _replace(row.mark, failures=()) if row.mark else None) for row in found[:limit]]

    def failures(self, key: BatchKey) -> builtins.list[FailureGroup]:
        found: dict[Signature, tuple[Signature, int, str, int]] = {}
        with self._lock:
            rows = sorted(self._chunks.get(key, {}).items())
        for number, row in rows:
            for it in row.mark.failures if row.mark else ():
                signature, count, message, first = found.get(it.signature, (it.signature, 0, it.message, number))
                found[it.signature] = (signature, count + it.count, message, first)
        return group_failures(builtins.list(found.values()))

    def decide(self, key: BatchKey, verdict: Verdict) -> bool:
        with self._lock:
            run = self._runs.get(key)
            if run is None or run.state not in {"pending", "running"}:
                return False
            self._runs[key] = _replace(run, state="finishing", outcome=verdict.outcome, error=verdict.error)
            return True

    def finish(self, key: BatchKey, finished: Finished, notify: Sequence[Run]) -> bool:
        with self._lock:
            run = self._runs.get(key)
            if run is None or run.state != "finishing":
                return False
            if notify:
                self._notified.accept(notify)
            self._runs[key] = _replace(
                run,
                state=finished.outcome,
                outcome=finished.outcome,
                told=finished.outcome if notify else run.told,
                finished=finished.at,
                error=finished.error,
                version=finished.version,
                root=finished.root,
                manifest=finished.manifest,
            )
            return True

    def redrive(self, key: BatchKey, groups: Sequence[str], items: int = 0) -> BatchRun | None:
        with self._lock:
            run = self._runs.get(key)
            if run is None or run.is_open:
                return None
            self._runs[key] = _replace(
                run,
                state="pending",
                wish="run",
                started=None,
                finished=None,
                error="",
                revision=run.revision + 1,
                groups=tuple(groups),
                again=items,
            )
            return self._runs[key]

    def forget(self, before: int, limit: int) -> builtins.list[BatchRun]:
        with self._lock:
            ended = [
                run
                for run in self._runs.values()
                if not run.is_open and not run.counts.failed and run.finished is not None and run.finished < before
            ]
            old = sorted(ended, key=lambda run: (run.created, run.name))[:limit]
            for run in old:
                del self._runs[run.key], self._chunks[run.key]
            return old

    def purge(self, key: BatchKey) -> BatchRun | None:
        with self._lock:
            if self._runs[key].is_open:
                return None
            del self._chunks[key]
            return self._runs.pop(key)


def _newest(run: BatchRun) -> tuple[int, str]:
    return -run.created, run.name


def _is(row: ChunkRow, which: Which, run: BatchRun) -> bool:
    if which == "all":
        return True
    if which == "open":
        return row.mark is None
    if row.mark is None or which == "done":
        return row.mark is not None
    return row.mark.revision < run.revision and any(it.signature.key in run.groups for it in row.mark.failures)
