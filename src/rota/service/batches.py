"""Use cases: start a batch, say what is wanted of a batch run, redrive what failed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import msgspec

from rota.core.batch import Batch, BatchKey, BatchRun, BatchSpec, Wish, absolute
from rota.core.completion import FailureGroup, is_complete, named_group
from rota.core.errors import ConflictError, InvalidError, NotFoundError
from rota.core.ids import parse_run_id
from rota.core.target import BatchTarget, TaskTarget
from rota.core.topology import Choice
from rota.ports.batches import BatchStore
from rota.service.schedules import check_task


class Surroundings(msgspec.Struct, frozen=True):
    """Of the process that accepts batch runs. directory: where they keep their files, with `{run}` for the id. cwd:
    what relative paths are relative to. cores: what `concurrency` is unless given. one_machine: whether they are
    carried out on one, so that what is said of AWS has no effect. choose: which topology one would have; raises for one
    that is asked for and cannot carry it out. None where there are no topologies, or nobody asks."""

    directory: str
    cwd: str
    cores: int
    one_machine: bool = False
    choose: Callable[[BatchRun], Choice] | None = None


NOWHERE = Surroundings("/rota.batches/{run}", "/", 1)
"""For clients that start no batches."""


def find_batch(batches: Mapping[str, Batch], name: str) -> Batch:
    """The declared batch; NotFoundError with the nearest names."""
    found = batches.get(name)
    if found is None:
        near = difflib.get_close_matches(name, list(batches), 3, 0.6) or sorted(batches)
        hint = f"the app declares {', '.join(near)}" if near else "the app declares none"
        raise NotFoundError("batch", name, hint)
    return found


def check_batch(batch: Batch, tasks: Container[str] | None, declared: Container[str]) -> None:
    """InvalidError if the batch names a task or notifies one, or a batch, that the app does not have. tasks: None
    where they are not known."""
    check_task(TaskTarget(batch.task), tasks, "task", batch=batch.name)
    for target in batch.notify:
        check_task(target, tasks, "notify", batch=batch.name)
        if isinstance(target, BatchTarget) and target.name not in declared:
            raise InvalidError("notify", str(target), "a batch that the app declares is", batch=batch.name)


def new_run(
    batch: Batch,
    source: dict[str, Any],
    sink: dict[str, Any],
    around: Surroundings,
    now: int,
    *,
    payload: bytes = b"null",
    cause: str = "",
) -> BatchRun:
    """A batch run of `batch` to be accepted. source, sink: connector options as JSON. InvalidError for a path of one
    machine where batch runs are carried out on others."""
    _check_reach("source", source, around.cwd)
    _check_reach("sink", sink, around.cwd)
    spec = BatchSpec(
        batch=batch.name,
        task=batch.task,
        source=absolute(source, around.cwd),
        sink=absolute(sink, around.cwd),
        size=batch.size,
        concurrency=batch.concurrency or around.cores,
        tolerated=batch.tolerated,
        retry=batch.retry,
        rate_limit=batch.rate_limit,
        timeout=batch.timeout,
        async_limit=batch.async_limit,
        worker_memory=batch.worker_memory,
        notify=batch.notify,
        payload=payload,
        topology=batch.topology,
        max_cost=batch.max_cost,
    )
    return BatchRun(name=batch.name, created=now, spec=spec, directory=around.directory, cause=cause)


def _check_reach(field: str, options: dict[str, Any], cwd: str) -> None:
    path = options.get("path")
    if "://" not in cwd or not isinstance(path, str) or "://" in path:
        return
    if field == "source":
        allowed = "s3://bucket/key, a prefix or glob in S3, or a generator is, since it runs on AWS"
        raise InvalidError(field, path, allowed)
    if path.startswith("/") or "table" in options:
        allowed = "s3://bucket/prefix/, a path relative to the batch run's own place in S3 or a DynamoDB table is"
        raise InvalidError(field, path, f"{allowed}, since it runs on AWS")


def batch_key(id: str) -> BatchKey:
    """The key behind a batch run's id; InvalidError if it is none."""
    try:
        return BatchKey(*parse_run_id(id))
    except InvalidError:
        raise InvalidError("batch run id", id, "BATCH@TIME, such as orders@2026-11-21T02:30:00Z") from None


def find_run(store: BatchStore, id: str) -> BatchRun:
    """The batch run; NotFoundError."""
    found = store.get([batch_key(id)])
    if not found:
        raise NotFoundError("batch run", id, "`rota batch list` shows those there are")
    return found[0]


def ask(store: BatchStore, id: str, wish: Wish) -> BatchRun:
    """Say what is wanted of a batch run; ConflictError if it has ended. One that is finishing goes on as it is."""
    asked = store.ask(batch_key(id), wish)
    if asked is None:
        run = find_run(store, id)
        if wish == "run" and run.state == "finishing":
            return run
        raise ConflictError(f"batch run {id} is {run.state} already", batch_run=id)
    if asked.wish != wish:
        raise ConflictError(f"batch run {id} is being cancelled", batch_run=id)
    return asked


def redrive(store: BatchStore, id: str, groups: Sequence[int | str] | None = None) -> BatchRun:
    """Attempt dead letters again: those of the groups of these numbers or ids, or all. A batch run that ended early
    also goes on where it stopped; results that could not be put in place are tried again. Records that could not be
    decoded are left out: the source is pinned, so they cannot have changed. ConflictError if it has not ended, if there
    is nothing to do, or if a group that was asked for holds such records."""
    run = find_run(store, id)
    found = store.failures(run.key)
    named = found if groups is None else [named_group(found, one) for one in groups]
    chosen = [one for one in found if one in named]
    final = [one for one in chosen if one.signature.is_final]
    chosen = [one for one in chosen if one not in final]
    # Without a receipt, the results of a complete batch run are not in place yet.
    nothing = not chosen and is_complete(run) and run.version > 0
    if final and (groups or nothing):
        raise ConflictError(_undecodable(id, final), batch_run=id)
    if nothing:
        raise ConflictError(f"batch run {id} has no dead letters to redrive", batch_run=id)
    again = store.redrive(run.key, [one.signature.key for one in chosen], sum(one.count for one in chosen))
    if again is None:
        raise ConflictError(f"batch run {id} is {run.shown_state}; redrive it when it has ended", batch_run=id)
    return again


def _undecodable(id: str, groups: Sequence[FailureGroup]) -> str:
    count, numbers = sum(one.count for one in groups), ", ".join(str(one.number) for one in groups)
    return (
        f"the {count} items of group {numbers} of batch run {id} could not be decoded, and another attempt would read "
        "the same: mend the source, and start a new batch run with it"
    )
