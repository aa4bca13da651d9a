"""The names that AWS gives things, as far as targets spell them: checked when a target is defined, so that nothing is
stored that cannot be called. A Lambda function and an event bus may go by their names, all else goes by an ARN, a queue
by its URL too.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from rota.core.errors import InvalidError

_ARN = r"arn:aws[a-z-]*:{service}:[a-z]{{2,}}(?:-[a-z]+)+-\d+:\d{{12}}:"
_FUNCTION_NAME = r"[A-Za-z0-9_-]{1,64}(?::(?:\$LATEST|[A-Za-z0-9_-]{1,128}))?"
_FUNCTION = re.compile(rf"(?:{_ARN.format(service='lambda')}function:)?{_FUNCTION_NAME}")
_QUEUE_NAME = re.compile(r"(?=.{1,80}\Z)[A-Za-z0-9_-]+(?:\.fifo)?")
_QUEUE_ARN = re.compile(_ARN.format(service="sqs"))
_MACHINE = re.compile(
    _ARN.format(service="states") + r"stateMachine:[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/]{1,80}(?::[A-Za-z0-9_.-]{1,80})?"
)
_BUS = re.compile(rf"(?:{_ARN.format(service='events')}event-bus/)?[A-Za-z0-9._-]{{1,256}}")
_GROUP = re.compile(r"[!-~]{1,128}")
_REGION = r"[a-z]{2,}(?:-[a-z]+)+-\d+"
_HOST_REGION = re.compile(rf"(?:^|\.)sqs(?:-fips)?\.({_REGION})\.|^({_REGION})\.queue\.amazonaws\.")


def check_function(function: object) -> None:
    """InvalidError unless `function` is a Lambda function's name, with or without a qualifier, or its ARN."""
    if not isinstance(function, str) or not _FUNCTION.fullmatch(function):
        raise InvalidError(
            "target.function",
            function,
            "a Lambda function's NAME (at most 64 letters, digits, - and _), NAME:QUALIFIER or "
            "arn:aws:lambda:REGION:ACCOUNT:function:NAME",
        )


def check_queue(queue: object) -> None:
    """InvalidError unless `queue` is the URL or the ARN of an SQS queue."""
    if not isinstance(queue, str) or not (_is_queue_arn(queue) or _is_queue_url(queue)):
        raise InvalidError(
            "target.queue",
            queue,
            "an SQS queue's URL, such as https://sqs.eu-central-1.amazonaws.com/123456789012/orders, or "
            "arn:aws:sqs:REGION:ACCOUNT:NAME; names have at most 80 letters, digits, - and _, and end in .fifo if FIFO",
        )


def check_group(group: object) -> None:
    """InvalidError unless `group` may be an SQS message group."""
    if not isinstance(group, str) or not _GROUP.fullmatch(group):
        raise InvalidError("target.group", group, "1 to 128 letters, digits and ASCII punctuation")


def check_machine(machine: object) -> None:
    """InvalidError unless `machine` is the ARN of a state machine, or of one of its versions or aliases."""
    if not isinstance(machine, str) or not _MACHINE.fullmatch(machine):
        raise InvalidError(
            "target.machine",
            machine,
            "a state machine's ARN, arn:aws:states:REGION:ACCOUNT:stateMachine:NAME, with or without :VERSION or "
            ":ALIAS",
        )


def check_bus(bus: object) -> None:
    """InvalidError unless `bus` is an event bus's name or ARN."""
    if not isinstance(bus, str) or not _BUS.fullmatch(bus):
        raise InvalidError(
            "target.bus",
            bus,
            "an event bus's NAME (at most 256 letters, digits, and . - _; 'default' is there always) or "
            "arn:aws:events:REGION:ACCOUNT:event-bus/NAME",
        )


def check_source(source: object) -> None:
    """InvalidError unless events may name `source`."""
    if not _is_line(source, 256) or str(source).startswith("aws."):
        raise InvalidError(
            "target.source",
            source,
            "1 to 256 printable characters, which do not begin with 'aws.': those are AWS's own",
        )


def check_detail_type(detail_type: object) -> None:
    """InvalidError unless events may be of this type. EventBridge drops events with a longer one without a word."""
    if not _is_line(detail_type, 128):
        raise InvalidError("target.detail_type", detail_type, "1 to 128 printable characters")


def region_of(name: str) -> str | None:
    """The region that an ARN or a queue's URL names; None where it names none, as a function's or bus's bare name."""
    if name.startswith("arn:"):
        return name.split(":")[3]
    found = _HOST_REGION.search(urlsplit(name).hostname or "") if "//" in name else None
    return (found[1] or found[2]) if found else None


def _is_line(text: object, longest: int) -> bool:
    return isinstance(text, str) and 0 < len(text) <= longest and text.isprintable()


def _is_queue_arn(queue: str) -> bool:
    found = _QUEUE_ARN.match(queue)
    return found is not None and _QUEUE_NAME.fullmatch(queue[found.end() :]) is not None


def _is_queue_url(queue: str) -> bool:
    try:
        parts = urlsplit(queue)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    path = parts.path.split("/")
    named = len(path) >= 3 and re.fullmatch(r"\d{12}", path[-2]) and _QUEUE_NAME.fullmatch(path[-1])
    plain = not (parts.query or parts.fragment or parts.username or parts.password) and queue.isascii()
    return sound and bool(named) and plain and not re.search(r"[\s?#]", queue)
