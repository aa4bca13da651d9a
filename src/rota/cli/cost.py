"""rota cost: what firings cost on AWS, and what an app costs a month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from rota import wiring
from rota.app import App
from rota.aws.bill import Usage, by_service
from rota.aws.firing_cost import KINDS, MONTH, TOGETHER, Assumed, Kind, accepting, firing, kind_of
from rota.aws.prices import AS_OF, EVENTBRIDGE_SCHEDULER, REGION
from rota.aws.standing_cost import app_template, firing_metrics, standing
from rota.cli.batch_dollars import Bills, million_items, print_million_items
from rota.cli.options import Json
from rota.cli.output import fits, note, print_json, print_table, say
from rota.core.schedule import Schedule
from rota.loading import load_app

_MILLION = 1_000_000
_DAY = 86_400_000
_METRICS = "metrics of what fires"
"""No schedule has this name: ids have no blanks."""
_PRICES = {"region": REGION, "as_of": AS_OF}

Module = Annotated[
    str | None, typer.Argument(metavar="[MODULE]", help="An app, such as shop.py: what its schedules cost a month.")
]
Memory = Annotated[int, typer.Option("--memory", min=128, max=10240, help="MB of the functions.")]
TargetTime = Annotated[float, typer.Option("--target-ms", min=0, help="Milliseconds that a target takes to answer.")]
Batches = Annotated[bool, typer.Option("--batch", help="What a million items of a batch cost, by topology.")]


def cost(
    module: Module = None,
    memory: Memory = 512,
    target_ms: TargetTime = 0.0,
    batch: Batches = False,
    json: Json = False,
) -> None:
    """What a million firings cost on AWS; with an app, also what its schedules cost a month, and its batches for a
    million items.

    By the list prices of us-east-1, without free tiers, and without what the targets themselves cost."""
    if batch and module is None:
        _batches(million_items(None, memory), json)
        return
    app = None if module is None else load_app(module)
    items = {} if app is None else million_items(app, memory)
    if batch:
        _batches(items, json)
        return
    kinds = {
        kind: [firing(kind, Assumed(together, memory, target_ms)).times(_MILLION) for together in (1, TOGETHER)]
        for kind in KINDS
    }
    accepted = accepting(memory).times(_MILLION)
    idle = standing(app_template(app or App("plain")), memory=memory)
    monthly = {} if app is None else _monthly(app, memory, target_ms)
    if json:
        _print_json(kinds, accepted, idle, monthly, items)
        return
    rows: list[tuple[list[str], float, Usage | None]] = []
    for kind, both in kinds.items():
        for usage, how in zip(both, ("one by one", "ten together"), strict=True):
            if kind == "direct" and how == "ten together":
                continue
            rows.append(([KINDS[kind], "" if kind == "direct" else how], usage.dollars, usage))
    rows.append((["accepted by the ad-hoc function, besides", "one a call"], accepted.dollars, accepted))
    rows.append((["EventBridge Scheduler, for comparison", ""], EVENTBRIDGE_SCHEDULER * _MILLION, None))
    _print_bill(["dollars for a million firings", "messages"], rows)
    stack = "a stack" if app is None else f"the stack of {app.name}"
    rows = [([f"{stack} in which nothing fires", ""], idle.dollars, idle)]
    rows += [([name, f"{count:,}"], usage.dollars, usage) for name, (count, usage) in monthly.items()]
    if monthly:
        whole = sum((usage for _, usage in monthly.values()), idle)
        rows.append((["all", ""], whole.dollars, whole))
    _print_bill([f"dollars for {MONTH:g} days", "firings"], rows)
    if items:
        print_million_items(items)
    note(f"rota: list prices of {REGION} as of {AS_OF}, no free tiers; what targets cost comes in addition")


def _batches(items: Bills, json: bool) -> None:
    if json:
        print_json({"prices": _PRICES, "million_items": _bills(items)})
    else:
        print_million_items(items)
        note(f"rota: list prices of {REGION} as of {AS_OF}, no free tiers; what tasks do comes in addition")


def _print_bill(headers: list[str], rows: Sequence[tuple[list[str], float, Usage | None]]) -> None:
    """Rows of (cells, dollars, what they are made of), with a column a service, or a line where columns do not fit."""
    bills = [by_service([] if usage is None else usage.lines()) for _, _, usage in rows]
    services = list(dict.fromkeys(name for bill in bills for name in bill))
    shown = [
        [*cells, f"{dollars:.2f}", *(f"{bill[name]:.2f}" if name in bill else "" for name in services)]
        for (cells, dollars, _), bill in zip(rows, bills, strict=True)
    ]
    if fits([*headers, "all", *services], shown):
        print_table([*headers, "all", *services], shown)
        return
    print_table([*headers, "all"], [row[: len(headers) + 1] for row in shown])
    for (cells, _, _), bill in zip(rows, bills, strict=True):
        if bill:
            say(f"{', '.join(filter(None, cells))}:")
            say("  " + ", ".join(f"{name} {dollars:.2f}" for name, dollars in bill.items()))


def _monthly(app: App, memory: int, target_ms: float) -> dict[str, tuple[int, Usage]]:
    """Firings of each schedule over the next days, and what they use; and the metrics of all of them."""
    now = wiring.clock().now()
    found: dict[str, tuple[int, Usage]] = {}
    for schedule in app.schedules.values():
        count = _firings(schedule, now)
        kind = kind_of(schedule.target, recurring=True)
        found[schedule.id] = (count, firing(kind, Assumed(1, memory, target_ms)).times(count))
    count = sum(count for count, _ in found.values())
    return found | ({_METRICS: (count, firing_metrics(count))} if count else {})


def _firings(schedule: Schedule, now: int) -> int:
    count = schedule.trigger.count_ticks(now, now + round(MONTH * _DAY))
    return count if schedule.max_executions is None else min(count, schedule.max_executions)


def _print_json(
    kinds: Mapping[Kind, Sequence[Usage]],
    accepted: Usage,
    idle: Usage,
    monthly: Mapping[str, tuple[int, Usage]],
    items: Bills,
) -> None:
    print_json(
        {
            "prices": _PRICES,
            "million_firings": {
                kind: {"one_by_one": _bill(both[0]), "ten_together": _bill(both[1])} for kind, both in kinds.items()
            },
            "million_accepted": _bill(accepted),
            "stack_month": _bill(idle),
            "schedules_month": {
                name: {"firings": count, **_bill(usage)} for name, (count, usage) in monthly.items() if name != _METRICS
            },
            "metrics_month": _bill(monthly[_METRICS][1] if _METRICS in monthly else Usage()),
            "million_items": _bills(items),
        }
    )


def _bill(usage: Usage) -> dict[str, object]:
    return {"dollars": usage.dollars, "lines": [line._asdict() for line in usage.lines()]}


def _bills(items: Bills) -> dict[str, object]:
    return {name: {way: _bill(usage) for way, usage in ways.items()} for name, ways in items.items()}
