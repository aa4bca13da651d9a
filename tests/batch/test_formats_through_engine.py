"""Every format through real workers: what goes in comes out, once and in order, and the receipt proves it."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tests.batch import shop
from tests.batch.running import Place

from rota.connectors.options import Csv, JsonArray, Jsonl, Parquet, Parts
from rota.core.errors import SourceError
from rota.core.receipt import Counts

ROWS = 205
ITEMS = [{"id": number, "text": f'{number},"x"\n\n{number}\n' * (number % 5)} for number in range(ROWS)]
AS_TEXT = [{"id": str(item["id"]), "text": item["text"]} for item in ITEMS]


def json_lines() -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in ITEMS)


def json_array() -> bytes:
    return json.dumps(ITEMS, indent=2).encode()


def comma_separated() -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["id", "text"])
    writer.writeheader()
    writer.writerows(ITEMS)
    return text.getvalue().encode()


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ITEMS), out, row_group_size=30)
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


Made = Callable[[], bytes]
FORMATS: dict[str, tuple[Made, list[dict[str, Any]]]] = {
    "orders.jsonl": (json_lines, ITEMS),
    "orders.json": (json_array, ITEMS),
    "orders.csv": (comma_separated, AS_TEXT),
    "orders.parquet": (parquet, ITEMS),
}


def check(place: Place, name: str, data: bytes, expected: list[Any], **size: Any) -> None:
    path = place.root / name
    path.write_bytes(data)
    run = place.run(shop.echo, str(path), **size)
    assert (run.state, run.error, run.counts) == ("succeeded", "", Counts(ROWS, ROWS))
    assert run.done > 5
    assert place.results() == expected
    assert place.verify(run) == []


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", [{"chunk_items": 20}, {"chunk_items": None, "chunk_bytes": 500}], ids=str)
def test_what_goes_in_comes_out(place: Place, name: str, size: dict[str, Any]) -> None:
    made, expected = FORMATS[name]
    check(place, name, made(), expected, **size)


@pytest.mark.parametrize("name", [name for name in FORMATS if not name.endswith("parquet")])
@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstd)], ids=["gzip", "zstd"])
def test_what_goes_in_packed_comes_out(place: Place, name: str, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    made, expected = FORMATS[name]
    check(place, name + suffix, pack(made()), expected, chunk_items=20)


def read_parts(kind: str, directory: Path) -> list[Any]:
    found: list[Any] = []
    for path in sorted(directory.glob(f"part-*.{kind}")):
        if kind == "parquet":
            found += pq.read_table(path).to_pylist()
        elif kind == "csv":
            found += csv.DictReader(io.StringIO(path.read_text(), newline=""))
        else:
            found += [json.loads(line) for line in path.read_text().splitlines()]
    return found


@pytest.mark.parametrize(("kind", "expected"), [("jsonl", ITEMS), ("csv", AS_TEXT), ("parquet", ITEMS)])
def test_results_of_every_format(place: Place, kind: str, expected: list[Any]) -> None:
    path = place.root / "orders.parquet"
    path.write_bytes(parquet())
    sink = Parts(f"{place.root}/out/", kind)  # type: ignore[arg-type]
    run = place.run(shop.echo, str(path), sink=sink, chunk_items=30)
    assert (run.state, run.error, run.results) == ("succeeded", "", ROWS)
    assert read_parts(kind, place.root / "out") == expected
    assert place.verify(run) == []


@pytest.mark.parametrize(
    ("content", "option"),
    [
        ("1;ä\n2;ö\n".encode("latin-1"), Csv("", delimiter=";", encoding="latin-1", columns=("id", "text"))),
        ("id\ttext\r\n1\tä\r\n2\tö\r\n".encode("utf-16"), Csv("", delimiter="\t", encoding="utf-16")),
        (b'\xef\xbb\xbf{"id": 1, "text": "x"}\r\n\r\n{"id": 2, "text": "\xc3\xb6"}', Jsonl("")),
        (b'[{"id": 1, "text": "x"}, {"id": 2, "text": "\xc3\xb6"}]', JsonArray("")),
    ],
    ids=["latin-1", "utf-16", "jsonl", "json"],
)
def test_a_file_with_a_name_that_tells_nothing(place: Place, content: bytes, option: Csv | Jsonl | JsonArray) -> None:
    path = place.root / "orders.data"
    path.write_bytes(content)
    run = place.run(shop.echo, msgspec.structs.replace(option, path=str(path)))
    assert (run.state, run.error, run.counts) == ("succeeded", "", Counts(2, 2))
    assert place.results()[1]["text"] == "ö"


def test_a_glob_of_files_and_columns_of_parquet(place: Place) -> None:
    for number in range(3):
        pq.write_table(
            pa.Table.from_pylist([{"id": 10 * number + at, "text": "x"} for at in range(10)]),
            place.root / f"orders-{number}.parquet",
        )
    run = place.run(shop.echo, Parquet(f"{place.root}/orders-*.parquet", columns=["id"]))  # type: ignore[arg-type]
    assert (run.state, run.done) == ("succeeded", 3)
    assert place.results() == [{"id": number} for number in range(30)]
    assert place.verify(run) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("orders.json", b'{"id": 1}', "it holds an object"),
        ("orders.json", b'[{"id": 1}, {"id": 2]', "no intact JSON array"),
        ("orders.jsonl.gz", b'{"id": 1}\n', "no intact gzip file"),
        ("orders.csv", b"id,id\n1,2\n", "id"),
    ],
)
def test_a_file_that_is_not_what_it_claims_is_refused_at_once(
    place: Place, name: str, content: bytes, said: str
) -> None:
    path = place.root / name
    path.write_bytes(content)
    place.batch(shop.echo, str(path))
    with place.client() as client, pytest.raises(SourceError, match=said) as refused:
        client.batches.start("orders")
    assert name in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("orders.json", b'[{"id": 1}' + b',{"id": 2}' * 40_000 + b'{"id": 3}]', "no intact JSON array"),
        ("orders.json", b'[{"id": 1}' + b',{"id": 2}' * 40_000, "is not closed"),
        ("orders.jsonl.gz", gzip.compress(b'{"id": 1}\n' * 40_000)[:-40], "truncated gzip file"),
    ],
)
def test_a_file_that_is_broken_further_on_ends_the_batch_run(
    place: Place, name: str, content: bytes, said: str
) -> None:
    path = place.root / name
    path.write_bytes(content)
    run = place.run(shop.echo, str(path))
    assert run.state == "failed"
    assert name in run.error
    assert said in run.error


def test_a_parquet_file_that_is_none_is_refused_at_once(place: Place) -> None:
    path = place.root / "orders.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    place.batch(shop.echo, str(path))
    with place.client() as client, pytest.raises(SourceError, match="no intact Parquet file"):
        client.batches.start("orders")
