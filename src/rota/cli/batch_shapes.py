"""What `--json` shows of batch runs, and how their figures read."""

from __future__ import annotations

from typing import Any

import msgspec

from rota.core.batch import BatchRun
from rota.core.completion import DeadItem, FailureGroup
from rota.core.estimate import Estimate, Range
from rota.core.ids import iso
from rota.core.total import total_of
from rota.service.phrasing import span

Shape = dict[str, Any]


def batch_shape(run: BatchRun) -> Shape:
    """A batch run as it stands."""
    spec = msgspec.to_builtins(run.spec, builtin_types=(bytes,))
    total = total_of(run)
    return {
        "id": run.id,
        "batch": run.name,
        "state": run.shown_state,
        "outcome": run.outcome,
        "error": run.error,
        "created": iso(run.created),
        "started": None if run.started is None else iso(run.started),
        "finished": None if run.finished is None else iso(run.finished),
        "items": run.counts.items,
        "total": None if total is None else {"items": total.items, "exact": total.exact},
        "succeeded": run.counts.succeeded,
        "failed": run.counts.failed,
        "skipped": run.counts.skipped,
        "attempted_again": run.again,
        "retries": run.retries,
        "results": run.results,
        "result_bytes": run.result_bytes,
        "chunks": {"planned": run.planned, "done": run.done, "sealed": run.sealed},
        "version": run.version,
        "root": run.root,
        "manifest": run.manifest,
        "directory": run.place,
        "cause": run.cause,
        "task": run.spec.task,
        "source": spec["source"],
        "sink": spec["sink"],
        **({"topology": run.spec.topology, "max_cost": run.spec.max_cost} if is_far(run) else {}),
        "chunk_items": run.spec.size.items,
        "chunk_bytes": run.spec.size.bytes,
        "concurrency": run.spec.concurrency,
        "rate_limit": run.spec.rate_limit,
        "timeout": run.spec.timeout,
        "worker_memory": run.spec.worker_memory,
        "tolerated_failures": str(run.spec.tolerated),
        "notify": [str(target) for target in run.spec.notify],
    }


def is_far(run: BatchRun) -> bool:
    """Whether it is carried out on AWS."""
    return "://" in run.directory


def shape_fields(run: BatchRun) -> list[tuple[str, str]]:
    """How it is carried out, a line for each thing that is said of that; "" for what is not."""
    spec, far = run.spec, is_far(run)
    chunk = [f"{amount(spec.size.items)} items"] if spec.size.items else []
    chunk += [f"{amount(spec.size.bytes)} bytes"] if spec.size.bytes else []
    return [
        ("topology", spec.topology if far else ""),
        ("chunk size", " or ".join(chunk)),
        (lanes(run), amount(spec.concurrency)),
        ("rate limit", f"{spec.rate_limit:g} items/s" if spec.rate_limit else ""),
        ("timeout", f"{spec.timeout:g} s" if spec.timeout else ""),
        ("max cost", f"${spec.max_cost:g}" if far and spec.max_cost is not None else ""),
    ]


def lanes(run: BatchRun) -> str:
    """What its concurrency is a number of."""
    return "chunks at once" if is_far(run) else "workers"


def group_shape(group: FailureGroup) -> Shape:
    signature = group.signature
    return {
        "group": group.number,
        "id": group.id,
        "count": group.count,
        "exception": signature.exception,
        "frame": signature.frame,
        "detail": signature.field,
        "message": group.message,
    }


def dead_shape(dead: DeadItem) -> Shape:
    found: Shape = msgspec.to_builtins(dead)
    return found


def amount(value: float) -> str:
    """A number of things, readable at any size."""
    return f"{round(value):,}"


def of_total(items: int, total: int | None, *, about: bool) -> str:
    """How many of how many."""
    if total is None:
        return amount(items)
    return f"{amount(items)} of {'about ' if about else ''}{amount(total)}"


def items_of(run: BatchRun) -> str:
    """How many items are done, and of how many, until it has ended."""
    total = total_of(run) if run.is_open else None
    done = of_total(run.counts.items, total and total.items, about=total is not None and not total.exact)
    return f"{done}, {amount(run.again)} attempted again" if run.again else done


def size(value: float) -> str:
    """Bytes in the unit that suits them."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def duration(seconds: float) -> str:
    """Seconds in words."""
    return span(round(seconds * 1000)) if seconds < 1e9 else "ages"


def estimate_fields(it: Estimate) -> list[tuple[str, str]]:
    """An estimate, a line for each figure."""

    def line(found: Range, show: Any) -> str:
        if found.low == found.high:
            return str(show(found.likely))
        return f"{show(found.likely)}  ({show(found.low)} to {show(found.high)})"

    more = "" if it.complete else ", the first ones; there are more, so the figures are for these alone"
    return [
        ("sampled", f"{amount(it.attempted)} items"),
        ("chunks", amount(it.chunks) + more),
        ("items", line(it.items, amount)),
        ("failures", line(it.failed, amount)),
        ("duration", line(it.seconds, duration)),
        ("result size", line(it.size, size)),
    ]
