"""What engine and worker say to each other: JSON lines over a socket pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rota.core.retry import Retry
from rota.processing.jobs import Job, Report


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """Sent once, first. module, file: where the task is defined. path, environ, cwd: the engine's. lock: the file that
    every
    worker of the batch run holds shared as long as it lives. memory: MB that the worker may have."""

    name: str
    created: int
    module: str
    file: str
    path: list[str]
    environ: dict[str, str]
    cwd: str
    task: str
    source: dict[str, Any]
    sink: dict[str, Any]
    directory: str
    lock: str
    retry: Retry | None
    async_limit: int
    memory: int | None = None


READY = -1
encode: Callable[[object], bytes] = msgspec.json.Encoder().encode
decode_setup: Callable[[bytes], Setup] = msgspec.json.Decoder(Setup).decode
decode_job: Callable[[bytes], Job] = msgspec.json.Decoder(Job).decode
decode_report: Callable[[bytes], Report] = msgspec.json.Decoder(Report).decode
