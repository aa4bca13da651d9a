"""Failures that end a batch run, whoever meets them."""

from __future__ import annotations

from rota.aws.batch.ledger import Ledger
from rota.aws.batch.post import Post
from rota.core.batch import BatchRun
from rota.core.completion import Verdict
from rota.core.outcome import Failure


def decide_failed(ledger: Ledger, post: Post, run: BatchRun, why: str) -> None:
    """Nothing more can come of `run`; have it finished."""
    ledger.decide(run.key, Verdict("failed", why))
    post.finish(run.id)


def said(failure: Failure) -> str:
    """A failure as the error of a batch run."""
    return failure.message if failure.type.startswith("rota.") else str(failure)
