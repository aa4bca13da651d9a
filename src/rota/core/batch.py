"""Batches and batch runs as values: what was declared, what was started, and where it stands.

    pending ──▶ running ──decide──▶ finishing ──finish──▶ succeeded | failed | cancelled
       ▲                                                              │
       └───────────────────────────── redrive ◀───────────────────────┘

What the user wants (`wish`: run, pause, cancel) stands beside the state, so that asking and doing never write the
same field. `decide` is where exactly one caller says how a batch run ends; `finishing` lasts until results,
manifest and receipt are in place, and a crash in it is healed by doing them again; `finish` stores the outcome
together with the runs that notify, in one transaction.
"""

from __future__ import annotations

import posixpath
from typing import Any, Literal, NamedTuple

import msgspec

from rota.core.chunk import ChunkSize
from rota.core.errors import InvalidError
from rota.core.ids import check_id, run_id
from rota.core.limits import check_list, check_number
from rota.core.payload import NULL
from rota.core.receipt import Counts
from rota.core.retry import Retry
from rota.core.target import AnyTarget, TaskTarget, parse_target
from rota.core.tolerance import NOTHING_TOLERATED, Tolerance

BatchState = Literal["pending", "running", "finishing", "succeeded", "failed", "cancelled"]
BatchOutcome = Literal["succeeded", "failed", "cancelled"]
Wish = Literal["run", "pause", "cancel"]
Topology = Literal["queue", "map", "pipeline", "auto"]
TOPOLOGIES: tuple[Topology, ...] = ("queue", "map", "pipeline", "auto")
BATCH_OUTCOMES: tuple[BatchOutcome, ...] = ("succeeded", "failed", "cancelled")
LEAST_MEMORY = 64
"""MB. A worker has 25 MB before it imports anything of the user's."""
LONGEST_NAME = 80
"""Shorter than other ids: the runs that notify are named after the batch and the outcome."""


class Skip(Exception):  # noqa: N818 it is no error
    """A task raises this to leave an item out: it counts as skipped and has no result."""


class BatchKey(NamedTuple):
    """The two halves of a batch run's id: the batch, and when the batch run was accepted (epoch ms)."""

    name: str
    created: int

    @property
    def id(self) -> str:
        return run_id(self.name, self.created)


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A declared batch. source, sink: a path or what `rota.Jsonl`, `rota.Parts` ... make; a source may be a generator
    function. retry: None means the task's own. rate_limit: items a second. timeout: seconds for the batch run.
    async_limit: coroutines at once in each worker, if the task is async. worker_memory: MB of memory that each worker
    process may have; None means no limit. topology: what carries it out on AWS. max_cost: dollars on AWS after which a
    batch run pauses."""

    name: str
    task: str
    source: Any
    sink: Any
    size: ChunkSize
    concurrency: int | None = None
    tolerated: Tolerance = NOTHING_TOLERATED
    retry: Retry | None = None
    rate_limit: float | None = None
    timeout: float | None = None
    async_limit: int = 100
    worker_memory: int | None = None
    notify: tuple[AnyTarget, ...] = ()
    topology: Topology = "queue"
    max_cost: float | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        check_id("batch.task", self.task)
        if self.concurrency is not None:
            check_number("concurrency", self.concurrency, 1, 1024, whole=True)
        if self.rate_limit is not None:
            check_number("rate_limit", self.rate_limit, 0, 1e9, above=True)
        if self.timeout is not None:
            check_number("timeout", self.timeout, 0, 31_536_000, above=True)
        check_number("async_limit", self.async_limit, 1, 100_000, whole=True)
        if self.worker_memory is not None:
            check_number("worker_memory", self.worker_memory, LEAST_MEMORY, 1 << 24, whole=True)
        if self.topology not in TOPOLOGIES:
            raise InvalidError("topology", self.topology, "one of " + ", ".join(TOPOLOGIES))
        if self.max_cost is not None:
            check_number("max_cost", self.max_cost, 0, 1e9, above=True)
        if self.retry is not None and not isinstance(self.retry, Retry):
            raise InvalidError("retry", self.retry, "a rota.Retry")


def parse_task(value: object) -> str:
    """The name of the task that users mean by a task or its name; InvalidError."""
    text = value if not isinstance(value, str) or ":" in value else f"task:{value}"
    if isinstance(text, (str, TaskTarget)) or hasattr(text, "rota_task"):
        target = _named("task", text)
        if isinstance(target, TaskTarget):
            return target.name
    raise InvalidError("task", value, "a task of this app, or its name, is")


def parse_notify(value: object) -> tuple[AnyTarget, ...]:
    """The targets to tell of a batch run's end, from one or a list of what `parse_target` takes; InvalidError."""
    one = isinstance(value, (str, AnyTarget)) or hasattr(value, "rota_task")
    return tuple(_named("notify", it) for it in ((value,) if one else check_list("notify", value, "targets")))


