"""Batch runs, chunks and marks as columns and back."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from rota.core.batch import BatchKey, BatchRun, BatchSpec
from rota.core.chunk import Chunk, Extent
from rota.core.completion import ChunkRow, Mark
from rota.core.receipt import Counts, Part

_encode = msgspec.json.Encoder().encode
_spec = msgspec.json.Decoder(BatchSpec)
_groups = msgspec.json.Decoder(tuple[str, ...])
_chunk = msgspec.json.Decoder(Chunk)
_parts = msgspec.json.Decoder(tuple[Part, ...])

RUN = (
    "name, created, cause, spec, directory, state, wish, started, finished, planned, sealed, done, expected, items,"
    " succeeded, failed, skipped, results, result_bytes, retries, outcome, told, error, revision, groups, version, root, manifest,"
    " about, counted, again"
)
ACCEPTED = "name, created, cause, spec, directory, state, wish"
CHUNK = "chunk, first, behind, items, succeeded, failed, skipped, parts, retries, revision"


def accepted_row(run: BatchRun) -> tuple[object, ...]:
    """Values for a new row, in the order of ACCEPTED."""
    return (run.name, run.created, run.cause, _encode(run.spec), run.directory, run.state, run.wish)


def batch_run(row: tuple[Any, ...]) -> BatchRun:
    """A batch run from columns in the order of RUN."""
    name, created, cause, spec, directory, state, wish, started, finished, planned, sealed, done, expected = row[:13]
    items, succeeded, failed, skipped, results, size, retries, outcome, told, error, revision, groups = row[13:25]
    version, root, manifest, about, counted, again = row[25:]
    return BatchRun(
        name=name,
        created=created,
        cause=cause,
        spec=_spec.decode(spec),
        directory=directory,
        state=state,
        wish=wish,
        started=started,
        finished=finished,
        planned=planned,
        sealed=sealed,
        done=done,
        expected=expected,
        about=about,
        counted=bool(counted),
        counts=Counts(items, succeeded, failed, skipped),
        results=results,
        result_bytes=size,
        retries=retries,
        outcome=outcome,
        told=told,
        error=error,
        revision=revision,
        groups=_groups.decode(groups),
        again=again,
        version=version,
        root=root,
        manifest=manifest,
    )


def find_run(connection: sqlite3.Connection, key: BatchKey) -> tuple[int, BatchRun] | None:
    """The row id and the batch run, as this transaction sees it."""
    row = connection.execute(f"SELECT id, {RUN} FROM batch_runs WHERE name = ? AND created = ?", key).fetchone()
    return None if row is None else (row[0], batch_run(row[1:]))


def chunk_text(chunk: Chunk) -> bytes:
    return _encode(chunk)


def mark_columns(mark: Mark) -> tuple[Any, ...]:
    """first, behind, items, succeeded, failed, skipped, results, bytes, retries, revision, parts."""
    counts, parts = mark.counts, mark.parts
    return (
        mark.extent.start,
        mark.extent.end,
        counts.items,
        counts.succeeded,
        counts.failed,
        counts.skipped,
        sum(part.items for part in parts),
        sum(part.bytes for part in parts),
        mark.retries,
        mark.revision,
        _encode(parts),
    )


def chunk_row(row: tuple[Any, ...]) -> ChunkRow:
    """A row of the ledger from columns in the order of CHUNK."""
    text, first, behind, items, succeeded, failed, skipped, parts, retries, revision = row
    chunk = _chunk.decode(text)
    if first is None:
        return ChunkRow(chunk)
    counts = Counts(items, succeeded, failed, skipped)
    return ChunkRow(chunk, Mark(chunk, Extent(first, behind), counts, _parts.decode(parts), (), retries, revision))
