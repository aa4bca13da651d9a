"""What S3 and DynamoDB refuse is told in words that help: what is missing, and which permission is lacking."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.connectors.test_aws import chunk

from rota.connectors.aws_errors import reason
from rota.connectors.open import open_sink, open_source
from rota.connectors.options import DynamoTable
from rota.core.errors import LastingSourceError, SourceError, StoreError
from rota.testing.emulator import Emulator

LACKING = "access denied: the credentials in use lack the permission "
HIDDEN = "without s3:ListBucket, S3 answers the same for a key that does not exist"


@pytest.fixture
def s3(aws: Emulator) -> Any:
    client = boto3.client("s3", endpoint_url=aws.url)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="x.jsonl", Body=b'{"id": 1}\n')
    return client


def deny(aws: Emulator, action: str) -> None:
    aws.faults({action: {"p": 1.0, "status": 403, "code": "AccessDenied"}})


@pytest.mark.parametrize(
    ("uri", "denied", "permission"),
    [
        ("s3://bucket/x.jsonl", "s3.HeadObject", "s3:GetObject"),
        ("s3://bucket/x.jsonl", "s3.GetObject", "s3:GetObject"),
        ("s3://bucket/*.jsonl", "s3.ListObjectsV2", "s3:ListBucket"),
    ],
)
def test_a_source_that_may_not_be_read_names_the_permission(
    s3: Any, aws: Emulator, uri: str, denied: str, permission: str
) -> None:
    deny(aws, denied)
    with pytest.raises(SourceError) as refused:
        open_source(uri).check()
    del s3
    assert str(refused.value).startswith(f"cannot read source {uri!r}: {LACKING}{permission} (")
    assert str(refused.value).endswith(HIDDEN) == (permission == "s3:GetObject")
    assert not isinstance(refused.value, LastingSourceError)


@pytest.mark.parametrize(
    ("denied", "permission"),
    [("s3.HeadBucket", "s3:ListBucket"), ("s3.ListObjectsV2", "s3:ListBucket"), ("s3.PutObject", "s3:PutObject")],
)
def test_a_sink_that_may_not_be_written_names_the_permission(
    s3: Any, aws: Emulator, denied: str, permission: str
) -> None:
    deny(aws, denied)
    sink = open_sink("s3://bucket/out/")
    with pytest.raises(StoreError) as refused:
        _used(sink)
    del s3
    assert str(refused.value).startswith(f"sink 's3://bucket/out/': {LACKING}{permission} (")


@pytest.mark.parametrize(
    ("denied", "permission"),
    [
        ("dynamodb.DescribeTable", "dynamodb:DescribeTable"),
        ("dynamodb.BatchWriteItem", "dynamodb:BatchWriteItem"),
    ],
)
def test_a_table_that_may_not_be_written_names_the_permission(aws: Emulator, denied: str, permission: str) -> None:
    boto3.client("dynamodb").create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    aws.faults({denied: {"p": 1.0, "status": 400, "code": "AccessDeniedException"}})
    with pytest.raises(StoreError) as refused:
        _used(open_sink(DynamoTable("table")))
    assert str(refused.value).startswith(f"DynamoDB table 'table': {LACKING}{permission} (")


def _used(sink: Any) -> None:
    sink.check()
    sink.prepare("r1")
    sink.write(chunk(0), [[{"id": "a"}]])


def test_aws_itself_says_best_what_is_lacking() -> None:
    said = "User: arn:aws:iam::1:user/a is not authorized to perform: s3:GetObjectVersion on resource: x"
    error = ClientError({"Error": {"Code": "AccessDenied", "Message": said}}, "GetObject")
    assert reason(error, "s3") == f"{LACKING}s3:GetObjectVersion ({said})"


@pytest.mark.parametrize("uri", ["s3://nobucket/x.jsonl", "s3://nobucket/*.jsonl"])
def test_a_bucket_that_is_missing_is_told_from_a_key(s3: Any, uri: str) -> None:
    del s3
    with pytest.raises(LastingSourceError, match="does not exist: there is no bucket 'nobucket'"):
        open_source(uri).check()
    with pytest.raises(LastingSourceError, match="does not exist: the bucket 'bucket' has no such key"):
        open_source("s3://bucket/none.jsonl").check()


def test_a_bucket_that_may_not_be_asked_for_leaves_the_key_as_what_is_missing(s3: Any, aws: Emulator) -> None:
    del s3
    deny(aws, "s3.HeadBucket")
    with pytest.raises(LastingSourceError, match="has no such key"):
        open_source("s3://bucket/none.jsonl").check()


@pytest.mark.parametrize(
    ("key", "body", "said"),
    [
        ("a.json", b'{"id": 1}', "it holds an object"),
        ("a.json", b'[{"id":1},{"id":2', "is no intact JSON array"),
        ("a.csv", b"id,id\n1,2\n", "names column 'id' twice"),
        ("a.csv.gz", b"id\n1\n", "no intact gzip file"),
        ("a.jsonl.zst", b'{"id": 1}\n', "no intact zstd file"),
        ("a.parquet", b"PAR1", "no intact Parquet file"),
    ],
)
def test_what_is_not_of_its_format_shows_at_the_beginning(
    s3: Any, aws: Emulator, key: str, body: bytes, said: str
) -> None:
    s3.put_object(Bucket="bucket", Key=key, Body=body)
    aws.reset_counts()
    with pytest.raises(LastingSourceError, match=said):
        open_source(f"s3://bucket/{key}").check()
    if not key.endswith(".parquet"):
        assert aws.counts()["s3.GetObject"].requests == 1


def test_a_file_is_not_judged_by_what_its_beginning_leaves_open(s3: Any) -> None:
    long = b"[" + b",".join(b'{"id": "%s"}' % (b"x" * 1000) for _ in range(600)) + b"]"
    for key, body in (("a.json", long), ("b.json", b""), ("c.csv", b'"' + b"x" * 400_000 + b'",b\n1,2\n')):
        s3.put_object(Bucket="bucket", Key=key, Body=body)
        open_source(f"s3://bucket/{key}").check()
