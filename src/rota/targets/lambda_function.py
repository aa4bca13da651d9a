"""Invoke a Lambda function.

Idea. The payload is the event. The run is told in the client context, where handlers find it beside the event: in
Python `context.client_context.custom["rota-run-id"]`, with `rota-scheduled` and `rota-attempt`. Lambda hands that to
synchronous invocations alone; elsewhere `<rota-run-id>` in the payload does the same.

Two kinds of failure. An error of the service (throttled, denied, no such function) means that the function did not run,
and is told apart by `rota.targets.aws`. An error of the function itself comes with status 200: the failure then bears
the name that the function's runtime gives it, so that `retry_on` and `give_up_on` can name it, and the last line that
the function logged.

Cut off. Lambda does not say what became of an invocation that nobody waits for any more, so a run that was cut off is
invoked again with the same run id. A function that keeps its answers by that id gives the answer of the first time.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import msgspec

from rota.core.aws_names import region_of
from rota.core.errors import TargetError
from rota.core.ids import iso
from rota.core.outcome import Result
from rota.core.run import Run
from rota.core.target import LambdaTarget
from rota.targets.aws import ClientOf, check_size, filled, kept_answer, telling

ACTION = "lambda:InvokeFunction"
SYNC_LIMIT = 6 * 1024 * 1024
ASYNC_LIMIT = 1024 * 1024
_QUOTED = 200
_FRAME = re.compile(r'File "([^"]*)", line (\d+), in (\S+)')
_PLATFORM = re.compile(r"(START|END|REPORT|XRAY|INIT_START|INIT_REPORT|RESTORE_START|RESTORE_REPORT|RequestId:)\b")


class LambdaCall:
    """Invokes the function of a run's LambdaTarget. Safe to share between threads.

    Answers with what the function answered, up to 64 KiB of JSON, or for an asynchronous invocation with
    {"accepted": true, "requestId": ...}. Raises TargetError.
    """

    def __init__(self, client: ClientOf) -> None:
        self._client = client

    def __call__(self, run: Run) -> bytes | None:
        target = run.spec.target
        assert isinstance(target, LambdaTarget)
        event = filled(run)
        check_size(run, len(event), ASYNC_LIMIT if target.asynchronous else SYNC_LIMIT, ACTION, target.function)
        kind = {"InvocationType": "Event"} if target.asynchronous else {"LogType": "Tail", "ClientContext": _told(run)}
        with telling(run, ACTION, target.function):
            client = self._client("lambda", region_of(target.function), once=run.spec.delivery == "at_most_once")
            answer: dict[str, Any] = client.invoke(FunctionName=target.function, Payload=event, **kind)
            payload: bytes = answer["Payload"].read()
        if target.asynchronous:
            request = answer.get("ResponseMetadata", {}).get("RequestId")
            return msgspec.json.encode({"accepted": True, "requestId": request})
        if answer.get("FunctionError"):
            raise _function_failed(run, answer["FunctionError"], payload, answer.get("LogResult", ""))
        return kept_answer(payload)

    def inquire(self, run: Run) -> Result | None:
        """None: Lambda keeps no record that could be asked for."""
        return None


def _told(run: Run) -> str:
    custom = {"rota-run-id": run.id, "rota-scheduled": iso(run.scheduled), "rota-attempt": str(run.attempt + 1)}
    return base64.b64encode(msgspec.json.encode({"custom": custom})).decode()


class _Said(msgspec.Struct):
    """What runtimes say of an error; each leaves out what it likes."""

    errorMessage: Any = None  # noqa: N815 Lambda's spelling
    errorType: Any = None  # noqa: N815
    stackTrace: Any = None  # noqa: N815


def _function_failed(run: Run, kind: str, payload: bytes, log: str) -> TargetError:
    try:
        said = msgspec.json.decode(payload, type=_Said)
    except (msgspec.DecodeError, ValueError, RecursionError):
        said = _Said(payload.decode("utf-8", "replace"))
    message = str(said.errorMessage or "the function failed and said nothing")
    line = _last_line(log)
    return TargetError(
        message + (f"; last log line: {line}" if line else ""),
        types=(said.errorType if isinstance(said.errorType, str) and said.errorType else f"Lambda.{kind}",),
        frame=_frame(said.stackTrace),
        schedule=run.schedule_id,
        run=run.id,
    )


def _frame(trace: object) -> str:
    """The innermost line of a Python function's stack trace, such as "report.py:12 in handler"; "" for other ones."""
    if not isinstance(trace, list) or not trace:
        return ""
    found = _FRAME.search(str(trace[-1]))
    return f"{found[1].rpartition('/')[2]}:{found[2]} in {found[3]}" if found else ""


def _last_line(log: str) -> str:
    """The last line that the function itself logged, up to where its runtime reports the error."""
    try:
        text = base64.b64decode(log).decode("utf-8", "replace")
    except ValueError:
        return ""
    own: list[str] = []
    for line in text.splitlines():
        if line.startswith(("[ERROR]", "Traceback ")):
            break
        if line.strip() and not _PLATFORM.match(line):
            own.append(line.strip())
    last = own[-1] if own else ""
    return last if len(last) <= _QUOTED else last[:_QUOTED] + "…"
