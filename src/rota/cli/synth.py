"""rota synth: the SAM template and the bundles of an app, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rota.cli.bundling import Architecture, Fresh, Installed, Module, Python, Requirements, synthesize
from rota.cli.options import Json
from rota.cli.output import note, print_json, print_table


def synth(
    module: Module,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIRECTORY", help="Made if missing.")] = Path(
        "build"
    ),
    arch: Architecture = "arm64",
    python: Python = None,
    requirements: Requirements = None,
    fresh: Fresh = False,
    installed: Installed = False,
    json: Json = False,
) -> None:
    """Write the SAM template of the app and its Lambda bundles, for `sam deploy`."""
    _, synthesis = synthesize(module, arch, python, requirements, fresh=fresh, installed=installed)
    sizes = synthesis.write(output)
    if json:
        print_json({"output": str(output), "bytes": sizes})
        return
    rows = [[str(output / name), f"{size:,}", _said(synthesis.bundles.get(name))] for name, size in sizes.items()]
    print_table(["file", "bytes", "content"], rows)
    note(f"rota: `sam deploy --guided` in {output}, or `rota deploy {module}`, makes the stack")


def _said(bundle: object) -> str:
    return "" if bundle is None else str(bundle)
