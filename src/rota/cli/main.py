"""The command `rota`: one group a file. Exit codes: 0 done, 1 failed, 2 bad usage or bad input."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rota.cli.at import at
from rota.cli.batch import group as batch
from rota.cli.cost import cost
from rota.cli.cron import group as cron
from rota.cli.db import group as db
from rota.cli.dead import group as dead
from rota.cli.deploy import deploy, destroy
from rota.cli.emulator import emulator
from rota.cli.function import group as function
from rota.cli.options import AS_JSON
from rota.cli.output import print_error, print_refusal, say
from rota.cli.queue import group as queue
from rota.cli.run import group as run
from rota.cli.schedule import group as schedule
from rota.cli.serve import serve
from rota.cli.synth import synth
from rota.core.errors import ExistsError, InvalidError, RotaError


class _Rota(TyperGroup):
    """Turns every error into words or JSON and an exit code, so that no command has to."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        # What cannot be parsed leaves no context that knows of --json.
        as_json = "--json" in (given[: given.index("--")] if "--" in given else given)
        try:
            ended = super().main(
                given, prog_name, complete_var, standalone_mode and not as_json, windows_expand_args, **extra
            )
        except typer.TyperException as error:
            if not standalone_mode:
                raise
            print_refusal(error.format_message())
            ended = error.exit_code
        except typer.Abort:
            if not standalone_mode:
                raise
            print_refusal("aborted", "Aborted")
            ended = 1
        if standalone_mode:
            sys.exit(ended)
        return ended

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except RotaError as error:
            print_error(error, as_json=ctx.meta.get(AS_JSON, False))
            raise typer.Exit(2 if isinstance(error, InvalidError | ExistsError) else 1) from None


app: typer.Typer = typer.Typer(
    name="rota",
    cls=_Rota,
    help="Runs work later, again and again, or over millions of items, and always knows what happened.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(value: bool) -> None:
    if value:
        say(f"rota {version('rota')}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)]


@app.callback()
def _before_every_command(version: Version = False) -> None:
    """Options of the command itself."""


app.command("serve")(serve)
app.command("at")(at)
app.command("synth")(synth)
app.command("deploy")(deploy)
app.command("destroy")(destroy)
app.command("emulator")(emulator)
app.command("cost")(cost)
app.add_typer(schedule)
app.add_typer(run)
app.add_typer(batch)
app.add_typer(queue)
app.add_typer(dead)
app.add_typer(cron)
app.add_typer(db)
app.add_typer(function)


def main() -> None:
    """The entry point of the command."""
    app()
