"""The ad-hoc function: called directly, or through its URL, which answers with status codes.

A direct call raises instead, so that Lambda reports it as the error of a function.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import Any

from rota.aws.adhoc import AdHoc
from rota.aws.batch.settings import BatchSettings
from rota.aws.handlers.over_http import is_http, over_http
from rota.aws.handlers.setting import Context, began, figures, parts, starting
from rota.aws.payloads import Payloads
from rota.aws.sessions import client
from rota.aws.stack_client import KnownTargets, client_of

log: logging.Logger = logging.getLogger("rota.adhoc")


@cache
def adhoc() -> AdHoc:
    """The ad-hoc face of this function's stack."""
    built = parts()
    payloads = Payloads(client("s3"), built.settings.bucket) if built.settings.large_payloads else None
    has_batches = BatchSettings.from_env(os.environ) is not None
    known = KnownTargets(built.sqs, built.settings, batches=has_batches)
    made = client_of(built, actor="ad-hoc", known=known)
    return AdHoc(made, f"sqs:{built.settings.queue_prefix}data", payloads, known)


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Answer a call of the URL, or a direct one."""
    began(context)
    try:
        return over_http(event, _counted, _creates, log) if is_http(event) else _counted(event)
    finally:
        figures().flush()


def _counted(asked: Any) -> dict[str, Any]:
    answer = adhoc().handle(asked)
    figures().put("AdHocCalls", 1, "Count")
    return answer


def _creates(asked: Any) -> bool:
    return isinstance(asked, dict) and ("timestamp" in asked or "schedules" in asked)


if starting():
    adhoc()
