"""What is said of a batch run before it starts: its plan, what a sample predicts, what it would cost on AWS."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import msgspec

from rota import wiring
from rota.app import App
from rota.aws.batch_cost import Dollars, costs
from rota.cli.batch_dollars import dollars_fields, dollars_shape, planned_dollars
from rota.cli.batch_shapes import amount, batch_shape, estimate_fields, lanes, size
from rota.cli.output import note, print_fields, print_json
from rota.connectors.stored import sink_place
from rota.core.batch import BatchRun
from rota.core.errors import InvalidError
from rota.core.topology import Choice


def print_sample(run: BatchRun, app: App, items: int, choice: Choice | None, *, json: bool) -> None:
    """What a sample says. choice: of a topology, where it is to run on AWS and so costs something."""
    if items < 1:
        raise InvalidError("sample", items, "a whole number from 1 up")
    with redirect_stdout(sys.stderr):
        found = wiring.sample_batch(run, app, items)
    dollars = [] if choice is None else _priced(costs(run.spec, found, wiring.plan_batch(run, app).size), choice)
    if json:
        print_json({**msgspec.to_builtins(found), **_choice_shape(choice), **dollars_shape(dollars)})
        return
    shown = dollars_fields(dollars, timed=True)
    print_fields([*estimate_fields(found), *_choice_field(choice), *shown, *_refusals(choice)])


def print_plan(run: BatchRun, app: App, choice: Choice | None, *, json: bool) -> None:
    """What would be done. choice: likewise."""
    plan = wiring.plan_batch(run, app)
    dollars = [] if choice is None else _priced(planned_dollars(run.spec, plan.items, plan.chunks, plan.size), choice)
    if json:
        print_json(
            {
                "plan": msgspec.to_builtins(plan),
                "run": batch_shape(run),
                **_choice_shape(choice),
                **dollars_shape(dollars),
            }
        )
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
            (lanes(run), str(run.spec.concurrency)),
            ("tolerated", str(run.spec.tolerated)),
            ("sink", sink_place(run)),
            *_choice_field(choice),
            *dollars_fields(dollars, timed=False),
            *_refusals(choice),
        ]
    )


def settle_topology(url: str, app: App, batch: str, options: dict[str, Any]) -> None:
    """What `auto` comes to, said before anything starts."""
    with wiring.connect(url, app) as client:
        if options.get("topology", client.batches.definition(batch).topology) == "auto":
            found = client.batches.topology(batch, **options)
            if found is not None:
                options["topology"] = found.way
                note(f"rota: {found.why}")


def look_ahead(url: str, app: App, batch: str, options: dict[str, Any]) -> tuple[BatchRun, Choice | None]:
    """What would be started, and the topology that it would have on AWS. Raises what its start would."""
    with wiring.connect(url, app) as client:
        found = client.batches.topology(batch, **options)
        if found is not None:
            options = {**options, "topology": found.way}
        return client.batches.prepare(batch, **options), found


def _priced(dollars: Sequence[Dollars], choice: Choice) -> list[Dollars]:
    """Those of topologies that can carry it out."""
    return [one for one in dollars if one.way not in choice.refused]


def _refusals(choice: Choice | None) -> list[tuple[str, str]]:
    refused = {} if choice is None else choice.refused
    return [(f"cost, {way}", f"it cannot carry this out: {against}") for way, against in refused.items()]


def _choice_shape(choice: Choice | None) -> dict[str, object]:
    """For `--json`: nothing where there are no topologies."""
    return {} if choice is None else {"topology": msgspec.to_builtins(choice)}


def _choice_field(choice: Choice | None) -> list[tuple[str, str]]:
    return [] if choice is None else [("topology", choice.why)]
