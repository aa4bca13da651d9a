"""What a million firings cost on AWS, from what the emulator was asked for and would be billed.

    python -m benchmarks.aws_cost [--quick] [--json]

One-offs are stored in bulk, beyond what the feeder has seen, so each goes the whole way: table, feeder, SQS, and the
dispatcher if it has to. What a pass of the feeder costs that finds nothing is not counted here: a stack pays that
whether anything fires or not (`rota cost` adds it). Beside it stands what EventBridge Scheduler asks for the same.

Functions run on this machine, so their seconds are its own. Messages come together here; where they come one by one,
each pays for an invocation of its own, as the last line has it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.aws_ground import Endpoint, Stack, deployed, ground, load, until
from benchmarks.report import AS_JSON, QUICK, tell, versions

from rota.aws.bill import Usage, by_service
from rota.aws.firing_cost import firing
from rota.aws.prices import EVENTBRIDGE_SCHEDULER
from rota.core.triggers import Every

COUNT = 200 if QUICK else 1_000
MILLION = 1_000_000


def used(stack: Stack, work: Callable[[], int]) -> Usage:
    """What one firing of `work` used, of how many it says; of a million."""
    stack.feed()
    stack.emulator.reset_counts()
    stack.feed()
    idle = Usage(**stack.emulator.billed())
    stack.emulator.reset_counts()
    count = work()
    spent = Usage(**stack.emulator.billed())
    more = {name: max(0.0, getattr(spent, name) - getattr(idle, name)) for name in spent.__struct_fields__}
    return Usage(**more).times(MILLION / count)


def direct(stack: Stack) -> int:
    stack.client.at_many([(time.time() + 155, {"n": n}) for n in range(COUNT)], "queue:bench")
    time.sleep(6)
    assert stack.feed()["runs"] == COUNT
    return COUNT


def dispatched(stack: Stack, endpoint: Endpoint) -> int:
    """The writer hands them over, so that nobody waits for minutes here: the same requests from another process."""
    endpoint.came.clear()
    stack.client.at_many([(time.time() + 3 + n / 100, {"n": n}) for n in range(COUNT)], endpoint.target)
    until(lambda: len(endpoint.came) >= COUNT, "the calls")
    time.sleep(1)
    return COUNT


def ticks(stack: Stack, endpoint: Endpoint) -> int:
    """Of schedules that fire for as long as the feeder looks ahead. What it costs to make them is counted too."""
    endpoint.came.clear()
    many, times = COUNT // 24, 24
    for n in range(many):
        stack.client.schedules.create(f"each-{n}", Every("6s"), endpoint.target, max_executions=times)
    until(lambda: len(endpoint.came) >= many * times, "the calls", 240)
    time.sleep(1)
    return many * times


def show(what: str, usage: Usage) -> None:
    tell(f"a million {what}", "dollars", {"in all": usage.dollars, **by_service(usage.lines())})
    if not AS_JSON:
        for line in usage.lines():
            print(f"    {line.service:<12}{line.unit:<28}{line.used:>14,.0f}{line.dollars:>10.3f}")


def main() -> None:
    versions("ministack")
    with ground() as emulator, deployed(emulator, DispatcherConcurrency="2") as stack:
        endpoint = Endpoint()
        stack.resting()
        if not AS_JSON:
            print(f"  {load()}", flush=True)
        show("direct one-offs", used(stack, lambda: direct(stack)))
        stack.client.at_many([(time.time(), None)] * 20, endpoint.target)
        until(lambda: len(endpoint.came) >= 20, "the first calls")
        show("dispatched one-offs", used(stack, lambda: dispatched(stack, endpoint)))
        show("ticks", used(stack, lambda: ticks(stack, endpoint)))
        tell("a million invocations by EventBridge Scheduler", "dollars", {"in all": EVENTBRIDGE_SCHEDULER * MILLION})
        alone = {kind: firing(kind).times(MILLION).dollars for kind in ("direct", "one-off", "tick")}
        tell("a million that come one by one, as `rota cost` reckons", "dollars", alone)
        endpoint.stop()


if __name__ == "__main__":
    main()
