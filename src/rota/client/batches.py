"""client.batches: start batches, follow batch runs, see and redrive what failed."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import TypedDict, Unpack, get_args

import msgspec

from rota.client.schedules import check_limit
from rota.connectors.dead_files import read_dead_of
from rota.connectors.open import SinkText, SourceText, open_folder
from rota.connectors.papers import local_papers
from rota.connectors.payload_argument import takes_payload
from rota.connectors.stored import check_sink_vacant, check_stored, generator_of, sink_json, source_json
from rota.connectors.verifying import verify_manifest
from rota.core.batch import Batch, BatchRun, BatchState, Topology, parse_notify
from rota.core.chunk import ChunkSize
from rota.core.completion import DeadItem, FailureGroup, named_group
from rota.core.errors import ConflictError, InvalidError, NotFoundError
from rota.core.limits import check_list, check_number, check_text
from rota.core.payload import encode_payload
from rota.core.tolerance import parse_tolerance
from rota.core.topology import Choice
from rota.ports.batches import BatchQuery, BatchStore
from rota.ports.clock import Clock
from rota.service import batches
from rota.service.batches import Surroundings

_PAGE = 1000
_GIVEN = ("source", "sink", "concurrency", "rate_limit", "timeout", "topology", "max_cost")
_ON_AWS = ("topology", "max_cost")
_STEP = 0.02
_SLOWEST = 0.25


class StartOptions(TypedDict, total=False):
    """payload: JSON for a generator that asks for it. The rest: instead of what is declared; topology and max_cost on
    AWS alone."""

    payload: object
    source: SourceText
    sink: SinkText
    chunk_items: int
    chunk_bytes: int
    concurrency: int
    tolerated_failures: int | str
    rate_limit: float
    timeout: float
    notify: object
    topology: Topology
    max_cost: float


class Batches:
    """Batch runs by id, BATCH@TIME. declared, tasks: those of the app; None where no app is known."""

    def __init__(
        self,
        store: BatchStore,
        clock: Clock,
        declared: Mapping[str, Batch] | None,
        around: Surroundings,
        notify: Callable[[], None],
        sleep: Callable[[float], None],
        tasks: Container[str] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._declared = declared
        self._around = around
        self._notify = notify
        self._sleep = sleep
        self._tasks = tasks

    def start(self, name: str, **options: Unpack[StartOptions]) -> BatchRun:
        """Accept a batch run of a declared batch; an engine that serves the app carries it out. Raises InvalidError,
        NotFoundError, SourceError, ConflictError for what cannot work; then nothing is stored."""
        made = self.draft(name, **options)
        check_sink_vacant(made)
        [run] = self._store.accept([made])
        self._notify()
        return run

    def prepare(self, name: str, **options: Unpack[StartOptions]) -> BatchRun:
        """The batch run that `start` would accept, checked and not stored; on AWS with the topology that it would have.
        Raises what `start` does."""
        made = self.draft(name, **options)
        check_sink_vacant(made)
        if self._around.choose is None:
            return made
        way = self._around.choose(made).way
        return msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, topology=way))

    def topology(self, name: str, **options: Unpack[StartOptions]) -> Choice | None:
        """On AWS, which topology a batch run would have that `start` is asked for in this way, why, and which others
        cannot carry it out; None on one machine. Raises what `start` does, but for what the sink holds."""
        made = self.draft(name, **options)
        return None if self._around.choose is None else self._around.choose(made)

    def draft(self, name: str, **options: Unpack[StartOptions]) -> BatchRun:
        """The batch run that is asked for, checked but for its topology and for what its sink holds."""
        for option in options:
            if option not in StartOptions.__annotations__:
                raise InvalidError("start", option, "one of " + ", ".join(StartOptions.__annotations__))
        batch = self.definition(name)
        given = options.get("source")
        if given is not None and generator_of(given) is not None and given is not batch.source:
            raise InvalidError("source", given, "a path or an object such as rota.Csv(...) is; declare a generator")
        changes: dict[str, object] = {key: options.get(key) for key in _GIVEN}
        for option in _ON_AWS:
            if changes[option] is not None and self._around.one_machine:
                raise InvalidError(option, changes[option], "it is for batch runs on AWS: aws://STACK")
        items, size, tolerated = (options.get(key) for key in ("chunk_items", "chunk_bytes", "tolerated_failures"))
        changes["size"] = None if items is size is None else ChunkSize(items, size)  # type: ignore[arg-type]
        changes["notify"] = None if options.get("notify") is None else parse_notify(options["notify"])
        changes["tolerated"] = None if tolerated is None else parse_tolerance(tolerated)
        batch = msgspec.structs.replace(batch, **{key: it for key, it in changes.items() if it is not None})
        batches.check_batch(batch, self._tasks, self._declared or ())
        made = batches.new_run(
            batch,
            source_json(batch.source),
            sink_json(batch.sink),
            self._around,
            self._clock.now(),
            payload=encode_payload(options.get("payload")),
        )
        make, payload = generator_of(batch.source), options.get("payload")
        if payload is not None and (make is None or not takes_payload(make)):
            raise InvalidError("payload", payload, "it is for a source that is a generator with an argument `payload`")
        check_stored(made, make)
        return made

    def definition(self, name: str) -> Batch:
        """The batch as the app declares it."""
        if self._declared is None:
            raise InvalidError(
                "batch", name, "starting a batch needs the app that declares it: give rota.connect(url, app)"
            )
        return batches.find_batch(self._declared, name)

    def get(self, id: str) -> BatchRun:
        """One batch run as it stands. Raises InvalidError, NotFoundError."""
        return batches.find_run(self._store, id)

    def list(
        self,
        *,
        name: str | None = None,
        state: BatchState | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> builtins.list[BatchRun]:
        """Batch runs, newest first. after: the last id of the page before."""
        if state is not None and state not in get_args(BatchState):
            raise InvalidError("state", state, "one of " + ", ".join(get_args(BatchState)))
        key = None if after is None else batches.batch_key(after)
        if name is not None:
            check_text("name", name)
        return self._store.list(BatchQuery(name, state, key, check_limit(limit)))

    def wait(self, id: str, timeout: float | None = None) -> BatchRun:
        """Wait until it has ended, up to `timeout` seconds, and answer it; ConflictError if it has not ended by
        then."""
        if timeout is not None:
            check_number("timeout", timeout, 0, 31_536_000)
        left, step = timeout, _STEP
        while True:
            run = self.get(id)
            if not run.is_open:
                return run
            if left is not None:
                if left <= 0:
                    raise ConflictError(f"batch run {id} is still {run.shown_state}", batch_run=id)
                step = min(step, left)
                left -= step
            self._sleep(step)
            step = min(step * 1.2, _SLOWEST)

    def pause(self, id: str) -> BatchRun:
        """Begin no further chunk until `resume`; those in hand are finished, and a timeout goes on. Raises
        ConflictError, NotFoundError."""
        return self._asked(batches.ask(self._store, id, "pause"))

    def resume(self, id: str) -> BatchRun:
        """Go on. Raises ConflictError, NotFoundError."""
        return self._asked(batches.ask(self._store, id, "run"))

    def cancel(self, id: str) -> BatchRun:
        """End it: chunks in hand are given up. Raises ConflictError, NotFoundError."""
        return self._asked(batches.ask(self._store, id, "cancel"))

    def redrive(self, id: str, groups: Sequence[int | str] | None = None) -> BatchRun:
        """Attempt dead letters again: those of these failure groups, by number or id, or all that are not records which
        could not be decoded; one that ended early also goes on where it stopped. Raises ConflictError if it has not
        ended, there is nothing to do, or a group holds such records."""
        if groups is not None:
            check_list("groups", groups, "numbers or ids of failure groups")
        return self._asked(batches.redrive(self._store, id, groups))

    def purge(self, id: str) -> BatchRun:
        """Forget a batch run that has ended, with its dead letters and the files that it kept of its own; results, and
        manifest and receipt beside them, stay. Raises ConflictError if it has not ended, NotFoundError."""
        gone = self._store.purge(self.get(id).key)
        if gone is None:
            run = self.get(id)
            raise ConflictError(f"batch run {id} is {run.shown_state}; cancel it first", batch_run=id)
        open_folder(gone.place).clear("")
        return gone

    def _asked(self, run: BatchRun) -> BatchRun:
        self._notify()
        return run

    def failures(self, id: str) -> builtins.list[FailureGroup]:
        """The dead letters of a batch run by what they have in common, the largest group first. A group's number is its
        rank at this moment; its id stays."""
        return self._store.failures(self.get(id).key)

    def dead_letters(self, id: str, group: int | str | None = None) -> Iterator[DeadItem]:
        """The items that failed for good, in order; those of one group, by number or id, or all."""
        run, after = self.get(id), -1
        folder = open_folder(run.place)
        wanted = None if group is None else named_group(self._store.failures(run.key), group).signature
        while rows := self._store.chunks(run.key, "done", after, _PAGE):
            for row in rows:
                if row.mark is not None and row.mark.counts.failed:
                    for one in read_dead_of(folder, row.chunk.number, row.mark.revision):
                        if wanted is None or one.signature == wanted:
                            yield one
            after = rows[-1].chunk.number

    def verify(self, id: str) -> builtins.list[str]:
        """Everything that is wrong with a finished batch run, from its files alone; an empty list proves it whole."""
        with local_papers(self.receipt(id)) as place:
            return verify_manifest(place)

    def receipt(self, id: str) -> str:
        """The directory, or `s3://` prefix, that holds manifest and receipt; NotFoundError if there are none yet."""
        run = self.get(id)
        if not run.manifest:
            raise NotFoundError("receipt", id, f"the batch run is {run.shown_state} and has written none")
        return run.manifest
