"""The options that say how an app becomes a stack, for synth and deploy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rota import wiring
from rota.aws.platform import Platform, own_python
from rota.aws.stack.plan import DATA
from rota.cli.session import load_app
from rota.core.errors import InvalidError

Module = Annotated[
    str, typer.Argument(metavar="MODULE", help="shop.py, package.module or FILE:ATTRIBUTE.", show_default=False)
]
Architecture = Annotated[str, typer.Option("--arch", help="arm64 or x86_64.")]
Python = Annotated[
    str | None, typer.Option("--python", metavar="VERSION", help="Of Lambda; else the nearest to this one.")
]
Requirements = Annotated[
    Path | None, typer.Option("--requirements", metavar="FILE", help="Else requirements.txt beside the module.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Choose the versions of dependencies anew.")]
Installed = Annotated[
    bool, typer.Option("--installed", help="Bundle what is installed here, for an emulator on this machine.")
]


def synthesize(
    module: str, arch: str, python: str | None, requirements: Path | None, *, fresh: bool, installed: bool
) -> tuple[Any, Any]:
    """The app of `module`, and its stack."""
    platform = None if installed else _platform(arch, python)
    app = load_app(module)
    assert app is not None
    return app, wiring.synthesize(app, module, platform, requirements=requirements, fresh=fresh)


def _platform(arch: str, python: str | None) -> Platform:
    return Platform(arch, python or own_python())  # type: ignore[arg-type]  # it checks the name itself


def check_stack_name(stack: str, queues: tuple[str, ...] = (DATA,)) -> None:
    """InvalidError unless CloudFormation takes the name, and SQS the names of the stack's queues."""
    most = 80 - 1 - max(map(len, queues))
    named = stack.isascii() and stack.replace("-", "").isalnum() and stack[0].isalpha()
    if not named or len(stack) > most:
        raise InvalidError("stack", stack, f"at most {most} letters, digits and -, beginning with a letter")
