"""Which batch runs there are: accepting, finding, listing and forgetting them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from rota.aws.dynamo.batches_headers import batch_run, header_item, is_open, key_of_header, spec_item, trees_of
from rota.aws.dynamo.batches_keys import (
    MONTHS,
    OPEN,
    cause_key,
    header_key,
    header_of,
    header_sort,
    month_end,
    month_of,
    month_partition,
    open_key,
    open_of,
    spec_key,
)
from rota.aws.dynamo.batches_live import Live
from rota.aws.dynamo.items import Delete, Item, Put, Write, number_of, text_of
from rota.aws.dynamo.lifetimes import DAY
from rota.aws.dynamo.table import RefusedError, Table
from rota.aws.dynamo.tree import Trees
from rota.core.batch import BatchKey, BatchRun
from rota.core.errors import InvalidError, StoreBusyError
from rota.core.ledger_tree import NOTHING, Sums
from rota.ports.batches import BatchQuery

_TRIES = 100
_AT_ONCE = 25
_PAGE = 100
_REMEMBERED = 100
_NEW = "attribute_not_exists(#pk)"
_BEHIND = " "
"""Sorts before whatever may follow in a name."""


class Index:
    """The batch runs in `table`. lifetime: milliseconds."""

    def __init__(self, table: Table, trees: Trees, live: Live, lifetime: int) -> None:
        self._table = table
        self._trees = trees
        self._live = live
        self._lifetime = lifetime
        self._longest = lifetime - DAY
        self._months: set[str] = set()
        self._specs: dict[BatchKey, Item] = {}

    def expires(self, key: BatchKey) -> int:
        """When everything of a batch run does, epoch seconds."""
        return (key.created + self._lifetime) // 1000

    def deadline(self, key: BatchKey) -> int:
        """When a batch run must have ended, epoch ms."""
        return key.created + self._longest

    def accept(self, runs: Sequence[BatchRun]) -> list[BatchRun]:
        """As the port says; whole, up to 25 at once."""
        for run in runs:
            if run.spec.timeout is not None and run.spec.timeout * 1000 > self._longest:
                most = f"at most {self._longest // 1000} s: a day later a batch run and its ledger expire"
                raise InvalidError("timeout", run.spec.timeout, most)
        return [one for at in range(0, len(runs), _AT_ONCE) for one in self._accept(runs[at : at + _AT_ONCE])]

    def _accept(self, runs: Sequence[BatchRun]) -> list[BatchRun]:
        accepted = list(runs)
        known: dict[str, BatchRun] = {}
        for _ in range(_TRIES):
            writes: list[Write] = []
            owners: list[int] = []
            keys: set[BatchKey] = set()
            causes: dict[str, int] = {}
            for number, run in enumerate(accepted):
                if run.cause in known or run.cause in causes:
                    continue
                while run.key in keys:
                    run = _later(run)  # noqa: PLW2901 - it is another run that is accepted
                accepted[number] = run
                keys.add(run.key)
                if run.cause:
                    causes[run.cause] = number
                made = self._writes(run)
                writes += made
                owners += [number] * len(made)
            if not writes:
                break
            try:
                self._table.transact(writes)
            except RefusedError as refused:
                for position, there in refused.failed.items():
                    owner = accepted[owners[position]]
                    if there is not None and there["sk"] == cause_key(owner.cause).sk:
                        known |= self._known(owner.cause, there)
                    else:
                        accepted[owners[position]] = _later(owner)
                continue
            known |= {cause: accepted[number] for cause, number in causes.items()}
            break
        else:
            raise StoreBusyError(f"no free millisecond for {runs[0].id!r} after {_TRIES} tries; try again")
        return [known.get(run.cause, run) if run.cause else run for run in accepted]

    def _known(self, cause: str, there: Item) -> dict[str, BatchRun]:
        key = BatchKey(text_of(there, "name"), number_of(there, "created") or 0)
        found = self.get([key])
        if not found:
            place = cause_key(cause)
            self._table.write(Delete(place, "#created = :created", {"created": key.created}))
        return dict.fromkeys([cause], found[0]) if found else {}

    def _writes(self, run: BatchRun) -> list[Write]:
        self._prepare(run.created)
        expires, waiting = self.expires(run.key), open_key(run.key)
        writes: list[Write] = [
            Put(header_item(run, expires), _NEW),
            Put(spec_item(run, expires)),
            Put({"pk": waiting.pk, "sk": waiting.sk, "expires": expires}),
        ]
        if run.cause:
            place = cause_key(run.cause)
            item: Item = {"pk": place.pk, "sk": place.sk, "expires": expires, "name": run.name, "created": run.created}
            writes.append(Put(item, _NEW))
        return writes

    def _prepare(self, created: int) -> None:
        month = month_of(created)
        if month not in self._months:
            expires = (month_end(month) + self._lifetime) // 1000
            self._table.write(Put({"pk": MONTHS, "sk": month, "expires": expires}))
            self._months.add(month)

    def header(self, key: BatchKey) -> Item | None:
        place = header_key(key)
        return self._table.get([place]).get(place)

    def glance(self, key: BatchKey) -> BatchRun | None:
        """The batch run, with no totals: one read."""
        header = self.header(key)
        if header is None:
            return None
        spec = self._specs.get(key)
        if spec is None:
            place = spec_key(key)
            spec = self._table.get([place]).get(place)
            if spec is None:
                return None
            if len(self._specs) >= _REMEMBERED:
                self._specs.clear()
            self._specs[key] = spec
        return batch_run(header, spec, NOTHING)

    def get(self, keys: Sequence[BatchKey]) -> list[BatchRun]:
        """As the port says."""
        found = self._table.get(header_key(key) for key in keys)
        return self._runs([found[place] for key in keys if (place := header_key(key)) in found])

    def _runs(self, headers: Sequence[Item]) -> list[BatchRun]:
        """With their specs, and their totals as they are now; those of all are read together."""
        specs = self._table.get(spec_key(key_of_header(header)) for header in headers)
        shown = self._live.shown(headers, self._sums(headers))
        return [
            batch_run(header, specs[spec_key(key_of_header(header))], total)
            for header, total in zip(headers, shown, strict=True)
            if spec_key(key_of_header(header)) in specs
        ]

    def _sums(self, headers: Sequence[Item]) -> list[Sums]:
        """What the trees of each say."""
        trees = [(number, tree) for number, header in enumerate(headers) for tree in trees_of(header)]
        sums = [NOTHING for _ in headers]
        for (number, _), total in zip(trees, self._trees.totals([tree for _, tree in trees]), strict=True):
            sums[number] += total
        return sums

    def counted(self, key: BatchKey) -> Sums:
        """What the trees of a batch run say."""
        header = self.header(key)
        return NOTHING if header is None else self._sums([header])[0]

    def page(self, query: BatchQuery) -> list[BatchRun]:
        """As the port says."""
        newest = None if query.after is None else month_of(query.after.created)
        months = [month for month in self._all_months() if newest is None or month <= newest]
        wanted = islice(self._listed(months, query), query.limit)
        return self._runs([*wanted])

    def _listed(self, months: Sequence[str], query: BatchQuery) -> Iterator[Item]:
        for month in months:
            first = query.after is not None and month == month_of(query.after.created)
            low = header_sort(query.after) + _BEHIND if query.after is not None and first else " "
            for header in self._table.query(month_partition(month), low, limit=min(_PAGE, query.limit + 1)):
                named = query.name is None or header_of(text_of(header, "sk")).name == query.name
                if named and query.state in (None, header["state"]):
                    yield header

    def _all_months(self) -> list[str]:
        return [text_of(item, "sk") for item in self._table.query(MONTHS, descending=True)]

    def open(self, limit: int) -> list[BatchRun]:
        """As the port says."""
        page = islice(self._table.query(OPEN, limit=min(_PAGE, limit)), limit)
        return [run for run in self.get([open_of(text_of(item, "sk")) for item in page]) if run.is_open]

    def forget(self, before: int, limit: int) -> list[BatchRun]:
        """As the port says; the items of the ledger, which nobody finds any more, are left to expire."""
        found: list[Item] = []
        for month in reversed(self._all_months()):
            for header in self._table.query(month_partition(month), descending=True):
                ended = number_of(header, "finished")
                if not is_open(header) and ended is not None and ended < before:
                    found.append(header)
            if len(found) >= limit:
                break
        kept = [run for run in self._runs(found) if not run.counts.failed]
        return self.remove(sorted(kept, key=lambda run: (run.created, run.name))[:limit])

    def remove(self, runs: Sequence[BatchRun]) -> list[BatchRun]:
        """Forget those of the batch runs that have ended, and have not begun anew since; answers them."""
        when = "#revision = :revision AND #state IN (:succeeded, :failed, :cancelled)"
        gone = self._table.map(
            lambda run: self._table.write(Delete(header_key(run.key), when, {"revision": run.revision})).done, runs
        )
        forgotten = [run for run, done in zip(runs, gone, strict=True) if done]
        places = [spec_key(run.key) for run in forgotten]
        self._table.delete_all([*places, *(cause_key(run.cause) for run in forgotten if run.cause)])
        return forgotten


def _later(run: BatchRun) -> BatchRun:
    return msgspec.structs.replace(run, created=run.created + 1)
