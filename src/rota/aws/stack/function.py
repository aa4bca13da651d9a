"""A function of the stack, as data."""

from __future__ import annotations

from typing import Any

import msgspec

from rota.aws.stack.statements import Role

Json = dict[str, Any]


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """module: of `rota.aws.handlers`. timeout, memory: the parameter, or a fixed number. concurrency: likewise.
    queues: queue resources to read, with messages a batch. user_code: has the app in its bundle. hourly: is invoked
    once an hour. url: has a URL, for requests signed with IAM."""

    role: Role
    module: str
    about: str
    timeout: Any
    memory: str = "Memory"
    concurrency: Any
    queues: tuple[tuple[str, int], ...] = ()
    user_code: bool = False
    hourly: bool = False
    disk: int = 512
    url: bool = False


def ref(name: str) -> Json:
    """A parameter or a resource."""
    return {"Ref": name}
