"""What a chunk's report comes to in the ledger, and which failures end a batch run."""

from __future__ import annotations

from rota.core.completion import Mark
from rota.core.outcome import Failure
from rota.core.receipt import Counts
from rota.processing.jobs import Job, Report

ATTEMPTS = 3
"""How often a job is tried that fails as a whole, if that may pass."""
OUTAGE_ATTEMPTS = 6
"""Likewise while source or sink cannot be reached: ever longer apart, eleven minutes in all."""
_OUTAGE = frozenset({"rota.core.errors.SourceError", "rota.core.errors.StoreError"})
_DENIED = frozenset({"rota.core.errors.SourceDeniedError", "rota.core.errors.StoreDeniedError"})
FINAL: frozenset[str] = frozenset(
    f"rota.core.errors.{name}"
    for name in (
        "LastingSourceError",
        "InvalidError",
        "ConflictError",
        "NotFoundError",
        "StoreCorruptError",
        "StoreFullError",
        "StoreReadOnlyError",
        "StoreVersionError",
    )
)
"""Types of failures that no other attempt can help."""


def again_after(failure: Failure, attempts: int) -> float | None:
    """Seconds until a job that failed as a whole is tried again, None if it is not. attempts: how often it was."""
    outage = failure.is_a(_OUTAGE)
    # A permission that was just granted takes seconds to be known everywhere; one that is lacking should be told soon.
    most = OUTAGE_ATTEMPTS if outage and not failure.is_a(_DENIED) else ATTEMPTS
    if failure.type in FINAL or attempts >= most:
        return None
    return 2.0 * 4 ** (attempts - 1) if outage else 0.0


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
