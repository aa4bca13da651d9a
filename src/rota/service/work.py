"""Use case: what follows from an attempt that ended, or that a crash cut off.

The policy of a run is its schedule's, or else its task's; only the engine knows tasks, so it passes a `policy`
function.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import NamedTuple

from msgspec import structs

from rota.core.outcome import Failure, Result
from rota.core.retry import NEVER, Retry
from rota.core.run import Claim, Run, RunKey, Settlement
from rota.ports.runs import RunStore
from rota.ports.target import Inquiry

CRASHES = 3
"""An attempt cut off by a crash is followed by another at most this often, whatever the retry policy says: a run that
kills its engine must not do so for ever."""


class Policy(NamedTuple):
    """The effective policy of a run: its own, or its task's. timeout: seconds or None."""

    retry: Retry
    timeout: float | None


PolicyOf = Callable[[Run], Policy]


def no_task_policy(run: Run) -> Policy:
    """The policy where no app is at hand: the run's own, else one attempt."""
    return Policy(run.spec.retry or NEVER, run.spec.timeout)


def conclude(run: Run, result: Result, policy: Policy, *, cancelled: bool = False) -> Settlement:
    """What follows from the attempt of `run` that ended in `result`. cancelled: the run was asked to stop, so nothing
    follows."""
    attempt, failure = run.attempt + 1, result.failure
    if failure is None and not result.interrupted:
        outcome = "cancelled" if cancelled else "succeeded"
        return Settlement(run, attempt, result.started, result.finished, outcome, value=result.value)  # type: ignore[arg-type]
    if cancelled:
        return Settlement(run, attempt, result.started, result.finished, "cancelled", failure=failure)
    if result.interrupted:
        if run.spec.delivery == "at_most_once":
            return Settlement(run, attempt, result.started, result.finished, "interrupted", failure=failure)
        again = result.handed_back or attempt < max(policy.retry.attempts, CRASHES)
        wait = 0.0
    else:
        assert failure is not None
        again = run.spec.delivery == "at_least_once" and policy.retry.again(attempt, failure)
        wait = max(policy.retry.delay(attempt, run.id), failure.retry_after)
    if again:
        retry_at = result.finished + round(wait * 1000)
        return Settlement(run, attempt, result.started, result.finished, None, retry_at=retry_at, failure=failure)
    return Settlement(run, attempt, result.started, result.finished, "failed", failure=failure, dead=True)


INTERRUPTED = Failure(("rota.Interrupted",), "the engine stopped or died during this attempt")


def recover(store: RunStore, policy: PolicyOf, now: int, inquire: Inquiry | None = None) -> list[Settlement]:
    """At start: settle every attempt that the last engine left running, by what its target knows of it, else as
    interrupted. Answers what became of them."""
    settlements = []
    for claim in store.running():
        known = inquire(claim.run) if inquire else None
        if known is None:
            result = Result(claim.started, max(now, claim.started), failure=INTERRUPTED, interrupted=True)
        else:
            # Another machine's clock must not end an attempt before it began.
            result = structs.replace(known, started=claim.started, finished=max(known.finished, claim.started))
        settlements.append(conclude(claim.run, result, policy(claim.run)))
    if settlements:
        store.settle(settlements)
    return settlements


NOT_STARTED = Failure(("rota.Interrupted",), "the engine stopped before this attempt was started")


def hand_back(store: RunStore, claimed: Sequence[Run], now: int) -> None:
    """When an engine stops: make runs pending again that were claimed, but whose attempt was not started. It leaves a
    trace as an attempt; delivered at most once or not, another may follow."""
    if claimed:
        store.settle([Settlement(run, run.attempt + 1, now, now, None, now, NOT_STARTED) for run in claimed])


def settle(
    store: RunStore,
    ended: Iterable[tuple[Run, Result]],
    policy: PolicyOf,
    claims: Sequence[Claim] = (),
    claimed: Container[RunKey] | None = None,
    asked: Iterable[RunKey] = (),
) -> tuple[list[Settlement], list[Run]]:
    """Store `claims` and how attempts ended; answers the settlements and the held runs that became pending. claimed:
    the runs whose claim is stored, if the caller knows; only those can have been asked to stop through the store.
    asked: those that the caller knows were."""
    pairs = list(ended)
    keys = [run.key for run, _ in pairs if claimed is None or run.key in claimed]
    stopped = {*asked, *(store.cancelled(keys) if keys else ())}
    settlements = [conclude(run, result, policy(run), cancelled=run.key in stopped) for run, result in pairs]
    released = store.settle(settlements, claims) if settlements or claims else []
    return settlements, released
