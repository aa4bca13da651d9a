"""The end of a batch run: results in place, manifest and receipt, outcome and notification.

Everything before `finish` may be done again after a crash; `finish` itself is one transaction, which also accepts the
runs
that notify. From there on the scheduler delivers them at least once, each with its run id as idempotency key.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import msgspec

from rota.connectors.manifest import read_receipt, receipt_path, write_manifest
from rota.core.batch import BatchKey, BatchOutcome, BatchRun
from rota.core.completion import ChunkRow, is_complete
from rota.core.errors import ConflictError, RotaError, StoreError
from rota.core.receipt import Delivered, Part, Receipt, entry_of, open_entry
from rota.core.retry import Retry
from rota.core.run import Run, RunSpec
from rota.ports.batches import BatchStore, Finished, Which
from rota.ports.clock import Clock
from rota.ports.sink import Sink
from rota.processing.places import Places

log: logging.Logger = logging.getLogger("rota.batch")
PAGE = 2000
FINISH_ATTEMPTS = 3
NOTICE_RETRY = Retry(attempts=10, initial=1.0, factor=3.0, maximum=3600.0)
_encode = msgspec.json.Encoder().encode


def rows(store: BatchStore, key: BatchKey, which: Which) -> Iterator[ChunkRow]:
    """Chunks in order, a page at a time."""
    after = -1
    while page := store.chunks(key, which, after, PAGE):
        yield from page
        after = page[-1].chunk.number


def conclude(
    run: BatchRun, store: BatchStore, sink: Sink | None, places: Places, clock: Clock, broken: str = ""
) -> bool:
    """Finish a batch run whose end is decided; True for the one caller that did. sink: None if there is nothing to
    put in
    place. broken: why it cannot end as was decided."""
    assert run.outcome is not None
    outcome: BatchOutcome
    outcome, error = ("failed", broken) if broken and run.outcome == "succeeded" else (run.outcome, run.error)
    finished = Finished(outcome, 0, error, run.version, run.root, run.manifest)
    if not is_complete(run):
        finished = _account_for_what_is_done(run, store, sink, places, finished)
    elif sink is not None:
        try:
            receipt, place = _write(run, store, _put_in_place(run, store, sink), places)
            finished = Finished(run.outcome, 0, run.error, receipt.version, receipt.root, place)
        except StoreError:
            raise
        except (RotaError, OSError) as error:
            said = f"the results could not be finished: {error}"
            finished = msgspec.structs.replace(finished, outcome="failed", error=said)
    finished = msgspec.structs.replace(finished, at=clock.now())
    notices = notices_of(run, finished) if finished.outcome != run.told else []
    if not store.finish(run.key, finished, notices):
        return False
    if is_complete(run):
        places.clean()
    log.info("%s %s: %s %s", run.id, finished.outcome, run.counts, finished.error)
    return True


class _StoreFailedError(Exception):
    """Our own store, in the middle of what a sink does."""

    def __init__(self, error: StoreError) -> None:
        super().__init__(str(error))
        self.error = error


def _put_in_place(run: BatchRun, store: BatchStore, sink: Sink) -> Delivered:
    """The results. When our store fails, the end is tried again until it answers. A sink has a store of its own, which
    may never answer, so it is tried a few times; a redrive tries again."""

    def parts() -> Iterator[Part]:
        try:
            for row in rows(store, run.key, "done"):
                if row.mark is not None:
                    yield from row.mark.parts
        except StoreError as error:
            raise _StoreFailedError(error) from error

    failed: StoreError | None = None
    for _ in range(FINISH_ATTEMPTS):
        try:
            return sink.finish(parts())
        except _StoreFailedError as error:
            raise error.error from None
        except StoreError as error:
            failed = error
    raise ConflictError(str(failed), batch_run=run.id) from failed


def _account_for_what_is_done(
    run: BatchRun, store: BatchStore, sink: Sink | None, places: Places, finished: Finished
) -> Finished:
    """The manifest of a batch run that ends early says which chunks are not done. Results are left as parts: what looks
    complete must be."""
    delivered = Delivered("nowhere", "") if sink is None else sink.left()
    try:
        receipt, place = _write(run, store, delivered, places, finished.outcome)
    except StoreError:
        raise
    except (RotaError, OSError) as error:
        log.warning("%s: no manifest could be written: %s", run.id, error)
        return finished
    return msgspec.structs.replace(finished, version=receipt.version, root=receipt.root, manifest=place)


def _write(
    run: BatchRun, store: BatchStore, delivered: Delivered, places: Places, ended: str = ""
) -> tuple[Receipt, str]:
    directory = places.papers(run, delivered)
    previous = read_receipt(receipt_path(directory, run.version)) if run.version else None
    entries = (
        open_entry(row.chunk)
        if row.mark is None
        else entry_of(row.chunk, row.mark.extent, row.mark.counts, row.mark.parts)
        for row in rows(store, run.key, "all")
    )
    planned = run.sealed is not None
    receipt = write_manifest(directory, run.name, run.id, delivered, entries, previous, ended, planned=planned)
    return receipt, places.publish(directory)


def notices_of(run: BatchRun, finished: Finished) -> list[Run]:
    """A run for each target that is to be told. Its id, which the target gets as idempotency key, says what it is
    about."""
    payload = notice(run, finished.outcome, finished)
    made: list[Run] = []
    for number, target in enumerate(run.spec.notify, 1):
        id = f"{run.name}:{finished.outcome}:{run.revision}.{number}"
        spec = RunSpec(target, NOTICE_RETRY)
        made.append(Run(id, run.created, finished.at, spec, _encode(payload)))
    return made


def notice(run: BatchRun, outcome: BatchOutcome, finished: Finished) -> dict[str, object]:
    """What a target is told."""
    return {
        "batch": run.name,
        "batch_run": run.id,
        "outcome": outcome,
        "error": finished.error,
        "items": run.counts.items,
        "succeeded": run.counts.succeeded,
        "failed": run.counts.failed,
        "skipped": run.counts.skipped,
        "chunks": run.done,
        "version": finished.version,
        "root": finished.root,
        "manifest": finished.manifest,
    }
