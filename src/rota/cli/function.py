"""rota function: Lambda functions on the fly, with plain AWS credentials."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from rota import wiring
from rota.aws.function import Function, Options
from rota.aws.source import Source, read_directory, read_module
from rota.cli.options import Description, Json, Payload, json_value, number
from rota.cli.output import note, print_fields, print_json, print_table, say
from rota.core.errors import InvalidError
from rota.core.payload import decode_payload

if TYPE_CHECKING:
    from rota.aws.functions import Made

group: typer.Typer = typer.Typer(
    name="function", help="Make Lambda functions from a file, for schedules to invoke.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The function's name.", show_default=False)]
File = Annotated[
    Path | None,
    typer.Option("--file", metavar="FILE", help="A Python file; what it imports from beside it comes along."),
]
Directory = Annotated[Path | None, typer.Option("--directory", metavar="DIR", help="A directory, taken whole.")]
Handler = Annotated[
    str | None,
    typer.Option("--handler", metavar="FUNCTION", help="FUNCTION or MODULE.FUNCTION; else handler or lambda_handler."),
]
Requirements = Annotated[
    Path | None,
    typer.Option("--requirements", metavar="FILE", help="What to bundle; else requirements.txt beside the source."),
]
Runtime = Annotated[str | None, typer.Option("--runtime", help="python3.11, python3.12 or python3.13.")]
Architecture = Annotated[str | None, typer.Option("--architecture", help="arm64 or x86_64.")]
Memory = Annotated[str | None, typer.Option("--memory", metavar="MB")]
Timeout = Annotated[str | None, typer.Option("--timeout", metavar="SECONDS", help="For one invocation; at most 900.")]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", metavar="NAME=VALUE", help="A variable of its environment. Repeatable; replaces all."),
]
Role = Annotated[
    str | None,
    typer.Option("--role", metavar="ARN", help="Its IAM role; else one is made that may write its own log."),
]
Version = Annotated[str | None, typer.Option("--version", metavar="N", help="A published version; else the newest.")]
Region = Annotated[str | None, typer.Option("--region", help="Else AWS_DEFAULT_REGION or the profile's.")]
Endpoint = Annotated[
    str | None, typer.Option("--endpoint-url", metavar="URL", help="Of an emulator; else AWS_ENDPOINT_URL.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")]


@group.command()
def create(
    name: Name,
    file: File = None,
    directory: Directory = None,
    handler: Handler = None,
    requirements: Requirements = None,
    runtime: Runtime = None,
    architecture: Architecture = None,
    memory: Memory = None,
    timeout: Timeout = None,
    env: Env = None,
    role: Role = None,
    description: Description = None,
    region: Region = None,
    endpoint_url: Endpoint = None,
    json: Json = False,
) -> None:
    """Bundle a file or a directory, and make the function, or bring the one of that name up to date."""
    source = _source(file, directory)
    if source is None:
        raise InvalidError("--file", None, "give --file or --directory")
    options = _options(handler, runtime, architecture, memory, timeout, env, role, description)
    _report(wiring.functions(region, endpoint_url).create(name, source, options, requirements=requirements), json)


@group.command()
def update(
    name: Name,
    file: File = None,
    directory: Directory = None,
    handler: Handler = None,
    requirements: Requirements = None,
    runtime: Runtime = None,
    architecture: Architecture = None,
    memory: Memory = None,
    timeout: Timeout = None,
    env: Env = None,
    role: Role = None,
    description: Description = None,
    region: Region = None,
    endpoint_url: Endpoint = None,
    json: Json = False,
) -> None:
    """Change what is given: code, options or both."""
    source = _source(file, directory)
    options = _options(handler, runtime, architecture, memory, timeout, env, role, description)
    if source is None and options == Options() and requirements is None:
        raise InvalidError("update", None, "at least one option that changes something")
    _report(wiring.functions(region, endpoint_url).update(name, source, options, requirements=requirements), json)


@group.command("list")
def list_functions(region: Region = None, endpoint_url: Endpoint = None, json: Json = False) -> None:
    """List the functions that rota made."""
    found = wiring.functions(region, endpoint_url).list()
    if json:
        print_json(found)
        return
    if not found:
        note("no functions")
        return
    rows = [
        [it.name, it.state, it.runtime, it.architecture, f"{it.memory} MB", it.modified, it.description] for it in found
    ]
    headers = ["function", "state", "runtime", "architecture", "memory", "modified", "description"]
    print_table(headers, rows, cut=("description",))


@group.command()
def show(name: Name, region: Region = None, endpoint_url: Endpoint = None, json: Json = False) -> None:
    """Show one function."""
    found = wiring.functions(region, endpoint_url).get(name)
    if json:
        print_json(found)
    else:
        print_fields(_fields(found))


@group.command()
def versions(name: Name, region: Region = None, endpoint_url: Endpoint = None, json: Json = False) -> None:
    """List its published versions, newest first; a target names one as lambda:NAME:VERSION."""
    found = wiring.functions(region, endpoint_url).versions(name)
    if json:
        print_json(found)
        return
    rows = [[it.version, it.modified, f"{it.size:,}", it.sha256, it.description] for it in found]
    print_table(["version", "published", "bytes", "sha256", "description"], rows, cut=("sha256",))


@group.command()
def invoke(
    name: Name,
    payload: Payload = None,
    version: Version = None,
    region: Region = None,
    endpoint_url: Endpoint = None,
    json: Json = False,
) -> None:
    """Invoke it once and wait: its answer, and the end of its log on stderr. 1 if the function failed."""
    event = msgspec.json.encode(json_value("payload", payload))
    answer = wiring.functions(region, endpoint_url).invoke(name, event, version)
    if json:
        shape = {"version": answer.version, "value": decode_payload(answer.value)}
        print_json(shape | {"error": answer.error, "log": answer.log})
    else:
        note(answer.log.rstrip())
        say(answer.value.decode())
        if answer.error is not None:
            note(f"rota: the function failed: {answer.error}")
    if answer.error is not None:
        raise typer.Exit(1)


@group.command()
def delete(
    name: Name, yes: Yes = False, region: Region = None, endpoint_url: Endpoint = None, json: Json = False
) -> None:
    """Delete it with its versions, and the role and the log that were made for it. Asks first; with --json, --yes
    says it."""
    functions = wiring.functions(region, endpoint_url)
    if not yes:
        found = functions.get(name)
        note(f"{found.arn}: version {found.version}, changed {found.modified}")
        if json or not _agreed():
            note("nothing was deleted: --yes deletes it")
            raise typer.Exit(1)
    removed = functions.delete(name)
    if json:
        print_json({"deleted": removed})
    else:
        for thing in removed:
            say(f"{thing} deleted")


def _agreed() -> bool:
    return sys.stdin.isatty() and typer.confirm("Delete the function, its role and its log?", err=True)


def _source(file: Path | None, directory: Path | None) -> Source | None:
    if file is not None and directory is not None:
        raise InvalidError("--directory", str(directory), "only one of --file and --directory")
    if file is not None:
        return read_module(file)
    return None if directory is None else read_directory(directory)


def _options(
    handler: str | None,
    runtime: str | None,
    architecture: str | None,
    memory: str | None,
    timeout: str | None,
    env: list[str] | None,
    role: str | None,
    description: str | None,
) -> Options:
    return Options(
        handler=handler,
        runtime=runtime,
        architecture=architecture,  # type: ignore[arg-type]  # Options checks it
        memory=None if memory is None else number("memory", memory, int),
        timeout=None if timeout is None else number("timeout", timeout, int),
        environment=None if env is None else dict(map(_variable, env)),
        role=role,
        description=description,
    )


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidError("env", name, "NAME=VALUE")
    return name, value


def _report(made: Made, json: bool) -> None:
    function, bundle = made.function, made.bundle
    if json:
        sizes: Any = None
        if bundle is not None:
            sizes = {"files": bundle.files, "zipped": len(bundle.data), "unzipped": bundle.unzipped}
        print_json({"change": made.change, "function": function, "bundle": sizes})
        return
    if bundle is not None:
        note(f"rota: bundle: {bundle}")
    say(
        f"{function.name} {made.change}: version {function.version}, {function.runtime}; invoke it as {function.target}"
    )


def _fields(it: Function) -> list[tuple[str, str]]:
    fields = [
        ("function", it.name),
        ("description", it.description),
        ("target", it.target),
        ("arn", it.arn),
        ("state", it.state),
        ("version", it.version or ""),
        ("modified", it.modified),
        ("handler", it.handler),
        ("runtime", f"{it.runtime} on {it.architecture}"),
        ("memory", f"{it.memory} MB"),
        ("timeout", f"{it.timeout} s"),
        ("bundle", f"{it.size:,} bytes, content {it.content[:12]}"),
        ("environment", ", ".join(it.environment)),
        ("role", it.role),
    ]
    return [(name, value) for name, value in fields if value]
