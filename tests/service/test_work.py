"""What follows from an attempt: another, an end, or a dead letter."""

from __future__ import annotations

import pytest

from rota.core.outcome import Failure, Result
from rota.core.retry import NEVER, Retry
from rota.core.run import Claim, Delivery, Run, RunSpec
from rota.core.target import TaskTarget
from rota.service.work import CRASHES, Policy, conclude, no_task_policy, recover
from rota.testing.memory import MemoryStores

FAILURE = Failure(("ValueError", "Exception"), "no")
CUT_OFF = Result(1000, 2000, failure=FAILURE, interrupted=True)
HANDED_BACK = Result(1000, 2000, failure=FAILURE, interrupted=True, handed_back=True)
FAILED = Result(1000, 2000, failure=FAILURE)


def run(attempts_before: int = 0, delivery: Delivery = "at_least_once") -> Run:
    return Run("a", 1000, 1000, RunSpec(TaskTarget("t"), delivery=delivery), attempt=attempts_before)


@pytest.mark.parametrize("attempts", [1, 10])
def test_an_attempt_cut_off_by_a_crash_is_repeated_at_once_but_not_for_ever(attempts: int) -> None:
    policy = Policy(Retry(attempts=attempts), None)
    most = max(attempts, CRASHES)
    for before in range(most - 1):
        settlement = conclude(run(before), CUT_OFF, policy)
        assert (settlement.outcome, settlement.retry_at, settlement.attempt) == (None, 2000, before + 1)
    last = conclude(run(most - 1), CUT_OFF, policy)
    assert (last.outcome, last.dead) == ("failed", True)


def test_a_graceful_stop_is_never_held_against_a_run() -> None:
    settlement = conclude(run(50), HANDED_BACK, Policy(NEVER, None))
    assert (settlement.outcome, settlement.retry_at) == (None, 2000)


def test_at_most_once_is_not_repeated() -> None:
    for result in (CUT_OFF, HANDED_BACK):
        assert conclude(run(delivery="at_most_once"), result, Policy(NEVER, None)).outcome == "interrupted"
    failed = conclude(run(delivery="at_most_once"), FAILED, Policy(Retry(attempts=5), None))
    assert (failed.outcome, failed.dead) == ("failed", True)


def test_a_run_asked_to_stop_is_not_repeated() -> None:
    policy = Policy(Retry(attempts=5), None)
    for result in (CUT_OFF, HANDED_BACK, FAILED, Result(1000, 2000)):
        assert conclude(run(), result, policy, cancelled=True).outcome == "cancelled"


def test_failures_follow_the_policy() -> None:
    policy = Policy(Retry(attempts=2, initial=3, jitter="none"), None)
    first = conclude(run(), FAILED, policy)
    assert (first.outcome, first.retry_at) == (None, 5000)
    assert conclude(run(1), FAILED, policy).dead
    asked_to_wait = Result(1000, 2000, failure=Failure(("ValueError",), "no", retry_after=4.5))
    assert conclude(run(), asked_to_wait, policy).retry_at == 6500
    asked_to_wait = Result(1000, 2000, failure=Failure(("ValueError",), "no", retry_after=1))
    assert conclude(run(), asked_to_wait, policy).retry_at == 5000
    final = Result(1000, 2000, failure=Failure(("ValueError",), "no", transient=False))
    assert conclude(run(), final, policy).dead


EXECUTION = b'{"executionArn":"arn"}'


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_what_a_target_knows_of_an_attempt_cut_off_settles_it(delivery: Delivery) -> None:
    stores = MemoryStores()
    cut_off, unknown = run(delivery=delivery), Run("b", 1000, 1000, RunSpec(TaskTarget("t"), delivery=delivery))
    stores.runs.accept([cut_off, unknown])
    stores.runs.claim([Claim(cut_off, 1500), Claim(unknown, 1500)])
    asked: list[str] = []

    def inquire(run: Run) -> Result | None:
        asked.append(run.id)
        return Result(1490, 1490, EXECUTION) if run.schedule_id == "a" else None

    settled = {it.run.schedule_id: it for it in recover(stores.runs, no_task_policy, 9000, inquire)}
    assert sorted(asked) == sorted((cut_off.id, unknown.id))
    assert (settled["a"].outcome, settled["a"].started, settled["a"].finished) == ("succeeded", 1500, 1500)
    assert settled["b"].outcome == (None if delivery == "at_least_once" else "interrupted")
    record = stores.runs.get(cut_off.key)
    assert record is not None
    assert (record.state, record.value) == ("succeeded", EXECUTION)
