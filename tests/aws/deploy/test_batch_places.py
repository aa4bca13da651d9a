"""Where functions of batch runs may read and write: what the app's batches name."""

from __future__ import annotations

import pytest

import rota
from rota.aws.stack.batch_places import sinks_of, sources_of, tables_of
from rota.core.task import Task


def app_with(source: object, sink: object) -> rota.App:
    app = rota.App("shop")

    @app.task
    def tidy(item: object) -> object:
        return item

    assert isinstance(tidy, Task)
    app.batch("all", source=source, task=tidy, sink=sink)
    return app


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("s3://orders/in/all.jsonl", "orders/in/all.jsonl"),
        ("s3://orders/in/*.csv", "orders/in/*"),
        (rota.Jsonl("s3://orders/in/"), "orders/in/*"),
        (rota.Jsonl("s3://orders/"), "orders/*"),
        (rota.Inventory("s3://lists/to/orders/daily/2026-11-20T01-00Z/manifest.json"), "lists/to/orders/daily/*"),
        (rota.Inventory("s3://lists/manifest.json"), "lists/*"),
    ],
)
def test_what_a_source_leaves_open_is_open(source: object, place: str) -> None:
    assert sources_of(app_with(source, None)) == (place,)


def test_a_generator_reads_nothing() -> None:
    assert sources_of(app_with(range(3).__iter__, None)) == ()


@pytest.mark.parametrize(
    ("sink", "place"),
    [
        ("s3://results/{run}/", ("results/*",)),
        ("s3://results/orders/{run}/", ("results/orders/*",)),
        ("s3://results/all.jsonl", ("results/all.jsonl*",)),
        ("out/", ()),
        (None, ()),
    ],
)
def test_a_sink_is_written_with_its_parts(sink: object, place: tuple[str, ...]) -> None:
    assert sinks_of(app_with("s3://orders/all.jsonl", sink)) == place


def test_a_table_is_named() -> None:
    assert tables_of(app_with("s3://orders/all.jsonl", rota.DynamoTable("rows"))) == ("rows",)
