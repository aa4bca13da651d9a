"""From settings to running parts: the one place that knows every part, and the one that imports lazily."""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import parse_qsl

from rota.app import App
from rota.core.errors import InvalidError, NotFoundError, TargetError
from rota.core.run import Run
from rota.ports.clock import Clock

if TYPE_CHECKING:
    from rota.aws.deploy import Deployer
    from rota.aws.functions import Functions
    from rota.aws.platform import Platform
    from rota.aws.synth import Synthesis
    from rota.client import Client
    from rota.core.batch import BatchRun
    from rota.core.estimate import Estimate
    from rota.core.outcome import Result
    from rota.core.receipt import Receipt
    from rota.embedded.batch.foreground import Foreground
    from rota.embedded.batch.sampling import Plan
    from rota.embedded.lock import Holder
    from rota.embedded.serving import Serving
    from rota.embedded.settings import Settings
    from rota.embedded.sqlite.file import SqliteFile
    from rota.ports.target import TargetCall
    from rota.service.batches import Surroundings
    from rota.targets.aws import AwsCall, Clients
    from rota.targets.http import HttpCall
    from rota.testing.emulator import Emulator

DEFAULT_URL = "sqlite:///rota.db"
_URLS = "sqlite:///FILE (three slashes for a relative path, four for an absolute one) or aws://STACK"


def split_url(url: str) -> tuple[Path, dict[str, str]]:
    """The file and the options of a sqlite URL. InvalidError for anything else."""
    rest, _, query = url.partition("?")
    if not rest.startswith("sqlite:///") or len(rest) == len("sqlite:///"):
        raise InvalidError("url", url, _URLS)
    return Path(rest.removeprefix("sqlite:///")), dict(parse_qsl(query))


def settings_of(url: str, given: dict[str, Any]) -> tuple[Path, Settings]:
    """The file and the settings of a URL and keyword arguments; an argument wins over the URL's option."""
    from rota.embedded.settings import read_settings

    path, options = split_url(url)
    return path, read_settings(options, given)


def database(url: str = DEFAULT_URL, **settings: Any) -> SqliteFile:
    """The SQLite file behind `url`, created and migrated if need be."""
    from rota.embedded.sqlite.file import SqliteFile

    path, found = settings_of(url, settings)
    return SqliteFile(path, found.durability)


def connect(url: str = DEFAULT_URL, app: App | None = None, **settings: Any) -> Client:
    """A client of the store at `url`. app: lets it check task names. settings: fields of Settings, such as
    durability="process"; for aws://STACK, region and endpoint_url."""
    if url.startswith("aws://"):
        return _connect_stack(url, app, settings)
    file = database(url, **settings)
    return _client(file, app, None, _around(file))


def _connect_stack(url: str, app: App | None, settings: dict[str, Any]) -> Client:
    try:
        from rota.aws.connect import connect_url
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("boto3", "botocore"):
            raise
        raise InvalidError(
            "url", url, "a sqlite URL unless `rota[aws]` is installed: pip install 'rota[aws]'"
        ) from None
    return connect_url(url, app, settings, actor())


def _around(file: SqliteFile) -> Surroundings:
    from rota.service.batches import Surroundings

    directory = file.database.path.absolute().with_name(file.database.path.name + ".batches") / "{run}"
    return Surroundings(str(directory), str(Path.cwd()), os.cpu_count() or 1, one_machine=True)


def _client(file: SqliteFile, app: App | None, notify: Callable[[], None] | None, around: Surroundings) -> Client:
    from rota.client import Client
    from rota.system import RandomIds, SystemClock

    return Client(
        file.schedules,
        file.runs,
        file.queues,
        file.batches,
        SystemClock(),
        RandomIds(),
        app=app,
        around=around,
        actor=actor(),
        notify=notify,
        close=None if notify else file.close,
        sleep=time.sleep,
    )


def clock() -> Clock:
    """This machine's clock."""
    from rota.system import SystemClock

    return SystemClock()


