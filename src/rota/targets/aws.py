"""What calls to AWS have in common: clients, what their errors amount to, and how a run goes by an id there.

Clients. Making one costs a tenth of a second and calling one is safe from any thread, so each is made once and shared.
The SDK itself repeats what was throttled or broke off, twice, with backoff, save for runs delivered at most once; what
fails all the same is for the run's own retry policy. Endpoint, region and credentials come from the usual AWS settings;
a region that an ARN or a queue's URL names wins.

Errors. The service's answer decides: a throttled call, a timeout, a conflict with a deployment under way and a 5xx are
transient, whatever is denied, unknown or invalid is final, whichever status it comes with. Trouble on the way there is
transient, too; no region and no credentials are final. Messages name the action, as a policy spells it, and the
resource.

Payloads. `<rota-run-id>` and `<rota-scheduled>` within a payload stand for the run's id and its nominal time, because
not every service hands on more than the payload.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Protocol

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 botocore's own, which is no OSError
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from rota.core.errors import TargetError
from rota.core.ids import iso
from rota.core.outcome import Result
from rota.core.run import Run
from rota.targets.task import VALUE_LIMIT

DERIVED_LIMIT = 80
_CONNECT_TIMEOUT = 5
# A call that waits for work done elsewhere must outlast it: a function 15 minutes, an Express execution 5.
_READ_TIMEOUTS = {"lambda": 910, "stepfunctions": 310}
_READ_TIMEOUT = 20
_LONGEST_WAIT = 86_400.0

_FINAL = re.compile(r"AccessDenied|NotAuthorized|NotFound|DoesNotExist|NonExistent|Invalid|Disabled")
_LATER = re.compile(
    r"Throttl|TooManyRequests|RequestLimit|ExecutionLimit|SlowDown|Timeout|TimedOut|NotReady|Unavailable"
)
_LATER_STATUS = frozenset((408, 425, 429))
_CONFLICTS = frozenset(("ResourceConflictException", "ConcurrentModification", "OperationAborted"))


class ClientOf(Protocol):
    """Answers with the boto3 client of a service in a region (None: the usual one). once: one that repeats nothing."""

    def __call__(self, service: str, region: str | None = None, *, once: bool = False) -> Any: ...


class AwsCall(Protocol):
    """How a target on AWS is carried out (rota.ports.target.TargetCall), and asked about a run that was cut off."""

    def __call__(self, run: Run) -> bytes | None: ...

    def inquire(self, run: Run) -> Result | None: ...


class Clients:
    """Clients for many threads, each made when it is first asked for. connections: how many threads call at once."""

    def __init__(self, connections: int = 10) -> None:
        self._connections = connections
        self._lock = Lock()
        self._session: boto3.session.Session | None = None
        self._made: dict[tuple[str, str | None, bool], Any] = {}

    def __call__(self, service: str, region: str | None = None, *, once: bool = False) -> Any:
        key = (service, region, once)
        with self._lock:
            if key not in self._made:
                self._session = self._session or _session()
                self._made[key] = self._make(self._session, service, region, once)
            return self._made[key]

    def _make(self, session: boto3.session.Session, service: str, region: str | None, once: bool) -> Any:
        config = Config(
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=_READ_TIMEOUTS.get(service, _READ_TIMEOUT),
            max_pool_connections=self._connections,
            retries={"mode": "standard", "total_max_attempts": 1 if once else 3},
            tcp_keepalive=True,  # a function may be silent for longer than a NAT gateway remembers the connection
        )
        made = session.client(service, region_name=region, config=config)
        if service == "stepfunctions" and not re.search(r"//states\.[^/]*\.amazonaws\.", made.meta.endpoint_url):
            # StartSyncExecution goes to sync-HOST, which only AWS's own host name has.
            made = session.client(service, region_name=region, config=config.merge(Config(inject_host_prefix=False)))
        return made

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            for made in self._made.values():
                made.close()
            self._made.clear()


def _session() -> boto3.session.Session:
    """A session with credentials. One without is not kept: they may be there the next time."""
    session = boto3.session.Session()
    if session.get_credentials() is None:
        raise NoCredentialsError
    return session


@contextmanager
def telling(run: Run, action: str, resource: str) -> Generator[None]:
    """Errors of the SDK become TargetError: they name the action and the resource, and carry the ids of `run`."""
    about = f"{action} on {resource}"

    def failed(message: str, *, transient: bool, retry_after: float = 0.0) -> TargetError:
        return TargetError(
            f"{about}: {message}",
            transient=transient,
            retry_after=retry_after,
            schedule=run.schedule_id,
            run=run.id,
        )

    try:
        yield
    except ClientError as error:
        code, status = code_of(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        transient = is_transient(code, status)
        said = f"{code}: {error.response.get('Error', {}).get('Message') or 'no more is said'}"
        raise failed(said, transient=transient, retry_after=_asked_wait(error) if transient else 0.0) from error
    except NoRegionError as error:
        raise failed(
            "no AWS region: set AWS_DEFAULT_REGION, choose a profile that has one, or name the target by its ARN",
            transient=False,
        ) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise failed(
            f"no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile or a role ({error})",
            transient=False,
        ) from error
    except (HTTPClientError, ConnectionError, IncompleteReadError) as error:
        raise failed(str(error), transient=True) from error
    except (CredentialRetrievalError, MetadataRetrievalError) as error:
        raise failed(f"the AWS credentials could not be fetched: {error}", transient=True) from error
    except BotoCoreError as error:
        raise failed(str(error), transient=False) from error


def code_of(error: ClientError) -> str:
    """The service's own name for the error, such as "AccessDeniedException"."""
    return str(error.response.get("Error", {}).get("Code") or "no code")


