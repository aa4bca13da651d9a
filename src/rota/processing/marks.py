"""What a chunk's report comes to in the ledger, and which failures end a batch run."""

from __future__ import annotations

from rota.core.completion import Mark
from rota.core.receipt import Counts
from rota.processing.jobs import Job, Report

ATTEMPTS = 3
"""How often a job is tried whose source or sink fails in a way that may pass."""
FINAL: frozenset[str] = frozenset(
    f"rota.core.errors.{name}"
    for name in (
        "LastingSourceError",
        "InvalidError",
        "ConflictError",
        "NotFoundError",
        "StoreFullError",
    )
)
"""Types of failures that no other attempt can help."""


def mark_of(job: Job, report: Report, before: Mark | None, troubles: int = 0) -> Mark:
    """The mark of a chunk whose part is written. before: what stood of it, where the job took up some of its items
    again. troubles: further attempts at the whole of it."""
    assert report.part is not None
    retries = report.retries + troubles
    if before is None:
        return Mark(job.chunk, report.extent, report.counts, (report.part,), report.failures, retries, job.revision)
    counts = Counts(
        before.counts.items,
        before.counts.succeeded + report.counts.succeeded,
        report.left,
        before.counts.skipped + report.counts.skipped,
    )
    parts = (*before.parts, report.part) if report.part.items else before.parts
    return Mark(job.chunk, before.extent, counts, parts, report.failures, before.retries + retries, job.revision)
