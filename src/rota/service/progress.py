"""How far a batch run is, and when it will be done."""

from __future__ import annotations

import msgspec

from rota.core.batch import BatchRun
from rota.core.total import total_of


class Progress(msgspec.Struct, frozen=True):
    """total: items in all, or None while that is unknown. about: it is an estimate. rate: items a second, or None. eta:
    seconds left, or None. share: from 0 to 1, or None."""

    items: int
    total: int | None
    about: bool
    failed: int
    retries: int
    rate: float | None
    eta: float | None
    share: float | None


def progress(run: BatchRun, now: int, before: tuple[int, int] | None = None) -> Progress:
    """now: epoch ms. before: items and time of an earlier look, for the rate of late; else it is that since the
    start."""
    items, known = run.counts.items, total_of(run)
    total = None if known is None else known.items
    about = known is not None and not known.exact
    since_items, since = before if before is not None else (0, run.started if run.started is not None else now)
    seconds = ((run.finished or now) - since) / 1000
    rate = (items - since_items) / seconds if seconds > 0 else None
    eta = (total - items) / rate if total is not None and rate else None
    share = None if total is None else (items / total if total else 1.0)
    return Progress(items, total, about, run.counts.failed, run.retries, rate, eta, share)
