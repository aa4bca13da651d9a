"""client.dead_letters: the runs whose attempts are used up."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator

from rota.client.runs import run_key
from rota.client.schedules import check_limit
from rota.core.errors import InvalidError, NotFoundError
from rota.core.limits import check_flag, check_list, check_text
from rota.core.run import DeadLetter, RunKey
from rota.ports.clock import Clock
from rota.ports.runs import RunStore

_PAGE = 1000


class DeadLetters:
    """Dead letters by run id."""

    def __init__(self, store: RunStore, clock: Clock, notify: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._notify = notify

    def list(
        self, *, schedule: str | None = None, limit: int = 50, after: str | None = None
    ) -> builtins.list[DeadLetter]:
        """Newest scheduled time first. after: the last id of the page before."""
        if schedule is not None:
            check_text("schedule", schedule)
        return self._store.dead_letters(schedule, check_limit(limit), None if after is None else run_key(after))

    def show(self, id: str) -> DeadLetter:
        """One dead letter with all its attempts. Raises InvalidError, NotFoundError."""
        letter = self._store.dead_letter(run_key(id))
        if letter is None:
            raise NotFoundError("dead letter", id)
        return letter

    def redrive(
        self, ids: str | Iterable[str] = (), *, every: bool = False, schedule: str | None = None
    ) -> builtins.list[str]:
        """Run them again, with the same run ids and all attempts anew; answers the ids. Name ids, or a schedule, or all
        with every=True. NotFoundError for an id that is no dead letter; then nothing is redriven."""
        done = self._carry_out(ids, every, schedule, lambda keys: self._store.redrive(keys, self._clock.now()))
        self._notify()
        return done

    def purge(
        self, ids: str | Iterable[str] = (), *, every: bool = False, schedule: str | None = None
    ) -> builtins.list[str]:
        """Forget them; their runs stay on record as failed. Arguments as for `redrive`."""
        return self._carry_out(ids, every, schedule, self._store.purge)

    def _carry_out(
        self,
        ids: str | Iterable[str],
        every: bool,
        schedule: str | None,
        work: Callable[[builtins.list[RunKey]], builtins.list[RunKey]],
    ) -> builtins.list[str]:
        named = [ids] if isinstance(ids, str) else check_list("ids", ids, "run ids")
        check_flag("every", every)
        if schedule is not None:
            check_text("schedule", schedule)
        if (bool(named) + every + (schedule is not None)) != 1:
            raise InvalidError("ids", named, "either run ids, or schedule=, or every=True")
        if not named:
            return [key.id for page in self._pages(schedule) for key in work(page)]
        keys = [run_key(name) for name in named]
        for key in keys:
            if self._store.dead_letter(key) is None:
                raise NotFoundError("dead letter", key.id)
        return [key.id for key in work(keys)]

    def _pages(self, schedule: str | None) -> Iterator[builtins.list[RunKey]]:
        after: RunKey | None = None
        while True:
            page = [
                RunKey(letter.schedule_id, letter.scheduled)
                for letter in self._store.dead_letters(schedule, _PAGE, after)
            ]
            if page:
                yield page
                after = page[-1]
            if len(page) < _PAGE:
                return
