"""What all functions set up once, when they are first invoked or, within Lambda, while the environment starts."""

from __future__ import annotations

import logging
import os
import sys
from functools import cache
from typing import Protocol

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from rota.aws.emf import Emf
from rota.aws.engine import Parts, parts_of
from rota.aws.settings import StackSettings

if os.environ.get("ROTA_TRACING") == "1":
    # It costs a tenth of a second at every cold start, so it is imported only where somebody wants traces.
    from aws_xray_sdk.core import patch  # type: ignore[import-untyped,unused-ignore]

    patch(("botocore",))


class Context(Protocol):
    """What Lambda tells a handler of its invocation."""

    @property
    def aws_request_id(self) -> str: ...
    @property
    def function_name(self) -> str: ...
    def get_remaining_time_in_millis(self) -> int: ...


@cache
def parts() -> Parts:
    """The parts of this function's stack, from its environment."""
    settings = StackSettings.from_env(os.environ)
    _log(settings)
    return parts_of(settings)


@cache
def figures() -> Emf:
    """Where the function's figures go."""
    return Emf(parts().settings.stack, parts().clock)


def starting() -> bool:
    """Whether this is a Lambda environment that starts: what is set up then is not waited for by the first event."""
    return "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ


def began(context: Context) -> None:
    """An invocation began: its id goes into every line of the log."""
    parts()
    for handler in logging.getLogger("rota").handlers:
        if isinstance(handler.formatter, LambdaPowertoolsFormatter):
            handler.formatter.append_keys(function_request_id=context.aws_request_id)


def _log(settings: StackSettings) -> None:
    logger = logging.getLogger("rota")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(LambdaPowertoolsFormatter(service=settings.stack))
        logger.addHandler(handler)
        # Lambda's own handler, on the root logger, would write every line again.
        logger.propagate = False
    logger.setLevel(os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO").upper())
