"""The near tier against its store: what is taken once is not taken again, and what the store lost is not kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rota.core.run import Claim, Run, RunKey, RunSpec, Settlement
from rota.core.target import TaskTarget
from rota.embedded.near import PAGE, NearRuns
from rota.testing import MemoryStores

SPEC = RunSpec(TaskTarget("t"))
NOW = 1_767_225_600_000


def one_off(number: int, due: int = NOW) -> Run:
    return Run(f"once-{number:05}", due, due, SPEC)


def ended(run: Run) -> Settlement:
    return Settlement(run, run.attempt + 1, NOW, NOW, "succeeded")


class Meanwhile(MemoryStores):
    """Stores whose answer to `due` is old news: `then` happens after it was read."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        answer = self.runs.due

        def due(until: int, limit: int, after: Run | None = None) -> list[Run]:
            page = answer(until, limit, after)
            then()
            return page

        self.runs.due = due  # type: ignore[method-assign]


@pytest.mark.parametrize("look", ["load", "rescan"])
def test_a_run_settled_while_the_store_answers_is_not_taken_again(look: str) -> None:
    run, settle = one_off(1), False

    def meanwhile() -> None:
        if settle:
            stores.runs.settle([ended(run)])
            near.settled([run.key])

    stores = Meanwhile(meanwhile)
    near = NearRuns(stores.runs, 100)
    stores.runs.accept([run])
    near.load(NOW)
    assert near.take(NOW) == [(run.key, run)]
    settle = True
    if look == "load":
        near = NearRuns(stores.runs, 100)
        near.known.add(run.key)
        near.load(NOW)
    else:
        near.rescan()
    assert near.take(NOW) == []
    assert near.known == set()


def test_more_than_a_page_written_behind_the_window_is_found() -> None:
    stores = MemoryStores()
    near = NearRuns(stores.runs, 100_000)
    ahead = one_off(99_999, NOW + 400)
    stores.runs.accept([ahead])
    while near.load(NOW + 500):
        pass
    late = [one_off(number) for number in range(3 * PAGE)]
    stores.runs.accept(late)
    near.rescan()
    while near.load(NOW + 500):
        pass
    assert {key for key, _ in near.take(NOW + 500)} == {run.key for run in (*late, ahead)}


def test_a_run_that_another_process_cancelled_is_forgotten() -> None:
    stores = MemoryStores()
    near = NearRuns(stores.runs, 100)
    runs = [one_off(1), one_off(2)]
    stores.runs.accept(runs)
    near.load(NOW)
    stores.runs.cancel([runs[0].key], NOW)
    near.rescan()
    assert [key for key, _ in near.take(NOW)] == [runs[1].key]
    assert near.known == {runs[1].key}


def test_a_run_that_was_moved_is_taken_when_it_is_due_now() -> None:
    stores = MemoryStores()
    near = NearRuns(stores.runs, 100)
    run = one_off(1)
    stores.runs.accept([run])
    near.load(NOW + 100)
    stores.runs.claim([Claim(run, NOW)])
    stores.runs.settle([Settlement(run, 1, NOW, NOW, None, retry_at=NOW + 50)])
    near.rescan()
    assert near.take(NOW) == []
    assert [key for key, _ in near.take(NOW + 50)] == [RunKey("once-00001", NOW)]


def test_a_run_that_a_rescan_found_before_its_arrival_was_taken_in_is_not_taken_again() -> None:
    stores = MemoryStores()
    near = NearRuns(stores.runs, 100)
    before, freed = one_off(1), one_off(2)
    stores.runs.accept([before])
    near.load(NOW)
    assert near.take(NOW) == [(before.key, before)]
    stores.runs.settle([ended(before)])
    stores.runs.accept([freed])
    near.rescan()
    assert near.settled([before.key], [freed])
    assert near.take(NOW) == [(freed.key, freed)]
    stores.runs.settle([ended(freed)])
    assert not near.settled([freed.key])
    near.take_in()
    assert near.take(NOW) == []


def test_what_arrived_is_taken_in_once() -> None:
    stores = MemoryStores()
    near = NearRuns(stores.runs, 100)
    near.load(NOW)
    first, retried = one_off(1), Run("once-00001", NOW, NOW, SPEC, attempt=1)
    near.add([first])
    assert near.take(NOW) == [(first.key, first)]
    assert near.settled([first.key], [retried])
    near.take_in()
    near.take_in()
    assert near.take(NOW) == [(retried.key, retried)]
