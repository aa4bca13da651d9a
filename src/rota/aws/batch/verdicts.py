"""How batch runs end, whoever sees it."""

from __future__ import annotations

from rota.aws.batch.ledger import Ledger
from rota.aws.batch.post import Post
from rota.core.batch import BatchRun
from rota.core.completion import Verdict, verdict
from rota.core.ids import iso
from rota.core.outcome import Failure
from rota.core.receipt import Counts
from rota.core.total import cautious


def is_out_of_time(ledger: Ledger, run: BatchRun, now: int) -> bool:
    """Whether the ledger of `run` is about to expire, and the batch run must end before."""
    return now >= ledger.deadline(run.key)


def judged(ledger: Ledger, run: BatchRun, counts: Counts, now: int, *, complete: bool) -> Verdict | None:
    """How `run` ends now, or None if it goes on: as on one machine, or since its ledger is about to expire. counts: of
    the chunks that are proven. complete: all are."""
    found = verdict(run, counts, now, complete=complete, total=cautious(run, counts))
    if found is None and is_out_of_time(ledger, run, now):
        by = iso(ledger.deadline(run.key))
        rest = "its results so far stay, and the manifest tells what is not done: start a new batch run for that"
        return Verdict("failed", f"it had not ended by {by}, a day before its ledger expires; {rest}")
    return found


def decide_failed(ledger: Ledger, post: Post, run: BatchRun, why: str) -> None:
    """Nothing more can come of `run`; have it finished."""
    ledger.decide(run.key, Verdict("failed", why))
    post.finish(run.id)


def said(failure: Failure) -> str:
    """A failure as the error of a batch run."""
    return failure.message if failure.type.startswith("rota.") else str(failure)
