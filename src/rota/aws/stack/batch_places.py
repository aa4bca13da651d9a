"""Where the batches of an app read and write in S3, as far as their declarations say."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rota.app import App
from rota.connectors.open import sink_options, source_options
from rota.connectors.options import DynamoTable, Generator, Inventory, NoSink, SqliteTable

_OPEN = re.compile(r"[*?\[{]")


def sources_of(app: App) -> tuple[str, ...]:
    """`bucket/key` of what is read; what a glob, a prefix or `{run}` leaves open is `*`."""
    found = []
    for batch in app.batches.values():
        options = source_options(batch.source)
        if isinstance(options, Inventory):
            # Its files lie beside the folder of its manifest: CONFIG/data/*.csv.gz and CONFIG/DATE/manifest.json.
            bucket, *folders = options.path.removeprefix("s3://").split("/")
            found.append("/".join(["s3:/", bucket, *folders[:-2], ""]))
        elif not isinstance(options, Generator):
            found.append(options.path)
    return _in_s3(found)


def sinks_of(app: App) -> tuple[str, ...]:
    """Likewise of what is written, with the parts of a single file."""
    found = []
    for batch in app.batches.values():
        options = sink_options(batch.sink)
        if not isinstance(options, DynamoTable | NoSink | SqliteTable):
            found.append(options.path if options.path.endswith("/") else f"{options.path}*")
    return _in_s3(found)


def tables_of(app: App) -> tuple[str, ...]:
    """The DynamoDB tables that are written to."""
    options = (sink_options(batch.sink) for batch in app.batches.values())
    return tuple(sorted({it.table for it in options if isinstance(it, DynamoTable)}))


def _in_s3(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({_place(path.removeprefix("s3://")) for path in paths if path.startswith("s3://")}))


def _place(path: str) -> str:
    bucket, _, key = path.partition("/")
    opened = _OPEN.search(key)
    if opened:
        return f"{bucket}/{key[: opened.start()]}*"
    return f"{bucket}/{key}*" if not key or key.endswith("/") else f"{bucket}/{key}"
