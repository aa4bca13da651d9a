"""S3 and DynamoDB, against the emulator; what it never does (throttling, leaving items) with a client that does."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.connectors.driving import drive

from rota.connectors.dynamodb_table import DynamoTableSink
from rota.connectors.open import open_sink, open_source
from rota.connectors.options import Csv, DynamoTable, Parts
from rota.connectors.s3 import key_pattern
from rota.core.chunk import Chunk, ChunkSize, Origin
from rota.core.errors import ConflictError, InvalidError, SourceError, StoreError
from rota.ports.source import read_all
from rota.testing.emulator import Emulator

pytestmark = pytest.mark.usefixtures("aws")

LINES = b"".join(b'{"n": %d}\n' % i for i in range(100))
VALUES: list[object] = [{"n": i} for i in range(100)]


@pytest.fixture
def s3(aws: Emulator) -> Any:
    client = boto3.client("s3", endpoint_url=aws.url)
    client.create_bucket(Bucket="bucket")
    return client


def test_objects_are_read_like_files(s3: Any, tmp_path: Any) -> None:
    for key in ("in/b.jsonl", "in/a.jsonl", "in/deep/c.jsonl", "other.jsonl"):
        s3.put_object(Bucket="bucket", Key=key, Body=LINES)
    for size in (ChunkSize(items=7), ChunkSize(bytes=100)):
        assert drive("s3://bucket/in/*.jsonl", size).values() == VALUES * 2
    assert drive("s3://bucket/in/**/*.jsonl", ChunkSize(items=50)).values() == VALUES * 3
    assert drive("s3://bucket/other.jsonl", ChunkSize(items=50)).values() == VALUES
    s3.put_object(Bucket="bucket", Key="x.jsonl.gz", Body=gzip.compress(LINES))
    assert drive("s3://bucket/x.jsonl.gz", ChunkSize(items=50), tmp_path).values() == VALUES
    s3.put_object(Bucket="bucket", Key="x.json", Body=json.dumps(VALUES).encode())
    assert drive("s3://bucket/x.json", ChunkSize(items=50)).values() == VALUES


def test_csv_objects_are_cut_by_guess_and_still_meet(s3: Any) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["a", "b"], *([str(i), 'x,"y"\nz,1\n' * (i % 4)] for i in range(300))])
    s3.put_object(Bucket="bucket", Key="x.csv", Body=text.getvalue().encode())
    driven = drive(Csv("s3://bucket/x.csv"), ChunkSize(bytes=300))
    assert driven.values() == [{"a": str(i), "b": 'x,"y"\nz,1\n' * (i % 4)} for i in range(300)]


def test_parquet_objects(s3: Any) -> None:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(VALUES), out, row_group_size=30)
    s3.put_object(Bucket="bucket", Key="x.parquet", Body=out.getvalue())
    assert drive("s3://bucket/x.parquet", ChunkSize(items=30)).values() == VALUES


def test_an_object_that_changes_ends_the_run(s3: Any) -> None:
    s3.put_object(Bucket="bucket", Key="x.jsonl", Body=LINES)
    source = open_source("s3://bucket/x.jsonl")
    first, *_ = source.plan(ChunkSize(items=10))
    s3.put_object(Bucket="bucket", Key="x.jsonl", Body=LINES[::-1])
    with pytest.raises(SourceError, match="changed during the batch run"):
        read_all(open_source("s3://bucket/x.jsonl"), first)
    s3.delete_object(Bucket="bucket", Key="x.jsonl")
    with pytest.raises(SourceError, match="does not exist"):
        read_all(open_source("s3://bucket/x.jsonl"), first)


def test_a_version_stays_readable_when_a_newer_one_comes(s3: Any) -> None:
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="bucket", Key="x.jsonl", Body=LINES)
    source = open_source("s3://bucket/x.jsonl")
    (chunk,) = source.plan(ChunkSize(items=100))
    assert "@" in chunk.origin.fingerprint
    s3.put_object(Bucket="bucket", Key="x.jsonl", Body=b"0\n")
    assert read_all(source, chunk) == VALUES


def test_what_is_not_there(s3: Any) -> None:
    for uri in (
        "s3://bucket/missing.jsonl",
        "s3://bucket/in/*.jsonl",
        "s3://nobucket/x.jsonl",
        "s3://nobucket/*.jsonl",
    ):
        with pytest.raises(SourceError):
            open_source(uri).check()
    with pytest.raises(InvalidError):
        open_source("s3:///x.jsonl")
    with pytest.raises(InvalidError, match="a bucket that exists"):
        open_sink("s3://nobucket/out/").check()
    del s3


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a/*.x", "a/b.x", "a/b/c.x"),
        ("a/**/*.x", "a/b/c.x", "b/c.x"),
        ("a/**/*.x", "a/c.x", "a/c.y"),
        ("[!a]?.x", "bc.x", "ac.x"),
    ],
)
def test_globs_of_keys(pattern: str, yes: str, no: str) -> None:
    assert key_pattern(pattern).fullmatch(yes)
    assert not key_pattern(pattern).fullmatch(no)


def chunk(number: int) -> Chunk:
    return Chunk(number, Origin("x"), number, number + 1)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_part_objects(s3: Any, kind: str) -> None:
    options = Parts("s3://bucket/out", kind)  # type: ignore[arg-type]
    sink = open_sink(options)
    sink.check()
    sink.prepare("r1")
    parts = [sink.write(chunk(n), [VALUES[n * 10 : n * 10 + 10]]) for n in (0, 1, 1)]
    assert parts[1] == parts[2]
    assert sink.write(chunk(1), [], revision=1).items == 0
    assert sink.finish(parts).location == "s3://bucket/out/"
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="bucket", Prefix="out/part-")["Contents"]]
    assert keys == [f"out/part-00000000{n}.{kind}" for n in (0, 1)]
    assert s3.get_object(Bucket="bucket", Key=keys[0])["ContentLength"] == parts[0].bytes
    open_sink(options).prepare("r1")
    with pytest.raises(ConflictError, match="'r1'"):
        open_sink(options).prepare("r2")
    open_sink(options).discard("r2")
    open_sink(options).discard("r1")
    assert "Contents" not in s3.list_objects_v2(Bucket="bucket")


@pytest.fixture
def table(aws: Emulator) -> Any:
    client = boto3.client("dynamodb", endpoint_url=aws.url)
    client.create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


def test_items_are_replaced_by_key(table: Any) -> None:
    sink = open_sink(DynamoTable("table"))
    sink.check()
    sink.prepare("r1")
    rows: list[object] = [{"id": str(i % 40), "price": i / 10, "tags": ["a", {"b": None}]} for i in range(60)]
    for _ in range(2):
        assert sink.write(chunk(0), [rows[:33], rows[33:]]).items == 60
    found = {item["id"]["S"]: item for item in table.scan(TableName="table")["Items"]}
    assert len(found) == 40
    assert found["3"]["price"] == {"N": "4.3"}
    assert "no value for the key" in str(sink.refusal({"price": 1}))
    assert "named fields" in str(sink.refusal([1]))
    assert "bytes as JSON" in str(sink.refusal({"id": "1", "x": "y" * 500_000}))
    assert "must be a text" in str(sink.refusal({"id": 1}))
    with pytest.raises(InvalidError, match="a DynamoDB table that exists"):
        open_sink(DynamoTable("missing")).check()
    open_sink(DynamoTable("table", key="id")).check()
    with pytest.raises(InvalidError, match=r"sink.key: 'order, line' .* the key of table 'table' is id"):
        open_sink(DynamoTable("table", key=("order", "line"))).check()


class Reluctant:
    """Takes one item of each request, and no more than `patience` requests are needed to anger nobody."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.stubborn = False

    def describe_table(self, TableName: str) -> Any:  # noqa: N803 - AWS's name
        types = [{"AttributeName": "id", "AttributeType": "S"}]
        return {
            "Table": {"KeySchema": [{"AttributeName": "id"}], "AttributeDefinitions": types, "TableName": TableName}
        }

    def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> Any:  # noqa: N803 - AWS's name
        requests = RequestItems["table"]
        if not self.stubborn:
            self.taken.append(requests.pop(0)["PutRequest"]["Item"]["id"]["S"])
        return {"UnprocessedItems": {"table": requests} if requests else {}}


def test_unprocessed_items_are_sent_again_after_growing_pauses() -> None:
    client = Reluctant()
    pauses: list[float] = []
    sink = DynamoTableSink(DynamoTable("table"), client, pauses.append)
    sink.prepare("r1")
    sink.write(chunk(0), [[{"id": str(i)} for i in range(6)]])
    assert client.taken == ["0", "1", "2", "3", "4", "5"]
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8]
    client.stubborn = True
    with pytest.raises(StoreError, match="1 items unprocessed"):
        sink.write(chunk(0), [[{"id": "x"}]])
    assert max(pauses) == 5.0
