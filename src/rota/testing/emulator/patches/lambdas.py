"""Lambda functions: errors as AWS words them, a limit on answers, and processes that are killed on request.

MiniStack keeps a process per environment of a function, and speaks lines of JSON with it. In stock
- each error has the type `Runtime.HandlerError`, and ends the environment, so that the next call is a cold start. Here
  the process hands the error back as a result of a certain shape, and lives on;
- a function that prints nothing answers 50 ms late, for its output is waited for.

The environment variable ROTA_EMULATOR_SKEW_MS of a function sets its clock (time.time, time.time_ns) off by so much.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from rota.testing.emulator.billed import executed
from rota.testing.emulator.count import Counts
from rota.testing.emulator.fault import EXECUTE, Fault, Faults
from rota.testing.emulator.guard import edited, expect, replace, setting
from rota.testing.emulator.limits import ANSWER_BYTES

_MARK = "__rota_function_error__"
_REPORT = 'json.dumps({"status": "error", "error": str(e), "trace": traceback.format_exc()})'
_REPORT_AS_RESULT = (
    f'json.dumps({{"status": "ok", "result": {{"{_MARK}": {{"errorMessage": str(e), "errorType": type(e).__name__, '
    '"requestId": _ms_ctx.get("request_id", ""), "stackTrace": traceback.format_exc().splitlines()}}})'
)
_ENVIRONMENT = "    os.environ.update(env)\n"
_AND_CLOCK = f"""{_ENVIRONMENT}
    _skew_ms = int(os.environ.get("ROTA_EMULATOR_SKEW_MS", "0"))
    if _skew_ms:
        _time, _time_ns = time.time, time.time_ns
        time.time = lambda: _time() + _skew_ms / 1000
        time.time_ns = lambda: _time_ns() + _skew_ms * 1000000
"""
_DIED = ("Worker process died", "Worker process exited immediately")
_NOT_IMPORTED = "Worker init failed: "
_MEMORY = 128
_SHORT_WAITS = (0.004, 0.004, 0.25)
"""Seconds for the first line of output, for further lines, and in all."""


def mend(counts: Counts, faults: Faults) -> None:
    """Patch what runs functions."""
    script = "_PYTHON_WORKER_SCRIPT"
    expect(lambda_runtime._PYTHON_WORKER_SCRIPT, script, "368800addf4d")
    lambda_runtime._PYTHON_WORKER_SCRIPT = edited(
        lambda_runtime._PYTHON_WORKER_SCRIPT, script, {_REPORT: _REPORT_AS_RESULT, _ENVIRONMENT: _AND_CLOCK}
    )
    drain = lambda_runtime.Worker._drain_stderr_bounded
    expect(drain, "Worker._drain_stderr_bounded", "3fd7cc742872")
    setting(drain, "__defaults__", (0.050, 0.005, 0.250), _SHORT_WAITS)
    replace(lambda_runtime.Worker, "invoke", "96751a754710", lambda invoke: _killable(invoke, faults))
    replace(lambda_svc, "_execute_function_warm", "62b9218bef5b", _worded_as_aws_does)
    replace(lambda_svc, "_execute_function_dispatch", "f62cd259213e", lambda run: _counted(run, counts))


def _worded_as_aws_does(run: Any) -> Any:
    def warm(function: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = run(function, event, request_id)
        body = answer.get("body")
        if isinstance(body, dict) and set(body) == {_MARK}:
            error = body[_MARK]
            said = [line for line in (answer.get("log", ""), *error["stackTrace"]) if line]
            return {"body": error, "error": True, "log": "\n".join(said)}
        if answer.get("error") and isinstance(body, dict):
            return {**answer, "body": _ended(str(body.get("errorMessage")), request_id) or body}
        if not answer.get("error") and _longer_than_allowed(body):
            message = f"Response payload size exceeded maximum allowed payload size ({ANSWER_BYTES} bytes)."
            too_large = {"errorMessage": message, "errorType": "Function.ResponseSizeTooLarge"}
            return {"body": too_large, "error": True, "log": answer.get("log", "")}
        return answer

    return warm


def _ended(message: str, request_id: str) -> dict[str, str] | None:
    """AWS's words for a process that ended, or did not get as far as the handler; None for another error."""
    if message.startswith(_DIED):
        killed = f"RequestId: {request_id} Error: Runtime exited with error: signal: killed"
        return {"errorMessage": killed, "errorType": "Runtime.ExitError"}
    if message.startswith(_NOT_IMPORTED):
        why = message.removeprefix(_NOT_IMPORTED)
        return {"errorMessage": f"Unable to import module: {why}", "errorType": "Runtime.ImportModuleError"}
    return None


def _longer_than_allowed(body: Any) -> bool:
    return body is not None and len(json.dumps(body)) > ANSWER_BYTES


def _counted(run: Any, counts: Counts) -> Any:
    """Each execution, whoever asked for it, with its duration: what is billed."""

    def dispatch(function: dict[str, Any], config: dict[str, Any], *more: Any) -> Any:
        started = time.monotonic()
        try:
            return run(function, config, *more)
        finally:
            spent = round((time.monotonic() - started) * 1000)
            counts.add(EXECUTE, milliseconds=spent)
            counts.add(f"{EXECUTE}:{config.get('FunctionName', '')}", milliseconds=spent)
            counts.bill(executed(spent, int(config.get("MemorySize", _MEMORY))))

    return dispatch


def _killable(invoke: Any, faults: Faults) -> Any:
    def invoked(worker: Any, *arguments: Any, **named: Any) -> Any:
        fault = faults.pick(EXECUTE, worker.func_name)
        if fault is None:
            return invoke(worker, *arguments, **named)
        time.sleep(fault.latency_ms / 1000)
        if fault.twice:
            invoke(worker, *arguments, **named)
        if not fault.kill:
            return invoke(worker, *arguments, **named)
        done, killed = threading.Event(), threading.Event()
        threading.Thread(target=_kill, args=(worker, done, killed, fault, faults.share()), daemon=True).start()
        try:
            return invoke(worker, *arguments, **named)
        except Exception:
            if not killed.is_set():
                raise
            # It was killed as it started. Let out, the error would cost the function all of its other processes.
            return {"status": "error", "error": _DIED[0], "log": ""}
        finally:
            done.set()

    return invoked


def _kill(worker: Any, done: threading.Event, killed: threading.Event, fault: Fault, share: float) -> None:
    until = time.monotonic() + fault.within_ms * share / 1000
    while not done.wait(max(0.001, until - time.monotonic())):
        process = worker._proc
        # One that died before is there until the next has been started.
        if process is not None and process.poll() is None:
            killed.set()
            process.kill()
            return
