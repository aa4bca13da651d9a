"""rota deploy and rota destroy: an app's stack on AWS, made, changed and deleted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from rota import wiring
from rota.aws.stack.parameters import parse_parameters
from rota.cli.bundling import (
    Architecture,
    Fresh,
    Installed,
    Module,
    Python,
    Requirements,
    check_stack_name,
    synthesize,
)
from rota.cli.deploy_watch import Watch
from rota.cli.emulator import signalled
from rota.cli.options import Json
from rota.cli.output import note, print_fields, print_json, print_table, say
from rota.service.sync import SyncReport

if TYPE_CHECKING:
    from rota.aws.deploy import Planned
    from rota.aws.stacks import Stack

StackName = Annotated[str | None, typer.Option("--stack", metavar="NAME", help="Else the app's name, with - for _.")]
Region = Annotated[str | None, typer.Option("--region", help="Else that of the environment or the profile.")]
Endpoint = Annotated[
    str | None, typer.Option("--endpoint-url", metavar="URL", help="An emulator's, instead of AWS itself.")
]
Bucket = Annotated[
    str | None, typer.Option("--bucket", help="For bundles; else rota-deploy-ACCOUNT-REGION, made if missing.")
]


def deploy(
    module: Module,
    stack: StackName = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the stack, such as Memory=512. Repeatable."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and leave nothing behind.")
    ] = False,
    emulator: Annotated[
        bool, typer.Option("--emulator", help="For a laptop: start AWS on this machine, and stay until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option("--port", help="Of the emulator; 0 for a free one.")] = 4566,
    prune: Annotated[bool, typer.Option("--prune", help="Delete schedules that the app no longer declares.")] = False,
    region: Region = None,
    endpoint_url: Endpoint = None,
    bucket: Bucket = None,
    arch: Architecture = "arm64",
    python: Python = None,
    requirements: Requirements = None,
    fresh: Fresh = False,
    installed: Installed = False,
    json: Json = False,
) -> None:
    """Make or change the stack of an app, then store the app's schedules in it."""
    parameters = parse_parameters(settings or [])
    if stack is not None:
        check_stack_name(stack)
    if not emulator:
        # Bundling takes seconds, and would be for nothing.
        with _environment(region, endpoint_url):
            wiring.check_region()
    app, synthesis = synthesize(module, arch, python, requirements, fresh=fresh, installed=installed or emulator)
    name = stack or app.name.replace("_", "-")
    check_stack_name(name, synthesis.plan.queues)

    def carry_out() -> None:
        with Watch() as watch:
            deployer = wiring.deployer(bucket, told=watch.told, noted=watch.noted)
            planned = deployer.plan(name, synthesis, parameters)
            if dry_run:
                deployer.abandon(planned)
                watch.close()
                _print_plan(planned, json)
                return
            watch.expect(len(planned.changes))
            made = deployer.execute(planned)
            with wiring.connect(f"aws://{name}", app) as client:
                report = client.sync(app, prune=prune)
            deployer.feed(made)
        _print_stack(made, planned, report, json)

    if not emulator:
        with _environment(region, endpoint_url):
            carry_out()
        return
    with signalled() as ended, wiring.emulator(port) as running:
        with _set(running.environment()):
            carry_out()
        if dry_run:
            return
        if not json:
            for variable, value in {**running.environment(), "ROTA_URL": f"aws://{name}"}.items():
                say(f"export {variable}={value}")
        sys.stdout.flush()
        note(f"rota: {name} on this machine at {running.url}; Ctrl-C ends it, and what is in it")
        while not ended.wait(0.2):
            running.check()


def destroy(
    stack: Annotated[str, typer.Option("--stack", metavar="NAME", help="The stack to delete.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    region: Region = None,
    endpoint_url: Endpoint = None,
    bucket: Bucket = None,
    json: Json = False,
) -> None:
    """Delete a stack with all that it keeps: schedules, runs, dead letters, messages, payloads."""
    if not yes and not (not json and _agreed(stack)):
        note(f"nothing was deleted{'' if sys.stdin.isatty() else ': --yes deletes it'}")
        raise typer.Exit(1)
    with _environment(region, endpoint_url), Watch() as watch:
        existed = wiring.deployer(bucket, told=watch.told, noted=watch.noted).destroy(stack)
    if json:
        print_json({"stack": stack, "deleted": existed})
    else:
        say(f"stack {stack} deleted" if existed else f"there is no stack {stack}")


def _agreed(stack: str) -> bool:
    if not sys.stdin.isatty():
        return False
    return typer.confirm(f"Delete stack {stack} with its schedules, runs and dead letters?", err=True)


def _print_plan(planned: Planned, json: bool) -> None:
    if json:
        print_json({"stack": planned.stack, "creates": planned.creates, "changes": _shape(planned)})
        return
    rows = [[it.action, it.resource, it.kind, "" if it.replaces == "False" else it.replaces] for it in planned.changes]
    if rows:
        print_table(["action", "resource", "type", "replaced"], rows)
    else:
        note("nothing would change")


def _print_stack(stack: Stack, planned: Planned, report: SyncReport, json: bool) -> None:
    if json:
        print_json(
            {
                "stack": stack.name,
                "status": stack.status,
                "changes": _shape(planned),
                "outputs": stack.outputs,
                "schedules": msgspec.to_builtins(report),
            }
        )
        return
    print_fields([("stack", stack.name), ("status", stack.status), *sorted(stack.outputs.items())])
    note(f"rota: schedules: {report}; use it with --url aws://{stack.name}")
    for id in report.orphaned:
        note(f"rota: warning: schedule {id} is no longer declared, so it is paused; --prune deletes it")


def _shape(planned: Planned) -> Sequence[Mapping[str, Any]]:
    return [it._asdict() for it in planned.changes]


@contextmanager
def _environment(region: str | None, endpoint_url: str | None) -> Iterator[None]:
    """What the options say, for every client that this command makes."""
    given = {"AWS_ENDPOINT_URL": endpoint_url, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    with _set({name: value for name, value in given.items() if value is not None}):
        yield


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
