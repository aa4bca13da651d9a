"""Functions on the fly: Lambda functions made from a file, a directory or a text, with plain AWS credentials.

Idea. What is to run is bundled and checked before anything is made. A function carries two tags: one says that rota
made it, without which rota neither changes nor deletes it; the other holds the digest of its bundle, so that creating
it again with the same source changes nothing. Every change is published as a version, which never changes again.

Failures. The digest is written last. Whoever dies before leaves a function whose tag says less than it runs, and the
next `create` does everything again, to the same end. A role that was made for a function which then could not be made
is removed. A new role is not known everywhere in AWS for some seconds, in which Lambda refuses it: that is waited for.
"""

from __future__ import annotations

import base64
import builtins
import ipaddress
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from botocore.exceptions import ClientError

from rota.aws.bundle import Bundle, make_bundle
from rota.aws.function import (
    CONTENT,
    OWNED,
    PAYLOAD_LIMIT,
    Function,
    Invocation,
    Options,
    Version,
    check_name,
    function_of,
    version_of,
)
from rota.aws.function_role import ensure_role, remove_role
from rota.aws.platform import Platform, own_python
from rota.aws.sessions import translating
from rota.aws.source import Source, choose_handler
from rota.connectors.aws_errors import code_of
from rota.core.errors import ConflictError, ExistsError, InvalidError, NotFoundError, RotaError

_MEMORY, _TIMEOUT = 256, 60
_WAITS = 120
_LONGEST_WAIT = 2.0
_TRIES_OF_A_ROLE = 20  # half a minute

Change = Literal["created", "updated", "unchanged"]


class Made(msgspec.Struct, frozen=True):
    """What `create` and `update` did. bundle: None where the code was not touched."""

    function: Function
    change: Change
    bundle: Bundle | None


