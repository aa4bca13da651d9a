"""Batches from S3 and to S3 and DynamoDB, by the workers of this machine."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from tests.batch import shop
from tests.batch.running import PATIENCE, Place
from tests.connectors.inventories import put_inventory

from rota.connectors.options import DynamoTable, Inventory
from rota.core.receipt import Counts
from rota.testing.emulator import Emulator

pytestmark = pytest.mark.usefixtures("aws")
BUCKET = "orders"


@pytest.fixture
def s3(aws: object) -> Any:
    del aws
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for at in range(3):
        lines = "".join(f'{{"id": {at * 20 + number}}}\n' for number in range(20))
        client.put_object(Bucket=BUCKET, Key=f"in/{at}.jsonl", Body=lines.encode())
    return client


def lines_of(s3: Any, key: str) -> list[Any]:
    return [json.loads(line) for line in s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().splitlines()]


def test_from_objects_to_part_objects(place: Place, s3: Any) -> None:
    run = place.run(shop.double, f"s3://{BUCKET}/in/*.jsonl", sink=f"s3://{BUCKET}/out/{{run}}/")
    assert (run.state, run.error, run.counts, run.done) == ("succeeded", "", Counts(60, 60), 6)
    keys = [it["Key"] for it in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"out/{run.id}/part-")["Contents"]]
    assert [row["id"] for key in keys for row in lines_of(s3, key)] == list(range(60))
    assert place.verify(run) == []
    s3.put_object(Bucket=BUCKET, Key=keys[3], Body=b"{}")
    [problem] = place.verify(run)
    assert keys[3].rpartition("/")[2] in problem


def test_from_an_inventory(place: Place, s3: Any) -> None:
    """Its text becomes what the schema says."""
    source = Inventory(put_inventory(s3, BUCKET, [("7", 7), ("8", 8)], [("9", 9)], fileSchema="Key, id, price"))
    run = place.run(shop.priced, source, sink=f"s3://{BUCKET}/out/{{run}}/")
    assert (run.state, run.error, run.counts) == ("succeeded", "", Counts(3, 3))
    keys = [it["Key"] for it in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"out/{run.id}/part-")["Contents"]]
    assert [row for key in keys for row in lines_of(s3, key)] == [14, 16, 18]
    assert place.verify(run) == []


def test_from_a_prefix_to_one_object_and_a_redrive_into_it(place: Place, s3: Any) -> None:
    items = [{"id": number, "place": str(place.root)} for number in range(1, 40)]
    body = "".join(json.dumps(item) + "\n" for item in items).encode()
    s3.put_object(Bucket=BUCKET, Key="more/items.jsonl", Body=body)
    sink = f"s3://{BUCKET}/all.jsonl"
    run = place.run(shop.mendable, f"s3://{BUCKET}/more/items.jsonl", sink=sink, tolerated_failures="50%")
    assert (run.state, run.error) == ("succeeded", "")
    assert [row["id"] for row in lines_of(s3, "all.jsonl")] == [n for n in range(1, 40) if n % 7 and n % 11]
    assert place.verify(run) == []
    (place.root / "mended").touch()
    with place.serve() as client:
        client.batches.redrive(run.id)
        again = client.batches.wait(run.id, PATIENCE)
    assert sorted(row["id"] for row in lines_of(s3, "all.jsonl")) == [n for n in range(1, 40) if n % 11]
    assert (again.counts, place.verify(again)) == (Counts(39, 36, 3), [])


def test_workers_have_the_environment_that_the_engine_has_by_then(
    place: Place, s3: Any, aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    del s3
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    place.batch(shop.double, f"s3://{BUCKET}/in/*.jsonl")
    with place.serve() as client:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
        run = client.batches.wait(client.batches.start("orders").id, PATIENCE)
    assert (run.state, run.error) == ("succeeded", "")


def test_an_object_that_changes_ends_the_batch_run(place: Place, s3: Any) -> None:
    place.batch(shop.sleepy, f"s3://{BUCKET}/in/*.jsonl", chunk_items=1, concurrency=1)
    with place.serve() as client:
        run = client.batches.start("orders")
        while client.batches.get(run.id).done < 2:
            pass
        s3.put_object(Bucket=BUCKET, Key="in/2.jsonl", Body=b'{"id": 1}\n')
        ended = client.batches.wait(run.id, PATIENCE)
    assert ended.state == "failed"
    assert "in/2.jsonl' changed during the batch run" in ended.error


def test_a_table_of_dynamodb_gets_each_result_by_its_key(place: Place) -> None:
    client = boto3.client("dynamodb")
    client.create_table(
        TableName="doubled",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
    )
    run = place.run(shop.double, place.orders(105), sink=DynamoTable("doubled"))
    assert (run.state, run.error, run.results) == ("succeeded", "", 105)
    found = client.scan(TableName="doubled")["Items"]
    assert {int(it["id"]["N"]): int(it["twice"]["N"]) for it in found} == {n: 2 * n for n in range(105)}
    assert place.verify(run) == []
