"""What is said of a batch run before it starts: its plan, what a sample predicts, what it would cost on AWS."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Any

import msgspec

from rota import wiring
from rota.app import App
from rota.aws.batch_cost import costs
from rota.cli.batch_dollars import dollars_fields, dollars_shape, planned_dollars
from rota.cli.batch_shapes import amount, batch_shape, estimate_fields, size
from rota.cli.output import note, print_fields, print_json
from rota.core.batch import BatchRun
from rota.core.errors import InvalidError


def print_sample(run: BatchRun, app: App, items: int, *, json: bool, far: bool) -> None:
    """What a sample says. far: it is to run on AWS, so it costs something."""
    if items < 1:
        raise InvalidError("sample", items, "a whole number from 1 up")
    with redirect_stdout(sys.stderr):
        found = wiring.sample_batch(run, app, items)
    dollars = costs(run.spec, found, wiring.plan_batch(run, app).size) if far else []
    if json:
        print_json({**msgspec.to_builtins(found), **dollars_shape(dollars)})
    else:
        print_fields([*estimate_fields(found), *dollars_fields(dollars, timed=True)])


def print_plan(run: BatchRun, app: App, *, json: bool, far: bool) -> None:
    """What would be done. far: likewise."""
    plan = wiring.plan_batch(run, app)
    dollars = planned_dollars(run.spec, plan.items, plan.chunks, plan.size) if far else []
    if json:
        print_json({"plan": msgspec.to_builtins(plan), "run": batch_shape(run), **dollars_shape(dollars)})
        return
    more = "" if plan.complete else " or more"
    print_fields(
        [
            ("batch", run.name),
            ("task", run.spec.task),
            ("source", str(run.spec.source.get("path", run.spec.source.get("name", "")))),
            ("size", f"{size(plan.size)} in {plan.origins} {'origin' if plan.origins == 1 else 'origins'}"),
            ("items", "known when all is read" if plan.items is None else amount(plan.items)),
            ("chunks", amount(plan.chunks) + more),
            ("workers", str(run.spec.concurrency)),
            ("tolerated", str(run.spec.tolerated)),
            ("sink", str(run.spec.sink.get("path", run.spec.sink.get("table", "")))),
            *dollars_fields(dollars, timed=False),
        ]
    )


def settle_topology(url: str, app: App, batch: str, options: dict[str, Any]) -> None:
    """What `auto` comes to, said before anything starts."""
    with wiring.connect(url, app) as client:
        if options.get("topology", client.batches.definition(batch).topology) == "auto":
            options["topology"], why = wiring.chosen_topology(url, client.batches.prepare(batch, **options))
            note(f"rota: {why}")
