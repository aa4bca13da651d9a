"""Which topology suits a batch: the cheapest of those that can carry it out, and a sentence that says why."""

from __future__ import annotations

from collections.abc import Mapping

from rota.aws.batch_cost import MEMORY, WAYS, Way, Work, sink_kind, spent, usage
from rota.core.batch import BatchRun, BatchSpec
from rota.core.errors import InvalidError, SourceError
from rota.core.topology import Choice

_LINE = 200.0
"""Bytes of an item, where only bytes are known."""
_MANY = 1_000_000


def choose(spec: BatchSpec, refused: Mapping[str, str]) -> Choice:
    """refused: topologies that cannot carry it out, and why not. The queue can do all that there is: any source, any
    sink, a rate limit, a pause, items of any size; so it is never refused."""
    dollars = {way: usage(way, work_of(spec, _MANY)).dollars for way in WAYS if way not in refused}
    best = min(dollars, key=lambda way: dollars[way])
    others = [f"{way} {dollars_text(cost)}" for way, cost in dollars.items() if way != best]
    others += [f"{way} cannot do it ({why})" for way, why in refused.items()]
    beside = f"; {', '.join(others)}" if others else ""
    cost = dollars_text(dollars[best])
    why = f"{best} is the cheapest, {cost} for a million items, the task's own time aside{beside}"
    return Choice(best, why, dict(refused))


def reason(error: InvalidError | SourceError) -> str:
    """What is against a topology, in a few words. error: with which it was refused; it says what is allowed, and goes
    on with what could be done instead."""
    if isinstance(error, SourceError):
        return str(error)
    said = error.allowed.partition(";")[0]
    for way in WAYS:
        said = said.removesuffix(f' for topology="{way}"').removesuffix(f' for "{way}"')
    return said if error.field == "topology" else f"it needs {said}"


def dollars_text(dollars: float) -> str:
    """An amount of any size, without a false zero."""
    return f"${dollars:.2g}" if dollars < 1 else f"${dollars:,.2f}"


def work_of(spec: BatchSpec, items: float, chunks: float = 0, size: float = _LINE, memory: int = MEMORY) -> Work:
    """A batch run before anything of it was tried. chunks: 0 means as its definition says. size: bytes of an item."""
    together = spec.size.items or max(1.0, (spec.size.bytes or _LINE) / size)
    if spec.size.items and spec.size.bytes:
        together = min(together, max(1.0, spec.size.bytes / size))
    return Work(
        items=items,
        chunk_items=items / chunks if chunks and items else together,
        size=size,
        result=size,
        memory=memory,
        concurrency=spec.concurrency,
        sink=sink_kind(spec),
    )


def overspent(run: BatchRun, now: int, memory: int = MEMORY) -> str:
    """Why a batch run is to pause by its `max_cost`, or nothing. Whoever resumes it after that means it, so it is
    not paused again."""
    limit, topology = run.spec.max_cost, run.spec.topology
    if limit is None or run.held or run.wish != "run":
        return ""
    way: Way = "queue" if topology == "auto" else topology
    used = spent(way, run, now, memory)
    if used <= limit:
        return ""
    return (
        f"paused: it has used about ${used:.4g}, more than max_cost ${limit:g}; resume it, and it goes on without limit"
    )
