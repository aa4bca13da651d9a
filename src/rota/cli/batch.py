"""rota batch: start batches, follow them, see what failed and run it again.

A server that has the file carries batch runs out. Where none has, `start`, `resume` and `redrive` do it themselves, in
the foreground (see batch_hosting); what Ctrl-C cuts off is continued by `resume`, or by the next server.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from rota import wiring
from rota.app import App
from rota.cli.batch_ahead import look_ahead, print_plan, print_sample, settle_topology
from rota.cli.batch_hosting import Follower, Place, carry_out, end_cancelled
from rota.cli.batch_shapes import amount, batch_shape, dead_shape, group_shape, items_of, shape_fields, size
from rota.cli.definition import given
from rota.cli.options import Json, Limit, Url, json_value
from rota.cli.output import note, print_fields, print_json, print_table, say
from rota.cli.session import connect, load_app, refuse_missing
from rota.client import Client
from rota.connectors.stored import sink_place
from rota.core.batch import BatchRun
from rota.core.errors import InvalidError, public_name
from rota.core.ids import iso
from rota.service.phrasing import span
from rota.wiring import DEFAULT_URL

group: typer.Typer = typer.Typer(
    name="batch", help="Run a task over many items, and prove that none was lost.", no_args_is_help=True
)

BatchRunId = Annotated[str, typer.Argument(metavar="RUN", help="A batch run's id, BATCH@TIME.", show_default=False)]
Module = Annotated[
    str | None,
    typer.Option("--app", envvar="ROTA_APP", metavar="MODULE", help="shop.py or package.module: declares the batch."),
]
_PAUSED = 3
"""Exit code where a batch run is paused by its `max_cost`."""
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait; a server carries it out.")]


@group.command()
def start(
    batch: Annotated[str, typer.Argument(metavar="BATCH", help="The name in app.batch(...).", show_default=False)],
    app: Module = None,
    source: Annotated[str | None, typer.Option("--source", metavar="PATH", help="Instead of the declared one.")] = None,
    sink: Annotated[str | None, typer.Option("--sink", metavar="PATH", help="Instead of the declared one.")] = None,
    payload: Annotated[str | None, typer.Option("--payload", metavar="JSON", help="For a generator.")] = None,
    chunk_items: Annotated[int | None, typer.Option("--chunk-items", metavar="N")] = None,
    chunk_bytes: Annotated[int | None, typer.Option("--chunk-bytes", metavar="N")] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", metavar="N", help="Worker processes; on AWS, chunks at once.")
    ] = None,
    tolerated: Annotated[
        str | None, typer.Option("--tolerated-failures", metavar="N|P%", help="Failed items: a count or percentage.")
    ] = None,
    rate_limit: Annotated[float | None, typer.Option("--rate-limit", metavar="N", help="Items a second.")] = None,
    timeout: Annotated[float | None, typer.Option("--timeout", metavar="SECONDS", help="For the batch run.")] = None,
    notify: Annotated[
        list[str] | None, typer.Option("--notify", metavar="TARGET", help="Told of the end. Repeatable.")
    ] = None,
    topology: Annotated[
        str | None, typer.Option("--topology", help="On AWS: queue, map, pipeline or auto.", show_default=False)
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", metavar="DOLLARS", help="On AWS: pause when this much is spent.")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", help="Attempt about N items, keep nothing, predict the whole."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan; run and store nothing.")] = False,
    detach: Detach = False,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Start a batch, and wait for its end."""
    loaded = _loaded(app)
    options = given(
        source=source,
        sink=sink,
        payload=json_value("payload", payload),
        chunk_items=chunk_items,
        chunk_bytes=chunk_bytes,
        concurrency=concurrency,
        tolerated_failures=tolerated,
        rate_limit=rate_limit,
        timeout=timeout,
        notify=notify or None,
        topology=topology,
        max_cost=max_cost,
    )
    if sample is not None and dry_run:
        raise InvalidError("--dry-run", f"--sample {sample}", "either --dry-run or --sample")
    if sample is not None or dry_run:
        prepared, choice = look_ahead(url, loaded, batch, options)
        if sample is not None:
            print_sample(prepared, loaded, sample, choice, json=json)
        else:
            print_plan(prepared, loaded, choice, json=json)
        return
    if url.startswith("aws://"):
        settle_topology(url, loaded, batch, options)
    _carry_out(Place(url, app), loaded, lambda client: client.batches.start(batch, **options), detach, json)


