"""A Lambda function made on the fly, as values: what it may be called and given, what it is, what it answered."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from rota.aws.platform import ARCHITECTURES, PYTHONS
from rota.core.errors import InvalidError
from rota.core.limits import check_number

OWNED = "rota:function"
"""The tag, with the function's name as its value, by which rota knows what it made and may change or delete."""
CONTENT = "rota:content"
"""The tag that holds the digest of the bundle that runs."""
PAYLOAD_LIMIT = 6 * 1024 * 1024
"""Bytes of an event that Lambda takes, and of an answer that it gives, when somebody waits for it."""

_RUNTIMES = tuple(f"python{version}" for version in PYTHONS)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,56}")  # 64 less the prefix of its role
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
_RESERVED = re.compile(r"AWS_(?!LAMBDA_EXEC_WRAPPER$|XRAY_|POWERTOOLS_).*|LAMBDA_.*|_.*")
_ENVIRONMENT_LIMIT = 4096
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}")


def check_name(name: str) -> None:
    """InvalidError unless rota can make a function of this name."""
    if not _NAME.fullmatch(name):
        raise InvalidError("name", name, "1 to 56 letters, digits, - and _")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a function is to run; None: as it is, or the default when it is new.

    handler: MODULE.FUNCTION, or the function alone. runtime: "python3.11", "python3.12" or "python3.13". memory: MB.
    timeout: seconds. environment: all variables, names to values. role: the ARN of an IAM role that Lambda may take on,
    instead of one that rota makes."""

    handler: str | None = None
    runtime: str | None = None
    architecture: Literal["arm64", "x86_64"] | None = None
    memory: int | None = None
    timeout: int | None = None
    environment: dict[str, str] | None = None
    role: str | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        if self.runtime is not None and self.runtime not in _RUNTIMES:
            raise InvalidError("runtime", self.runtime, "one of " + ", ".join(_RUNTIMES))
        if self.architecture is not None and self.architecture not in ARCHITECTURES:
            raise InvalidError("architecture", self.architecture, "one of " + ", ".join(ARCHITECTURES))
        if self.memory is not None:
            check_number("memory", self.memory, 128, 10_240, whole=True)
        if self.timeout is not None:
            check_number("timeout", self.timeout, 1, 900, whole=True)
        if self.role is not None and not _ROLE.fullmatch(self.role):
            raise InvalidError("role", self.role, "the ARN of an IAM role, arn:aws:iam::ACCOUNT:role/NAME")
        if self.description is not None and len(self.description) > 256:
            raise InvalidError("description", self.description, "at most 256 characters")
        if self.environment is not None:
            _check_environment(self.environment)


def _check_environment(environment: dict[str, str]) -> None:
    for name in environment:
        if not _VARIABLE.fullmatch(name) or _RESERVED.fullmatch(name):
            allowed = "letters, digits and _, at least two, a letter first; AWS_... and LAMBDA_... are Lambda's own"
            raise InvalidError("env", name, allowed)
    size = len(msgspec.json.encode(environment))
    if size > _ENVIRONMENT_LIMIT:
        raise InvalidError("env", f"{size:,} bytes", f"at most {_ENVIRONMENT_LIMIT:,} bytes in all")


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function as it is. version: the newest that was published, None where that was not asked. size: bytes of its
    zip. memory: MB. timeout: seconds. environment: the names of its variables, for the values may be secrets.
    content: digest of its bundle. modified: ISO text in UTC."""

    name: str
    arn: str
    state: str
    runtime: str
    architecture: str
    handler: str
    role: str
    memory: int
    timeout: int
    size: int
    modified: str
    environment: tuple[str, ...] = ()
    description: str = ""
    content: str = ""
    version: str | None = None

    @property
    def target(self) -> str:
        """What a schedule names to invoke it."""
        return f"lambda:{self.name}"


class Version(msgspec.Struct, frozen=True):
    """A published version. modified: ISO text in UTC, when it was published."""

    version: str
    modified: str
    size: int
    sha256: str
    description: str


class Invocation(msgspec.Struct, frozen=True):
    """What an invocation came to. value: the answer as JSON bytes, or what Lambda says of the error. error: None, or
    type and message of the error that the function raised or died of. log: the last 4 KB of its log."""

    version: str
    value: bytes
    error: str | None
    log: str


def function_of(configuration: dict[str, Any], tags: dict[str, str], version: str | None = None) -> Function:
    """The function that Lambda's answer describes."""
    return Function(
        name=configuration["FunctionName"],
        arn=configuration["FunctionArn"],
        state=configuration.get("State", "Active"),
        runtime=configuration.get("Runtime", ""),
        architecture=configuration.get("Architectures", ["x86_64"])[0],
        handler=configuration.get("Handler", ""),
        role=configuration.get("Role", ""),
        memory=configuration.get("MemorySize", 128),
        timeout=configuration.get("Timeout", 3),
        size=configuration.get("CodeSize", 0),
        modified=_iso(configuration["LastModified"]),
        environment=tuple(sorted(configuration.get("Environment", {}).get("Variables", {}))),
        description=configuration.get("Description", ""),
        content=tags.get(CONTENT, ""),
        version=version,
    )


def version_of(configuration: dict[str, Any]) -> Version:
    """The version that Lambda's answer describes."""
    return Version(
        configuration["Version"],
        _iso(configuration["LastModified"]),
        configuration.get("CodeSize", 0),
        configuration.get("CodeSha256", ""),
        configuration.get("Description", ""),
    )


def _iso(text: str) -> str:
    """Lambda writes 2026-11-21T09:00:00.000+0000."""
    return re.sub(r"\+00:?00$", "Z", text)