def is_transient(code: str, status: int) -> bool:
    """Whether an answer with this error code and HTTP status may be another one next time."""
    if _FINAL.search(code):
        return False
    return bool(_LATER.search(code)) or code in _CONFLICTS or status in _LATER_STATUS or status >= 500


def _asked_wait(error: ClientError) -> float:
    said = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    return min(float(said), _LONGEST_WAIT) if said.isascii() and said.isdigit() else 0.0


def filled(run: Run) -> bytes:
    """The payload of `run`, with `<rota-run-id>` and `<rota-scheduled>` within it replaced by what they stand for."""
    if b"<rota-" not in run.payload:
        return run.payload
    # Neither holds a character that JSON would want escaped.
    return run.payload.replace(b"<rota-run-id>", run.id.encode()).replace(
        b"<rota-scheduled>", iso(run.scheduled).encode()
    )


def check_size(run: Run, size: int, limit: int, action: str, resource: str) -> None:
    """TargetError if `size` bytes are more than the service takes."""
    if size > limit:
        raise TargetError(
            f"{action} on {resource}: {size} bytes are too many, at most {limit} are allowed; put large data in S3 and "
            f"pass its name",
            transient=False,
            schedule=run.schedule_id,
            run=run.id,
        )


def derived_id(run: Run) -> str:
    """An id for `run` of at most 80 letters, digits, - and _, the same for each of its attempts: readable as far as
    there is room, and told apart by a hash of the run id from every other."""
    digest = hashlib.blake2b(run.id.encode(), digest_size=8).hexdigest()
    time = re.sub(r"[-:]", "", iso(run.scheduled)).replace(".", "-")
    tail = f"-{time}-{digest}"
    return re.sub(r"[^A-Za-z0-9_-]", "-", run.schedule_id)[: DERIVED_LIMIT - len(tail)] + tail


def kept_answer(text: bytes) -> bytes | None:
    """What a program answered, as the JSON that its run keeps: None if it is empty, null or over 64 KiB. What is no
    JSON is kept as text."""
    if not text or text == b"null" or len(text) > VALUE_LIMIT:
        return None
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        text = msgspec.json.encode(text.decode("utf-8", "replace"))
    return text if len(text) <= VALUE_LIMIT else None
