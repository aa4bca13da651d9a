"""What is stored for tasks and batches that an app does not have: it would fail as soon as its time comes.

The question is asked at the start of a server, of files with a million rows. So runs are looked at only if some spec,
of which there are few, names what the app lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Container

import msgspec

from rota.embedded.sqlite.connection import Database
from rota.ports.batches import BatchStore

NAMED = 3
_BATCH_RUNS = 100
_KIND, _NAME = "definition ->> '$.target.kind'", "definition ->> '$.target.name'"
_ACTIVE = "FROM schedules WHERE next_tick IS NOT NULL AND paused IS NULL"


class Lacking(msgspec.Struct, frozen=True):
    """A target, such as task:enrich, that the app lacks. schedules: how many active ones have it; ids: the first of
    them. runs: how many wait for it. batch_runs: how many of the oldest hundred open ones need it."""

    target: str
    schedules: int = 0
    ids: tuple[str, ...] = ()
    runs: int = 0
    batch_runs: int = 0

    def __str__(self) -> str:
        more = f" and {self.schedules - len(self.ids)} more" if self.schedules > len(self.ids) else ""
        names = f"{'schedule' if self.schedules == 1 else 'schedules'} {', '.join(self.ids)}{more}"
        parts = [names] * bool(self.ids)
        parts += [f"{n} {word if n == 1 else word + 's'}" for n, word in self._counts() if n]
        return f"{self.target} ({'; '.join(parts)})"

    def _counts(self) -> tuple[tuple[int, str], ...]:
        return (self.runs, "run"), (self.batch_runs, "batch run")


def lacking(
    database: Database, batch_store: BatchStore, tasks: Container[str], batches: Container[str]
) -> list[Lacking]:
    """Every task and batch that active schedules, runs that wait or open batch runs need, and that is not in `tasks` or
    `batches`; in order."""

    def lacks(kind: str, name: str) -> bool:
        return name not in (tasks if kind == "task" else batches)

    found: dict[str, Lacking] = {}
    sql = f"SELECT {_KIND} AS kind, {_NAME}, count(*) {_ACTIVE} AND kind IN ('task', 'batch') GROUP BY 1, 2"
    for kind, name, count in database.read(sql):
        if lacks(kind, name):
            ids = database.read(
                f"SELECT id {_ACTIVE} AND {_KIND} = ? AND {_NAME} = ? ORDER BY id LIMIT {NAMED}", (kind, name)
            )
            found[f"{kind}:{name}"] = Lacking(f"{kind}:{name}", count, tuple(id for (id,) in ids))
    for target, count in _waiting(database, lacks).items():
        found[target] = msgspec.structs.replace(found.get(target, Lacking(target)), runs=count)
    for run in batch_store.open(_BATCH_RUNS):
        needed = [f"task:{run.spec.task}"] if run.spec.task not in tasks else []
        if run.spec.source.get("type") == "generator" and run.name not in batches:
            needed.append(f"batch:{run.name}")
        for target in needed:
            it = found.get(target, Lacking(target))
            found[target] = msgspec.structs.replace(it, batch_runs=it.batch_runs + 1)
    return [found[target] for target in sorted(found)]


def _waiting(database: Database, lacks: Callable[[str, str], bool]) -> dict[str, int]:
    """How many open runs have each target that is lacking."""
    specs = database.read(
        "SELECT id, body ->> '$.target.kind' AS kind, body ->> '$.target.name' FROM specs"
        " WHERE kind IN ('task', 'batch')"
    )
    targets = {number: f"{kind}:{name}" for number, kind, name in specs if lacks(kind, name)}
    found: dict[str, int] = {}
    if targets:
        counted = database.read(
            "SELECT spec, count(*) FROM (SELECT spec FROM runs_pending UNION ALL SELECT spec FROM runs_open)"
            " WHERE spec IN (SELECT value FROM json_each(?)) GROUP BY spec",
            (msgspec.json.encode(list(targets)).decode(),),
        )
        for number, count in counted:
            found[targets[number]] = found.get(targets[number], 0) + count
    return found