class Functions:
    """client: the boto3 client of a service by its name. sleep: waits the given seconds. cache: where wheels are kept.

    An endpoint on this machine is an emulator, which runs functions with this machine's Python: what is made for it is
    bundled with what is installed here, whatever its runtime says.

    Every call raises NotFoundError for a function that is not there, and RotaError with the name of the permission
    that is missing."""

    def __init__(
        self,
        client: Callable[[str], Any],
        *,
        sleep: Callable[[float], None] = time.sleep,
        cache: Path | None = None,
    ) -> None:
        self._make_client = client
        self._clients: dict[str, Any] = {}
        self._sleep = sleep
        self._cache = cache

    def create(
        self,
        name: str,
        source: Source,
        options: Options | None = None,
        *,
        requirements: Path | Sequence[str] | None = None,
    ) -> Made:
        """Make a function, or bring the one that rota made under this name to this source and these options.

        InvalidError for a bad name, source, option or bundle, before anything is made; ExistsError for a function that
        rota did not make."""
        check_name(name)
        options = options or Options()
        handler = choose_handler(source, options.handler)
        found = self._find(name)
        if found is not None:
            return self._change(found, source, options, handler, requirements)
        platform = _platform(options.architecture or "arm64", options.runtime or f"python{own_python()}")
        bundle = self._bundle(source, platform, requirements)
        request = self._create_request(name, bundle, platform, handler, options)
        role, made = (options.role, False) if options.role else self._role(name)
        request["Role"] = role
        try:
            self._create(request, tries=_TRIES_OF_A_ROLE if made else 1)
        except BaseException:
            if made:
                remove_role(self._client("iam"), self._client("logs"), name)
            raise
        return Made(self._publish(name, bundle.digest), "created", bundle)

    def update(
        self,
        name: str,
        source: Source | None = None,
        options: Options | None = None,
        *,
        requirements: Path | Sequence[str] | None = None,
    ) -> Made:
        """Change a function that rota made; what is not given stays. source: None keeps the code."""
        check_name(name)
        options = options or Options()
        if source is None and requirements is not None:
            raise InvalidError("requirements", str(requirements), "only together with the source that needs them")
        handler = options.handler if source is None else choose_handler(source, options.handler)
        found = self._find(name)
        if found is None:
            raise NotFoundError("function", name, "rota function create makes it")
        return self._change(found, source, options, handler, requirements)

    def list(self) -> list[Function]:
        """The functions that rota made, by name. One made seconds ago may be missing."""
        with translating("tag"):
            pages = self._client("resourcegroupstaggingapi").get_paginator("get_resources")
            filters = {"TagFilters": [{"Key": OWNED}], "ResourceTypeFilters": ["lambda:function"]}
            arns = [it["ResourceARN"] for page in pages.paginate(**filters) for it in page["ResourceTagMappingList"]]
        found = [self._get(arn) for arn in arns]
        return sorted(
            (function_of(it["Configuration"], it.get("Tags", {})) for it in found if it), key=lambda it: it.name
        )

    def get(self, name: str) -> Function:
        """One function that rota made, with its newest version."""
        found = self._owned(name)
        versions = self._versions(name)
        return function_of(found["Configuration"], found["Tags"], versions[-1].version if versions else None)

    def versions(self, name: str) -> builtins.list[Version]:
        """The published versions of a function that rota made, newest first."""
        self._owned(name)
        return self._versions(name)[::-1]

    def invoke(self, name: str, payload: bytes = b"null", version: str | None = None) -> Invocation:
        """Invoke a function once and wait for its answer. payload: JSON. version: else the newest code."""
        if len(payload) > PAYLOAD_LIMIT:
            raise InvalidError("payload", f"{len(payload):,} bytes", f"at most {PAYLOAD_LIMIT:,} bytes of JSON")
        qualifier = {} if version is None else {"Qualifier": version}
        with translating("lambda", function=name):
            try:
                answer = self._client("lambda").invoke(FunctionName=name, Payload=payload, LogType="Tail", **qualifier)
            except ClientError as error:
                if code_of(error) != "ResourceNotFoundException":
                    raise
                raise NotFoundError("function", name if version is None else f"{name}:{version}") from None
            value: bytes = answer["Payload"].read()
        failed = _error_of(value, answer["FunctionError"]) if "FunctionError" in answer else None
        log = base64.b64decode(answer.get("LogResult", "")).decode("utf-8", "replace")
        return Invocation(answer.get("ExecutedVersion", "$LATEST"), value or b"null", failed, log)

    def delete(self, name: str) -> builtins.list[str]:
        """Delete a function that rota made, with its versions, and the role and the log group that were made for it.
        Answers what was removed, in words."""
        self._owned(name)
        with translating("lambda", function=name):
            self._client("lambda").delete_function(FunctionName=name)
        return [f"function {name}", *remove_role(self._client("iam"), self._client("logs"), name)]

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._make_client(service)
        return self._clients[service]

    def _get(self, name: str) -> dict[str, Any] | None:
        with translating("lambda", function=name):
            try:
                found: dict[str, Any] = self._client("lambda").get_function(FunctionName=name)
            except ClientError as error:
                if code_of(error) != "ResourceNotFoundException":
                    raise
                return None
        return found

    def _find(self, name: str) -> dict[str, Any] | None:
        """The function, if there is one; ExistsError if rota did not make it."""
        found = self._get(name)
        if found is not None and found.get("Tags", {}).get(OWNED) != name:
            raise ExistsError("function", name, f"rota did not make it (it has no tag {OWNED}), so it is left alone")
        return found

    def _owned(self, name: str) -> dict[str, Any]:
        found = self._get(name)
        if found is None:
            raise NotFoundError("function", name)
        if found.get("Tags", {}).get(OWNED) != name:
            raise ConflictError(f"function {name!r} was not made by rota: it has no tag {OWNED}", function=name)
        return found

    def _bundle(self, source: Source, platform: Platform, requirements: Path | Sequence[str] | None) -> Bundle:
        here = _is_loopback(self._client("lambda").meta.endpoint_url)
        return make_bundle(source, None if here else platform, requirements=requirements, cache=self._cache)

    def _role(self, name: str) -> tuple[str, bool]:
        return ensure_role(self._client("iam"), self._client("logs"), name)

    def _create_request(
        self, name: str, bundle: Bundle, platform: Platform, handler: str, options: Options
    ) -> dict[str, Any]:
        return {
            "FunctionName": name,
            "Runtime": platform.runtime,
            "Architectures": [platform.architecture],
            "Handler": handler,
            "Code": {"ZipFile": bundle.data},
            "MemorySize": options.memory or _MEMORY,
            "Timeout": options.timeout or _TIMEOUT,
            "Description": options.description or "",
            "Environment": {"Variables": options.environment or {}},
            "Tags": {OWNED: name},
        }

    def _create(self, request: dict[str, Any], *, tries: int) -> None:
        """tries: how often a role that Lambda cannot take on is tried; more than once only if it is new."""
        with translating("lambda", function=request["FunctionName"]):
            for pause in self._pauses(tries):
                try:
                    self._client("lambda").create_function(**request)
                    return
                except ClientError as error:
                    unknown_yet = code_of(error) == "InvalidParameterValueException" and "assumed" in str(error)
                    if not unknown_yet or pause is None:
                        raise
                    self._sleep(pause)

    def _change(
        self,
        found: dict[str, Any],
        source: Source | None,
        options: Options,
        handler: str | None,
        requirements: Path | Sequence[str] | None,
    ) -> Made:
        now = function_of(found["Configuration"], found["Tags"])
        platform = _platform(options.architecture or now.architecture, options.runtime or now.runtime)
        moved = platform.architecture != now.architecture
        if source is None and moved:
            raise InvalidError("architecture", platform.architecture, "only together with the source")
        bundle = None if source is None else self._bundle(source, platform, requirements)
        wanted = _configuration(options, handler, platform)
        has = found["Configuration"]
        differing = {name: value for name, value in wanted.items() if has.get(name, _ABSENT.get(name)) != value}
        recoded = bundle is not None and (bundle.digest != now.content or moved)
        if not differing and not recoded:
            return Made(self.get(now.name), "unchanged", bundle)
        self._settled(now.name)
        with translating("lambda", function=now.name):
            if bundle is not None and recoded:
                self._client("lambda").update_function_code(
                    FunctionName=now.name, ZipFile=bundle.data, Architectures=[platform.architecture]
                )
                self._settled(now.name)
            if differing:
                self._client("lambda").update_function_configuration(FunctionName=now.name, **differing)
        return Made(self._publish(now.name, bundle.digest if bundle else now.content), "updated", bundle)

    def _publish(self, name: str, digest: str) -> Function:
        self._settled(name)
        with translating("lambda", function=name):
            published = self._client("lambda").publish_version(FunctionName=name, Description=f"content {digest[:12]}")
            self._settled(name, published["Version"])
            arn = published["FunctionArn"].removesuffix(f":{published['Version']}")
            self._client("lambda").tag_resource(Resource=arn, Tags={CONTENT: digest})
        return self.get(name)

    def _settled(self, name: str, version: str | None = None) -> None:
        """Wait until Lambda has finished what it was last told to do."""
        qualifier = {} if version is None else {"Qualifier": version}
        for pause in self._pauses():
            with translating("lambda", function=name):
                now = self._client("lambda").get_function_configuration(FunctionName=name, **qualifier)
            state, update = now.get("State", "Active"), now.get("LastUpdateStatus", "Successful")
            if "Failed" in (state, update):
                reason = now.get("StateReason") or now.get("LastUpdateStatusReason") or "no reason given"
                raise RotaError(f"Lambda could not make function {name!r} ready: {reason}", function=name)
            if state != "Pending" and update != "InProgress":
                return
            if pause is not None:
                self._sleep(pause)
        raise RotaError(f"function {name!r} is not ready after minutes; rota function show says more", function=name)

    def _pauses(self, tries: int = _WAITS) -> Iterator[float | None]:
        """Seconds to wait after each try; None after the last."""
        for attempt in range(tries - 1):
            yield min(0.1 * 1.5**attempt, _LONGEST_WAIT)
        yield None

    def _versions(self, name: str) -> builtins.list[Version]:
        """Oldest first."""
        with translating("lambda", function=name):
            pages = self._client("lambda").get_paginator("list_versions_by_function").paginate(FunctionName=name)
            found = [version_of(it) for page in pages for it in page["Versions"] if it["Version"] != "$LATEST"]
        return sorted(found, key=lambda it: int(it.version))


_ABSENT: dict[str, Any] = {"Environment": {"Variables": {}}, "Description": ""}


def _platform(architecture: str, runtime: str) -> Platform:
    return Platform(architecture, runtime.removeprefix("python"))  # type: ignore[arg-type]  # Platform checks it


def _configuration(options: Options, handler: str | None, platform: Platform) -> dict[str, Any]:
    """What the options say, in Lambda's words."""
    wanted = {
        "Runtime": platform.runtime,
        "Handler": handler,
        "Role": options.role,
        "MemorySize": options.memory,
        "Timeout": options.timeout,
        "Description": options.description,
        "Environment": None if options.environment is None else {"Variables": options.environment},
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _error_of(value: bytes, kind: str) -> str:
    try:
        said = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return kind
    if not isinstance(said, dict):
        return kind
    return f"{said.get('errorType', kind)}: {said.get('errorMessage', 'no message')}"
