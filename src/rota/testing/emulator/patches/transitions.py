"""Step Functions: counts what AWS bills, and starts executions without the 150 ms that stock waits first.

A standard workflow is billed by state transitions, retries included, an express one by executions and their time. The
children of a distributed map are of the kind that its processor says; to start one is a transition of the map's.
`Succeed` and `Fail` are not counted.
"""

from __future__ import annotations

import contextvars
import datetime as dt
import math
import time
from typing import Any

from ministack.services import stepfunctions

from rota.testing.emulator.count import Counts
from rota.testing.emulator.guard import replace, rewrite

_STATES = {
    "_execute_pass": "b1dff47048bc",
    "_execute_task": "53c818d247db",
    "_execute_choice": "468955fcd4a4",
    "_execute_wait": "a1012679c72d",
    "_execute_parallel": "2166e1f53e5f",
    "_execute_map": "18ad39652912",
}
_GB = 64 / 1024
"""What an express execution is billed at the least."""
_express: contextvars.ContextVar[bool] = contextvars.ContextVar("express", default=False)


def mend(counts: Counts) -> None:
    """Patch what enters states. After maps and retriers are mended, which it counts around."""
    rewrite(stepfunctions, "_run_execution", "996dff84e0e0", {"time.sleep(0.15)": "time.sleep(0.01)"})
    stepfunctions._run_execution = _timed(stepfunctions._run_execution, counts)
    stepfunctions._run_distributed_map = _of_its_kind(stepfunctions._run_distributed_map, counts)
    stepfunctions._find_matching_retrier = _with_retries(stepfunctions._find_matching_retrier, counts)
    for name, digest in _STATES.items():
        replace(stepfunctions, name, digest, lambda run: _counted(run, counts))


def _transition(counts: Counts) -> None:
    if not _express.get():
        counts.add("internal.states.Transition")
        counts.bill({"transitions": 1})


def _execution(counts: Counts, milliseconds: float) -> None:
    """AWS rounds an express execution up to 100 ms."""
    counts.add("internal.states.Express", milliseconds=round(milliseconds))
    counts.bill({"express_requests": 1, "express_gb_seconds": math.ceil(milliseconds / 100) / 10 * _GB})


def _counted(run: Any, counts: Counts) -> Any:
    def entered(*arguments: Any, **named: Any) -> Any:
        _transition(counts)
        return run(*arguments, **named)

    return entered


def _with_retries(find: Any, counts: Counts) -> Any:
    def found(*arguments: Any) -> Any:
        retrier, index = find(*arguments)
        if retrier is not None:
            _transition(counts)
        return retrier, index

    return found


def _timed(run: Any, counts: Counts) -> Any:
    def executed(arn: str) -> None:
        execution = stepfunctions._executions.get(arn) or {}
        machine = stepfunctions._state_machines.get(execution.get("stateMachineArn")) or {}
        express = machine.get("type") == "EXPRESS"
        before = _express.set(express)
        started = time.monotonic()
        try:
            run(arn)
        finally:
            _express.reset(before)
            if express:
                _execution(counts, (time.monotonic() - started) * 1000)

    return executed


def _of_its_kind(run: Any, counts: Counts) -> Any:
    def distributed(state: Any, given: Any, effective: Any, iterator: Any, execution: Any, context: Any) -> Any:
        express = (iterator.get("ProcessorConfig") or {}).get("ExecutionType") == "EXPRESS"
        known = set(stepfunctions._map_runs)
        before = _express.set(express)
        try:
            return run(state, given, effective, iterator, execution, context)
        finally:
            _express.reset(before)
            own = [
                arn
                for arn, it in list(stepfunctions._map_runs.items())
                if arn not in known and it["executionArn"] == execution["executionArn"]
            ]
            _bill_children(own, counts, express=express)

    return distributed


def _bill_children(map_runs: list[str], counts: Counts, *, express: bool) -> None:
    for child in list(stepfunctions._executions.values()):
        if child.get("mapRunArn") not in map_runs:
            continue
        _transition(counts)
        if express and child.get("stopDate"):
            spent = dt.datetime.fromisoformat(child["stopDate"]) - dt.datetime.fromisoformat(child["startDate"])
            _execution(counts, spent / dt.timedelta(milliseconds=1))
