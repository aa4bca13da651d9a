"""Sources and sinks as a batch run keeps them, and back: connector options as JSON.

A generator is kept by name only, since a function is no value; whoever plans has the app, and so the function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from rota.connectors.open import SinkText, SourceText, open_sink, open_source, sink_options, source_options
from rota.connectors.options import FileSource, Generator, SinkOptions
from rota.connectors.payload_argument import with_payload
from rota.core.batch import BatchRun, filled
from rota.core.payload import decode_payload
from rota.ports.sink import Sink, check_vacant
from rota.ports.source import Source

GENERATOR = "generator"
INVENTORY = "inventory"
_PACKED = (".gz", ".gzip", ".zst", ".zstd")


def source_json(source: SourceText) -> dict[str, Any]:
    """The options of a source; InvalidError if it tells no format."""
    options = source_options(source)
    if isinstance(options, Generator):
        return {"type": GENERATOR, "name": getattr(options.make, "__qualname__", GENERATOR)}
    found: dict[str, Any] = msgspec.to_builtins(options)
    return found


def sink_json(sink: SinkText) -> dict[str, Any]:
    """The options of a sink; InvalidError if it is none."""
    found: dict[str, Any] = msgspec.to_builtins(sink_options(sink))
    return found


def generator_of(source: SourceText) -> Callable[..., Iterable[object]] | None:
    """The function, if the source is one."""
    options = source_options(source)
    return options.make if isinstance(options, Generator) else None


def open_stored_source(
    options: dict[str, Any],
    spool: str | Path,
    make: Callable[..., Iterable[object]] | None = None,
    seekers: int = 1,
) -> Source:
    """The source behind `source_json`. make: the generator, which only the planner needs; readers have the spool."""
    if options.get("type") == GENERATOR:
        return open_source(Generator(make or tuple), spool)
    return open_source(msgspec.convert(options, FileSource), spool, seekers)


def open_stored_sink(options: dict[str, Any]) -> Sink:
    """The sink behind `sink_json`."""
    return open_sink(msgspec.convert(options, SinkOptions))


def is_spooled(options: dict[str, Any]) -> bool:
    """Whether every planned chunk takes up room on disk until it is done."""
    packed = options.get("compression", "auto")
    path = str(options.get("path", ""))
    return (
        options.get("type") in (GENERATOR, INVENTORY)
        or packed in ("gzip", "zstd")
        or (packed == "auto" and path.endswith(_PACKED))
    )


def is_text(options: dict[str, Any]) -> bool:
    """Whether every value of an item is text, whatever the task takes it for."""
    return options.get("type") in ("csv", INVENTORY)


def check_stored(run: BatchRun, make: Callable[..., Iterable[object]] | None = None) -> None:
    """What can be known before a batch run is accepted: InvalidError, SourceError or ConflictError for what cannot
    work."""
    given = None if make is None else with_payload(make, decode_payload(run.spec.payload))
    open_stored_source(filled(run.spec.source, run.id), run.place, given).check()
    open_stored_sink(filled(run.spec.sink, run.id)).check()


def sink_place(run: BatchRun) -> str:
    """Where the results of a batch run go: a path, a URI, or a table; nothing where they are not kept."""
    options = filled(run.spec.sink, run.id)
    return str(options.get("path", options.get("table", "")))


def check_sink_vacant(run: BatchRun) -> None:
    """ConflictError if the sink of a batch run that is to be accepted holds results already."""
    check_vacant(sink_place(run), open_stored_sink(filled(run.spec.sink, run.id)).holder(), run.id)
