"""What is wrong with an option is said by its name, its value and what is allowed, before anything is opened."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from rota.connectors.open import open_sink, open_source
from rota.connectors.options import Csv, DynamoTable, Inventory, Jsonl, OneFile, Parquet, Parts, SqliteTable
from rota.core.errors import InvalidError

WRONG: Any = 5


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Csv("a.csv", cuts=WRONG), "source.cuts: 5 is not allowed; one of guess, scan is"),
        (lambda: Csv("a.csv", header=WRONG), "source.header: 5 is not allowed; True or False or None is"),
        (lambda: Csv("a.csv", columns=WRONG), "source.columns: 5 is not allowed; a list of texts or None is"),
        (lambda: Csv("a.csv", columns=(WRONG,)), "source.columns: (5,) is not allowed; a list of texts or None is"),
        (lambda: Csv("a.csv", quote=WRONG), "source.quote: 5 is not allowed; a text or None is"),
        (lambda: Jsonl("a", compression=WRONG), "source.compression: 5 is not allowed; one of auto, none, gzip, zstd"),
        (lambda: Jsonl("a", max_item_bytes=0), "source.max_item_bytes: 0 is not allowed; a whole number from 1 up is"),
        (lambda: Parquet(WRONG), "source.path: 5 is not allowed; a text is"),
        (lambda: Inventory(WRONG), "source.path: 5 is not allowed; a text is"),
    ],
)
def test_wrong_options_of_sources(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(InvalidError) as refused:
        open_source(make())
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("sink", "said"),
    [
        (Parts("x/", WRONG), "sink.format: 5 is not allowed; one of jsonl, csv, parquet is"),
        (Parts(WRONG), "sink.path: 5 is not allowed; a text is"),
        (OneFile("x.csv", "parquet"), "sink.format: 'parquet' is not allowed; one of jsonl, csv is"),  # type: ignore[arg-type]
        (SqliteTable(WRONG, "t", "id"), "sink.path: 5 is not allowed; a text is"),
        (DynamoTable("t", WRONG), "sink.key: 5 is not allowed; a text or a list of texts is"),
    ],
)
def test_wrong_options_of_sinks(sink: Any, said: str) -> None:
    with pytest.raises(InvalidError) as refused:
        open_sink(sink)
    assert str(refused.value) == said


SETTINGS = """
from rota.connectors.open import open_sink
from rota.connectors.options import DynamoTable
from rota.core.errors import InvalidError
for sink in (DynamoTable("t"), "s3://bucket/out/"):
    try:
        open_sink(sink)
    except InvalidError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ["sink: 't' is not allowed; the AWS settings must say how to reach it: You must specify a region."]),
        ({"AWS_PROFILE": "nobody"}, ["The config profile (nobody) could not be found"] * 2),
        (
            {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1", "AWS_ENDPOINT_URL": "nonsense"},
            ["Invalid endpoint: nonsense"] * 2,
        ),
    ],
)
def test_aws_settings_that_lead_nowhere(given: dict[str, str], said: list[str]) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    settings = kept | {"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"} | given
    command = [sys.executable, "-c", SETTINGS]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(said)
    assert all(part in line for part, line in zip(said, lines, strict=True))