def _loaded(app: str | None) -> App:
    found = load_app(app)
    if found is None:
        raise InvalidError.missing("--app", "give a module that declares the batch, such as shop.py, or set ROTA_APP")
    return found


def _carry_out(place: Place, app: App, begin: Callable[[Client], BatchRun], detach: bool, json: bool) -> None:
    """Begin a batch run; where no server will carry it out, do so, and show how it goes."""
    if detach:
        with wiring.connect(place.url, app) as client:
            run = begin(client)
        _print_run(run, json)
        if not place.is_carried(run):
            note(f"rota: {place.deserted(run)}")
        return
    _finish(carry_out(place, app, begin), json)


def _finish(run: BatchRun, json: bool) -> None:
    _print_run(run, json)
    if run.state != "succeeded":
        raise typer.Exit(_PAUSED if run.is_open else 1)


def _print_run(run: BatchRun, json: bool) -> None:
    if json:
        print_json(batch_shape(run))
        return
    counts = run.counts
    ended = "" if run.finished is None or run.started is None else f" in {span(run.finished - run.started)}"
    fields = [
        ("batch run", run.id),
        ("state", run.shown_state),
        ("error", run.error),
        ("items", f"{items_of(run)}{ended}"),
        ("succeeded", amount(counts.succeeded)),
        ("failed", amount(counts.failed)),
        ("skipped", amount(counts.skipped)),
        ("retries", amount(run.retries)),
        ("chunks", f"{amount(run.done)} of {'?' if run.sealed is None else amount(run.sealed)}"),
        ("results", f"{amount(run.results)}, {size(run.result_bytes)}"),
        ("sink", sink_place(run)),
        *shape_fields(run),
        ("manifest", f"{run.manifest}, version {run.version}" if run.manifest else ""),
        ("root", run.root),
    ]
    print_fields([(name, value) for name, value in fields if value and value != "0"])