def excluded_dates(path: str) -> tuple[str, ...]:
    """The excluded dates in a text file or an .ics calendar, as triggers take them. InvalidError where it has none."""
    from rota.connectors.calendar import excluded_dates as read

    return read(path)


def emulator(port: int) -> Emulator:
    """AWS on this machine, not yet started: a context manager. port: 0 for a free one."""
    from rota.testing.emulator import Emulator

    return Emulator(port)


@contextmanager
def _needing_aws() -> Iterator[None]:
    """NotFoundError where what is imported within is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise NotFoundError("module", error.name or "boto3", "pip install 'rota[aws]' brings it") from error


def functions(region: str | None = None, endpoint_url: str | None = None) -> Functions:
    """Lambda functions on the fly, with the credentials of the environment."""
    with _needing_aws():
        from rota.aws.functions import Functions
        from rota.aws.sessions import client

    return Functions(lambda service: client(service, region, endpoint_url))


def synthesize(app: App, name: str, platform: Platform | None, **options: Any) -> Synthesis:
    """The stack of `app`, which came from `load_app(name)`. platform, options: those of rota.aws.synth."""
    from rota.aws.synth import synthesize as make

    return make(app, name, platform, **options)


def check_region() -> None:
    """RotaError if nothing says in which region of AWS to deploy."""
    with _needing_aws():
        from rota.aws.sessions import check_region as check

    check()


def deployer(bucket: str | None, **hooks: Any) -> Deployer:
    """What deploys stacks with the credentials of the environment. hooks: those of rota.aws.deploy."""
    with _needing_aws():
        from rota.aws.deploy import deployer as make

    return make(bucket, **hooks)


def actor() -> str:
    """Who is calling, for pauses and the like."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def engine(url: str = DEFAULT_URL, app: App | None = None, **settings: Any) -> Serving:
    """An engine for `app` on the store at `url`, not yet started: use it as a context manager, or call start and stop.
    StoreLockedError if another server has the file."""
    from rota.core.target import StepFunctionsTarget
    from rota.embedded.batch.host import BatchHost
    from rota.embedded.engine import Engine
    from rota.embedded.lock import ServerLock
    from rota.embedded.serving import Serving
    from rota.embedded.sqlite.file import SqliteFile
    from rota.processing.starting import batch_call
    from rota.system import SystemClock

    path, found = settings_of(url, settings)
    served = app or App("rota")
    lock = ServerLock(path)
    try:
        file = SqliteFile(path, found.durability)
    except BaseException:
        lock.release()
        raise

    http, aws = _HttpOnDemand(), _AwsOnDemand(found.workers)

    def release() -> None:
        host.stop(0)
        http.close()
        aws.close()
        file.close()
        lock.release()

    clock, around = SystemClock(), _around(file)
    host = BatchHost(file.batches, clock, served, file.database.version, retention=found.retention)
    made = Engine(
        schedules=file.schedules,
        runs=file.runs,
        clock=clock,
        tasks=served.tasks,
        calls=_calls(file, clock, http, aws, batch_call(file.batches, served.batches, around, clock, host.wake)),
        settings=found,
        changed=file.database.version,
        release=release,
        inquiries={StepFunctionsTarget: aws.inquire},
    )

    def wake() -> None:
        made.wake()
        host.wake()

    needs = partial(file.lacking, served.tasks, served.batches)
    return Serving(made, host, _client(file, app, wake, around), app, needs)


def foreground(url: str, app: App, **settings: Any) -> Foreground:
    """What carries out one batch run in this process. StoreLockedError if another process has the file."""
    from rota.embedded.batch.foreground import Foreground
    from rota.embedded.lock import ServerLock
    from rota.embedded.sqlite.file import SqliteFile
    from rota.processing.starting import batch_call
    from rota.system import SystemClock

    path, found = settings_of(url, settings)
    lock = ServerLock(path, only="")
    try:
        file = SqliteFile(path, found.durability)
    except BaseException:
        lock.release()
        raise
    http, aws, clock, around = _HttpOnDemand(), _AwsOnDemand(1), SystemClock(), _around(file)

    def release() -> None:
        http.close()
        aws.close()
        file.close()
        lock.release()

    def wake() -> None:
        made.wake()

    made = Foreground(
        _client(file, app, wake, around),
        app,
        batches=file.batches,
        runs=file.runs,
        clock=clock,
        calls=_calls(file, clock, http, aws, batch_call(file.batches, app.batches, around, clock, wake)),
        changed=file.database.version,
        carry=lock.carry,
        release=release,
    )
    return made