def _named(field: str, value: object) -> AnyTarget:
    try:
        return parse_target(value)
    except InvalidError as error:
        raise InvalidError(error.field.replace("target", field, 1), error.value, error.allowed) from None


def check_name(name: object) -> str:
    """`name` if it may name a batch, else InvalidError."""
    checked = check_id("batch", name)
    if len(checked) > LONGEST_NAME:
        raise InvalidError("batch", name, f"at most {LONGEST_NAME} characters")
    return checked


class BatchSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A batch as it was when a batch run was accepted; later changes of the declaration leave the run alone.

    source, sink: connector options as JSON. A generator is `{"type": "generator"}`: the app that serves has the
    function. payload: JSON that a generator may ask for by an argument of that name."""

    batch: str
    task: str
    source: dict[str, Any]
    sink: dict[str, Any]
    size: ChunkSize
    concurrency: int
    tolerated: Tolerance = NOTHING_TOLERATED
    retry: Retry | None = None
    rate_limit: float | None = None
    timeout: float | None = None
    async_limit: int = 100
    worker_memory: int | None = None
    notify: tuple[AnyTarget, ...] = ()
    payload: bytes = NULL
    topology: Topology = "queue"
    max_cost: float | None = None


class BatchRun(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a batch. Times in epoch ms.

    cause: the run id of the schedule's run that started it, or "". planned, done: chunks. sealed: how many chunks
    there are, once that is known. expected: items of the planned chunks, as far as the planner knew. about: items
    in all, as far as that is known before the end, else 0; counted: it is exact (see `rota.core.total`). revision:
    0, or the number of the redrive that is going on or was the last. groups: the failure signatures which that one
    reruns; again: how many items they had. version: of the manifest. outcome: what was decided, from `finishing`
    on; until then, what the version before came to. directory: where spool, dead letters and, unless the sink has
    room for it, manifest and receipt lie. manifest: where the latest manifest is, or "". held: it was paused by its
    `max_cost` since its start, or its redrive's."""

    name: str
    created: int
    spec: BatchSpec
    directory: str
    cause: str = ""
    state: BatchState = "pending"
    wish: Wish = "run"
    started: int | None = None
    finished: int | None = None
    planned: int = 0
    sealed: int | None = None
    done: int = 0
    expected: int = 0
    about: int = 0
    counted: bool = False
    counts: Counts = Counts(0, 0)
    results: int = 0
    result_bytes: int = 0
    retries: int = 0
    outcome: BatchOutcome | None = None
    told: BatchOutcome | None = None
    error: str = ""
    revision: int = 0
    groups: tuple[str, ...] = ()
    again: int = 0
    version: int = 0
    root: str = ""
    manifest: str = ""
    held: bool = False

    @property
    def key(self) -> BatchKey:
        return BatchKey(self.name, self.created)

    @property
    def id(self) -> str:
        return run_id(self.name, self.created)

    @property
    def place(self) -> str:
        """The directory, once the id is settled."""
        return self.directory.replace("{run}", self.id)

    @property
    def is_open(self) -> bool:
        return self.state not in BATCH_OUTCOMES

    @property
    def shown_state(self) -> str:
        """The state for people: it also says what was asked for and is not done yet."""
        if self.is_open and self.wish == "pause":
            return "paused"
        return "cancelling" if self.is_open and self.wish == "cancel" else self.state


def absolute(options: dict[str, Any], cwd: str) -> dict[str, Any]:
    """Connector options whose path does not depend on the process that opens it. cwd: a directory, or a place such as
    `s3://bucket/results`, whose last name a path may repeat and need not: `results/` is that place itself."""
    path = options.get("path")
    if not isinstance(path, str) or "://" in path:
        return options
    if "://" in cwd:
        if path.startswith("/"):
            return options
        within = path.removeprefix("./").removeprefix(cwd.rpartition("/")[2] + "/")
        return {**options, "path": f"{cwd}/{within}"}
    slash = "/" if path.endswith("/") else ""
    return {**options, "path": posixpath.normpath(posixpath.join(cwd, path)).rstrip("/") + slash}


def filled(options: dict[str, Any], id: str) -> dict[str, Any]:
    """Connector options of one batch run: `{run}` in a path is its id, so that every batch run has a place of its
    own."""
    path = options.get("path")
    return {**options, "path": path.replace("{run}", id)} if isinstance(path, str) else options
