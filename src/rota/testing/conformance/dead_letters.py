"""RunStore: dead letters, which wait until they are redriven or purged."""

from __future__ import annotations

import msgspec

from rota.core.run import AttemptRow, Run, RunKey
from rota.ports.runs import RunQuery
from rota.testing.conformance.values import (
    FAILURE,
    HOUR,
    SPEC,
    T0,
    again,
    begun,
    died,
    ended,
    one_off,
    recurring,
)
from rota.testing.stores import Stores

ALWAYS = 2**60


class TestDeadLetters:
    def _die(self, stores: Stores, *runs: Run) -> None:
        stores.runs.accept(runs)
        stores.runs.settle([died(run) for run in runs], [begun(run) for run in runs])

    def _states(self, stores: Stores, key: RunKey) -> list[str]:
        return [record.state for record in stores.runs.list(RunQuery(schedule_id=key.schedule_id))]

    def test_a_dead_letter_tells_the_whole_story(self, stores: Stores) -> None:
        run = Run("a", T0, T0, SPEC, '{"größe":1}'.encode(), recurring=True)
        stores.runs.accept([run])
        stores.runs.settle([again(run, T0 + HOUR)], [begun(run)])
        [second] = stores.runs.due(ALWAYS, 1)
        stores.runs.settle([died(second, started=T0 + HOUR)], [begun(second, T0 + HOUR)])
        letter = stores.runs.dead_letter(run.key)
        assert letter is not None
        assert (letter.id, letter.at, letter.attempt) == (run.id, T0 + HOUR + 10, 2)
        assert (letter.spec, letter.payload, letter.failure, letter.recurring) == (SPEC, run.payload, FAILURE, True)
        assert letter.attempts == (
            AttemptRow(1, T0 + 5, T0 + 15, FAILURE),
            AttemptRow(2, T0 + HOUR, T0 + HOUR + 10, FAILURE),
        )
        assert self._states(stores, run.key) == ["failed"]

    def test_they_are_listed_newest_first_and_pages_tile(self, stores: Stores) -> None:
        runs = [one_off(name, T0 + n) for name in "ab" for n in range(5)]
        self._die(stores, *runs)
        seen: list[RunKey] = []
        while page := stores.runs.dead_letters(None, 3, seen[-1] if seen else None):
            assert len(page) <= 3
            seen += [RunKey(letter.schedule_id, letter.scheduled) for letter in page]
        assert sorted(seen) == sorted(run.key for run in runs)
        times = [key.scheduled for key in seen]
        assert times == sorted(times, reverse=True)
        mine = stores.runs.dead_letters("b", 10)
        assert [(letter.schedule_id, letter.scheduled) for letter in mine] == [("b", T0 + n) for n in (4, 3, 2, 1, 0)]
        assert [letter.scheduled for letter in stores.runs.dead_letters("b", 2, RunKey("b", T0 + 3))] == [
            T0 + 2,
            T0 + 1,
        ]
        assert stores.runs.dead_letters("nobody", 10) == []
        assert stores.runs.dead_letter(RunKey("nobody", T0)) is None

    def test_redriving_makes_it_pending_again_with_all_its_attempts_before_it(self, stores: Stores) -> None:
        run, now = recurring("s"), T0 + 9 * HOUR
        self._die(stores, run)
        assert stores.runs.redrive([run.key, RunKey("nobody", T0)], now) == [run.key]
        assert stores.runs.due(now, 10) == [msgspec.structs.replace(run, due=now)]
        assert stores.runs.due(now - 1, 10) == []
        assert stores.runs.dead_letter(run.key) is None
        assert stores.runs.counts()["dead"] == 0
        assert self._states(stores, run.key) == ["pending"]
        record = stores.runs.get(run.key)
        assert record is not None
        assert [row.attempt for row in record.attempts] == [1]
        assert stores.runs.redrive([run.key], now) == []

    def test_a_redriven_run_that_dies_again_remembers_both_lives(self, stores: Stores) -> None:
        run, now = one_off("a"), T0 + 9 * HOUR
        self._die(stores, run)
        stores.runs.redrive([run.key], now)
        [second] = stores.runs.due(now, 1)
        stores.runs.settle([died(second, started=now)], [begun(second, now)])
        letter, record = stores.runs.dead_letter(run.key), stores.runs.get(run.key)
        assert letter is not None
        assert record is not None
        assert [(row.attempt, row.started) for row in letter.attempts] == [(1, T0 + 5), (1, now)]
        assert record.attempts == letter.attempts
        assert stores.runs.counts()["dead"] == 1

    def test_a_redriven_run_that_succeeds_is_dead_no_more(self, stores: Stores) -> None:
        run = one_off("a")
        self._die(stores, run)
        stores.runs.redrive([run.key], T0 + HOUR)
        [second] = stores.runs.due(T0 + HOUR, 1)
        stores.runs.settle([ended(second, started=T0 + HOUR)])
        assert self._states(stores, run.key) == ["succeeded"]
        assert stores.runs.dead_letters(None, 10) == []
        assert stores.runs.redrive([run.key], T0 + HOUR) == []

    def test_a_redriven_run_of_a_schedule_releases_what_is_held(self, stores: Stores) -> None:
        run, held = recurring("s"), recurring("s", T0 + 1, held=True)
        self._die(stores, run)
        stores.runs.redrive([run.key], T0 + HOUR)
        stores.runs.accept([held])
        [second] = stores.runs.due(T0 + HOUR, 10)
        assert stores.runs.settle([ended(second)]) == [recurring("s", T0 + 1)]

    def test_purging_forgets_the_letter_and_keeps_the_history(self, stores: Stores) -> None:
        first, second = one_off("a"), one_off("b")
        self._die(stores, first, second)
        assert stores.runs.purge([first.key, RunKey("nobody", T0)]) == [first.key]
        assert [letter.schedule_id for letter in stores.runs.dead_letters(None, 10)] == ["b"]
        assert stores.runs.redrive([first.key], T0) == []
        assert stores.runs.purge([first.key]) == []
        record = stores.runs.get(first.key)
        assert record is not None
        assert (record.state, record.failure, len(record.attempts)) == ("failed", FAILURE, 1)

    def test_many_at_once(self, stores: Stores) -> None:
        runs = [one_off(f"r{n:04}") for n in range(2000)]
        self._die(stores, *runs)
        keys = [run.key for run in runs]
        assert stores.runs.redrive(keys[:1000], T0 + HOUR) == keys[:1000]
        assert stores.runs.purge(keys) == keys[1000:]
        assert stores.runs.counts() | {"held": 0, "running": 0} == {"pending": 1000, "held": 0, "running": 0, "dead": 0}