def holder(url: str) -> Holder | None:
    """Which process carries out what the file of a sqlite URL holds; None if none does."""
    from rota.embedded.lock import holder_of

    return holder_of(split_url(url)[0])


def _calls(
    file: SqliteFile, clock: Clock, http: _HttpOnDemand, aws: _AwsOnDemand, batch: TargetCall
) -> dict[type, TargetCall]:
    """How each kind of target but tasks is carried out."""
    from rota.core.target import AwsTarget, BatchTarget, HttpTarget, QueueTarget
    from rota.targets.queue import queue_call

    return {
        QueueTarget: queue_call(file.queues, clock),
        BatchTarget: batch,
        HttpTarget: http,
        **dict.fromkeys(get_args(AwsTarget), aws),
    }


def verified(path: str) -> tuple[Receipt, list[str]]:
    """The receipt in a file, or the latest in a directory, and everything that is wrong with its batch run."""
    from rota.connectors.manifest import read_receipt
    from rota.connectors.papers import local_papers
    from rota.connectors.verifying import verify_manifest

    with local_papers(path) as place:
        return read_receipt(place), verify_manifest(place)


def plan_batch(run: BatchRun, app: App) -> Plan:
    """How a batch run that is not stored would be cut."""
    from rota.connectors.stored import generator_of
    from rota.embedded.batch.sampling import plan_of

    return plan_of(run, generator_of(app.batches[run.name].source) if _generates(run) else None)


def sample_batch(run: BatchRun, app: App, items: int) -> Estimate:
    """What a sample of about `items` items says of a batch run that is not stored."""
    from rota.connectors.stored import generator_of
    from rota.embedded.batch.sampling import sample

    make = generator_of(app.batches[run.name].source) if _generates(run) else None
    return sample(run, app.tasks, make, items)


def _generates(run: BatchRun) -> bool:
    return run.spec.source.get("type") == "generator"


class _HttpOnDemand:
    """The HTTP target, made when it is first used: its client and the trusted certificates cost more than the
    engine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._call: HttpCall | None = None

    def __call__(self, run: Run) -> bytes | None:
        with self._lock:
            if self._call is None:
                from rota.targets.http import http_call

                self._call = http_call()
        return self._call(run)

    def close(self) -> None:
        if self._call is not None:
            self._call.close()


class _AwsOnDemand:
    """The targets on AWS, made when one is first used: boto3 takes longer to load than the engine to start.
    connections: how many threads may call at once."""

    def __init__(self, connections: int) -> None:
        self._lock = threading.Lock()
        self._connections = connections
        self._clients: Clients | None = None
        self._calls: dict[type, AwsCall] = {}

    def __call__(self, run: Run) -> bytes | None:
        return self._call(run)(run)

    def inquire(self, run: Run) -> Result | None:
        return self._call(run).inquire(run)

    def _call(self, run: Run) -> AwsCall:
        with self._lock:
            if not self._calls:
                self._make(run)
        return self._calls[type(run.spec.target)]

    def _make(self, run: Run) -> None:
        try:
            from rota.targets.aws import Clients
            from rota.targets.on_aws import aws_calls
        except ModuleNotFoundError as error:
            raise TargetError(
                f"{run.spec.target} needs boto3, which `pip install 'rota[aws]'` brings",
                transient=False,
                schedule=run.schedule_id,
                run=run.id,
            ) from error
        self._clients = Clients(self._connections)
        self._calls = aws_calls(self._clients)

    def close(self) -> None:
        if self._clients is not None:
            self._clients.close()
