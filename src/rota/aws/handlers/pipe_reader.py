"""The reader of pipelines: called by a schedule, through its URL, or directly; starts a batch run and cuts its source.

A direct call raises, so that Lambda reports it as the error of a function; the URL answers with status codes.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from rota.aws.batch.pipe_read import Reader
from rota.aws.handlers.batching import app, batches
from rota.aws.handlers.over_http import is_http, over_http
from rota.aws.handlers.setting import Context, began, starting

log: logging.Logger = logging.getLogger("rota.batch")


@cache
def reader() -> Reader:
    """The reader of this function's stack."""
    it = batches()
    declared = app()
    return Reader(
        it.ledger,
        it.parts.near,
        it.settings,
        it.parts.clock,
        it.planner(declared),
        declared.batches,
        it.around,
        declared.tasks,
    )


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Answer a call of the URL, or a direct one."""
    began(context)

    def start(asked: Any) -> dict[str, Any]:
        return reader().start(asked, context.get_remaining_time_in_millis)

    return over_http(event, start, lambda _: True, log) if is_http(event) else start(event)


if starting():
    reader()