@group.command("list")
def list_runs(
    batch: Annotated[str | None, typer.Option("--batch", help="Only those of this batch.")] = None,
    state: Annotated[
        str | None, typer.Option("--state", help="pending, running, finishing, succeeded, failed or cancelled.")
    ] = None,
    limit: Limit = 50,
    after: Annotated[str | None, typer.Option("--after", help="Go on behind this batch run.")] = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """List batch runs, newest first."""
    with connect(url) as client:
        runs = client.batches.list(name=batch, state=state, limit=limit, after=after)  # type: ignore[arg-type]
    if json:
        print_json([batch_shape(run) for run in runs])
        return
    if not runs:
        note("no batch runs")
        return
    rows = [
        [
            run.id,
            run.shown_state,
            amount(run.counts.items),
            amount(run.counts.failed),
            amount(run.counts.skipped),
            f"{amount(run.done)}/{'?' if run.sealed is None else amount(run.sealed)}",
            "" if run.started is None or run.finished is None else span(run.finished - run.started),
            run.error,
        ]
        for run in runs
    ]
    print_table(["batch run", "state", "items", "failed", "skipped", "chunks", "took", "error"], rows, cut=("error",))
    if len(runs) == limit:
        note(f"there may be more: --after {runs[-1].id}")


@group.command()
def show(
    id: BatchRunId,
    group: Annotated[str | None, typer.Option("--group", metavar="N|ID", help="Dead letters of this group.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many dead letters at most.")] = 20,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Show one batch run and its failures by group; or the dead letters of one group."""
    with connect(url) as client:
        if group is not None:
            dead = list(islice(client.batches.dead_letters(id, _group(group)), limit))
            if json:
                print_json([dead_shape(one) for one in dead])
                return
            rows = [
                [
                    str(it.chunk),
                    str(it.position),
                    str(it.attempts),
                    str(it.failure),
                    msgspec.json.encode(it.item).decode(),
                ]
                for it in dead
            ]
            print_table(["chunk", "position", "attempts", "failure", "item"], rows, cut=("failure", "item"))
            return
        run, groups = client.batches.get(id), client.batches.failures(id)
    if json:
        print_json({**batch_shape(run), "failures": [group_shape(one) for one in groups]})
        return
    _print_run(run, json=False)
    if groups:
        say("")
        rows = [
            [
                str(it.number),
                it.id,
                amount(it.count),
                public_name(it.signature.exception),
                it.message,
                it.signature.frame,
                it.signature.field,
            ]
            for it in groups
        ]
        heads = ["group", "id", "items", "exception", "first message", "frame", "detail"]
        print_table(heads, rows, cut=("first message",))


@group.command()
def watch(id: BatchRunId, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Follow a batch run until it has ended. Exit code 1 unless it succeeds, or if nobody carries it out."""
    refuse_missing(url)
    with Follower(Place(url), None) as follower:
        ended = follower.until_ended(follower.client.batches.get(id))
    _finish(ended, json)


@group.command()
def pause(id: BatchRunId, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Begin no further chunk until `resume`. A timeout goes on meanwhile."""
    with connect(url) as client:
        run = client.batches.pause(id)
    _said(run, json)
    if run.spec.timeout is not None:
        begun = "its start" if run.started is None else iso(run.started)
        note(f"rota: the timeout goes on: {id} fails if it has not ended {run.spec.timeout:g} s after {begun}")


@group.command()
def resume(
    id: BatchRunId, app: Module = None, detach: Detach = False, url: Url = DEFAULT_URL, json: Json = False
) -> None:
    """Go on with a batch run that was paused, or that no process carries out any more (with --app)."""
    if app is None:
        with connect(url) as client:
            run = client.batches.resume(id)
        _said(run, json)
        Place(url).check_carried(run)
        return
    refuse_missing(url)
    _carry_out(Place(url, app), _loaded(app), lambda client: client.batches.resume(id), detach, json)


@group.command()
def cancel(id: BatchRunId, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """End a batch run; what is done stays done."""
    with connect(url) as client:
        run = client.batches.cancel(id)
    _said(end_cancelled(Place(url), run), json)


def _said(run: BatchRun, json: bool) -> None:
    if json:
        print_json(batch_shape(run))
    else:
        say(f"{run.id} {run.shown_state}")


@group.command()
def verify(
    id: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A batch run's id, or the path of its receipt or of that one's directory.",
            show_default=False,
        ),
    ],
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Prove from manifest and results alone that nothing is lost, doubled or altered."""
    if "/" in id or ("@" not in id and Path(id).exists()):
        place = id
    else:
        with connect(url) as client:
            place = client.batches.receipt(id)
    receipt, problems = wiring.verified(place)
    if json:
        failed = receipt.counts.failed
        print_json({"batch_run": receipt.run, "root": receipt.root, "failed": failed, "problems": problems})
    else:
        for problem in problems:
            say(problem)
        if not problems:
            counts = receipt.counts
            counted = f"{amount(counts.items)} items, {amount(counts.failed)} failed, {amount(receipt.results)} results"
            say(f"{receipt.run} is whole: {counted}, root {receipt.root}")
    if problems:
        raise typer.Exit(1)


@group.command()
def redrive(
    id: BatchRunId,
    app: Module = None,
    group: Annotated[
        list[str] | None, typer.Option("--group", metavar="N|ID", help="Only this failure group. Repeatable.")
    ] = None,
    detach: Detach = False,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Attempt dead letters again, and write the next version of manifest and receipt."""
    if app is None:
        with connect(url) as client:
            run = _redriven(client, id, group)
        _said(run, json)
        Place(url).check_carried(run)
        return
    refuse_missing(url)
    _carry_out(Place(url, app), _loaded(app), lambda client: _redriven(client, id, group), detach, json)


@group.command()
def purge(id: BatchRunId, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Forget a batch run that has ended, with its dead letters; its results stay."""
    with connect(url) as client:
        gone = client.batches.purge(id)
    if json:
        print_json({"purged": gone.id})
    else:
        say(f"{gone.id} purged")


def _group(text: str) -> int | str:
    """A number, or the id as it is."""
    return int(text) if text.isdecimal() else text


def _redriven(client: Client, id: str, groups: list[str] | None) -> BatchRun:
    run = client.batches.redrive(id, None if groups is None else list(map(_group, groups)))
    final = sum(one.count for one in client.batches.failures(id) if one.signature.is_final)
    if final and groups is None:
        note(f"rota: {amount(final)} items that could not be decoded are left out: another attempt would read the same")
    return run
