"""What verifying proves, place by place, and of a batch run that ended early."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import boto3
import pytest

from rota.connectors.manifest import read_receipt, write_manifest
from rota.connectors.open import SinkText, open_sink
from rota.connectors.options import DynamoTable, OneFile, Parts, SqliteTable
from rota.connectors.s3_file import S3FileSink
from rota.connectors.verifying import verify_manifest
from rota.core.chunk import Chunk, Extent, Origin
from rota.core.errors import ConflictError
from rota.core.receipt import Counts, Part, check_tiling, entry_of, open_entry
from rota.ports.sink import Sink
from rota.testing.emulator import Emulator

ORIGIN = Origin("orders.csv", "30:1:1", 30)
CHUNKS = [Chunk(number, ORIGIN, number * 10, number * 10 + 10, last=number == 2) for number in range(3)]


def rows(number: int) -> list[list[object]]:
    return [[{"id": str(number * 10 + at), "name": "x" * number} for at in range(3)]]


def written(sink: Sink, chunks: Iterable[Chunk] = tuple(CHUNKS)) -> list[Part]:
    sink.check()
    sink.prepare("r1")
    parts = [sink.write(chunk, rows(chunk.number)) for chunk in chunks]
    sink.sync(parts)
    return parts


def account(directory: Path, sink: Sink, parts: list[Part]) -> None:
    """Manifest and receipt of a run that did all its chunks."""
    entries = [
        entry_of(chunk, Extent(chunk.start, chunk.end), Counts(3, 3), [part])
        for chunk, part in zip(CHUNKS, parts, strict=True)
    ]
    write_manifest(directory, "orders", "r1", sink.finish(parts), entries)


def finished(directory: Path, text: SinkText) -> None:
    sink = open_sink(text)
    account(directory, sink, written(sink))


def test_a_table_holds_the_transaction_of_every_part(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    finished(tmp_path, SqliteTable(str(path), "orders", "id"))
    assert verify_manifest(tmp_path) == []
    with sqlite3.connect(path) as database:
        database.execute("UPDATE rota_parts SET items = 2 WHERE part LIKE 'part-000000001%'")
        database.execute("DELETE FROM rota_parts WHERE part LIKE 'part-000000002%'")
        database.execute("DELETE FROM orders")
    assert verify_manifest(tmp_path) == [
        "part part-000000001.rows was committed with other results than the manifest's",
        "part part-000000002.rows was never committed to the database",
        "the table 'orders' is empty",
    ]
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE rota_parts")
    [problem] = verify_manifest(tmp_path)
    assert problem.startswith(f"the database '{path}' cannot be read")
    path.unlink()
    [problem] = verify_manifest(tmp_path)
    assert problem.startswith(f"the database '{path}' cannot be read")
    assert not path.exists()


@pytest.fixture
def s3(aws: Emulator) -> Any:
    client = boto3.client("s3", endpoint_url=aws.url)
    client.create_bucket(Bucket="bucket")
    return client


def test_part_objects_are_hashed_again(s3: Any, tmp_path: Path) -> None:
    finished(tmp_path, Parts("s3://bucket/out/"))
    assert verify_manifest(tmp_path) == []
    key = "out/part-000000001.jsonl"
    data = s3.get_object(Bucket="bucket", Key=key)["Body"].read()
    s3.put_object(Bucket="bucket", Key=key, Body=data.replace(b"10", b"66"))
    assert verify_manifest(tmp_path) == ["part part-000000001.jsonl was altered: its SHA-256 is not the manifest's"]
    s3.delete_object(Bucket="bucket", Key=key)
    [problem] = verify_manifest(tmp_path)
    assert problem.startswith(f"part part-000000001.jsonl cannot be read: source 's3://bucket/{key}' does not exist")


@pytest.mark.parametrize("name", ["all.jsonl", "all.csv"])
def test_one_object_holds_all_results_in_order(s3: Any, tmp_path: Path, name: str) -> None:
    finished(tmp_path, f"s3://bucket/{name}")
    assert verify_manifest(tmp_path) == []
    data = s3.get_object(Bucket="bucket", Key=name)["Body"].read()
    lines = data.decode().splitlines()
    if name.endswith("csv"):
        assert (lines[0], lines[4], len(lines)) == ("id,name", "10,x", 10)
    else:
        assert [json.loads(line) for line in lines] == [row for n in range(3) for block in rows(n) for row in block]
    with pytest.raises(ConflictError, match="already holds the results of"):
        open_sink(f"s3://bucket/{name}").prepare("r2")
    s3.put_object(Bucket="bucket", Key=name, Body=data + b"1")
    assert verify_manifest(tmp_path) == [f"the result s3://bucket/{name} goes on behind its last part"]
    s3.delete_object(Bucket="bucket", Key=name)
    [problem] = verify_manifest(tmp_path)
    assert problem.startswith(f"the result s3://bucket/{name} is missing")
    open_sink(f"s3://bucket/{name}").discard("r1")
    assert "Contents" not in s3.list_objects_v2(Bucket="bucket")


def test_a_long_object_is_uploaded_in_pieces_and_what_a_crash_left_is_given_up(s3: Any, tmp_path: Path) -> None:
    options = OneFile("s3://bucket/all.jsonl")
    left = s3.create_multipart_upload(Bucket="bucket", Key="all.jsonl")["UploadId"]
    s3.upload_part(Bucket="bucket", Key="all.jsonl", UploadId=left, PartNumber=1, Body=b"x")
    other = s3.create_multipart_upload(Bucket="bucket", Key="all.jsonl.too")["UploadId"]
    sink = S3FileSink(options, s3, piece=5 << 20)
    sink.check()
    sink.prepare("r1")
    blocks = [[["y" * 1000] * 4000] for _ in CHUNKS]
    parts = [sink.write(chunk, blocks[chunk.number]) for chunk in CHUNKS]
    for _ in range(2):
        account(tmp_path, sink, parts)
        assert verify_manifest(tmp_path) == []
    head = s3.head_object(Bucket="bucket", Key="all.jsonl")
    assert head["ContentLength"] == sum(part.bytes for part in parts) > 10 << 20
    uploads = s3.list_multipart_uploads(Bucket="bucket").get("Uploads", [])
    assert [upload["UploadId"] for upload in uploads] == [other]


def test_a_run_without_results_makes_an_empty_object(s3: Any) -> None:
    sink = open_sink("s3://bucket/all.jsonl")
    sink.check()
    sink.prepare("r1")
    sink.finish([])
    assert s3.head_object(Bucket="bucket", Key="all.jsonl")["ContentLength"] == 0


def test_an_object_of_somebody_else_is_left_alone(s3: Any) -> None:
    s3.put_object(Bucket="bucket", Key="all.jsonl", Body=b"mine")
    with pytest.raises(ConflictError, match="already holds the results of"):
        open_sink("s3://bucket/all.jsonl").prepare("r1")
    open_sink("s3://bucket/all.jsonl").discard("r1")
    assert s3.get_object(Bucket="bucket", Key="all.jsonl")["Body"].read() == b"mine"


def test_a_table_of_dynamodb_must_be_there(aws: Emulator, tmp_path: Path) -> None:
    client = boto3.client("dynamodb", endpoint_url=aws.url)
    client.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    finished(tmp_path, DynamoTable("orders"))
    assert verify_manifest(tmp_path) == []
    client.delete_table(TableName="orders")
    [problem] = verify_manifest(tmp_path)
    assert problem.startswith("the table of the results cannot be seen: sink: 'orders'")


def test_results_that_nobody_wanted_are_counted(tmp_path: Path) -> None:
    finished(tmp_path, None)
    assert verify_manifest(tmp_path) == []
    assert read_receipt(tmp_path).results == 9


@pytest.mark.parametrize("name", ["out/", "all.jsonl"])
def test_a_run_that_ended_early_says_what_is_not_done(tmp_path: Path, name: str) -> None:
    sink = open_sink(f"{tmp_path}/{name}")
    parts = written(sink, CHUNKS[:1])
    entries = [entry_of(CHUNKS[0], Extent(0, 10), Counts(3, 3), parts), *map(open_entry, CHUNKS[1:])]
    write_manifest(tmp_path, "orders", "r1", sink.left(), entries, None, "cancelled")
    assert not (tmp_path / "all.jsonl").exists()
    early = "the batch run ended early (cancelled): 2 of 3 planned chunks are not done (1 to 2)"
    assert verify_manifest(tmp_path) == [early]
    write_manifest(tmp_path, "orders", "r1", sink.left(), entries[:2], None, "failed", planned=False)
    [problem] = verify_manifest(tmp_path)
    assert problem.endswith("1 of 2 planned chunks are not done (1), and the source was not planned to its end")
    part = next(tmp_path.rglob("part-*"))
    part.write_bytes(part.read_bytes()[::-1])
    assert len(verify_manifest(tmp_path)) == 2


def test_ranges_behind_an_open_chunk_may_be_guesses() -> None:
    done = [entry_of(chunk, Extent(chunk.start, chunk.end), Counts(3, 3)) for chunk in CHUNKS]
    guessed = entry_of(CHUNKS[2], Extent(23, 30), Counts(2, 2))
    assert list(check_tiling([done[0], open_entry(CHUNKS[1]), guessed])) == []
    assert len(list(check_tiling([done[0], done[1], guessed]))) == 1
