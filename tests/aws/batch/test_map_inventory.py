"""An inventory as the source of a map: what is known before, and the work on the rows that Step Functions reads.

The emulator has no such item reader, so its rows are handed over here as AWS documents them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.aws.batch import map_shop
from tests.aws.batch.map_stack import BUCKET, MapStack
from tests.aws.batch.test_map_parts import Map
from tests.connectors.inventories import put_inventory

from rota.connectors.options import Inventory
from rota.core.errors import InvalidError, SourceError
from rota.core.receipt import Counts
from rota.testing.emulator import Emulator

KEYS = [(f"pictures/{number}.jpg", number) for number in range(25)]


@pytest.fixture
def stack(aws: Emulator) -> MapStack:
    return MapStack(map_shop.app, "map_shop", Path(map_shop.__file__))


def test_rows_are_items(stack: MapStack) -> None:
    source = put_inventory(stack.s3, BUCKET, KEYS)
    items = [{"LastModifiedDate": "", "Bucket": "shop", "Size": str(size), "Key": key} for key, size in KEYS]
    it = Map(stack, items, Inventory(source), task=map_shop.weigh, chunk_items=10)
    given = {name: it.state[name] for name in ("reader", "bucket", "key", "batch_items")}
    key = source.removeprefix(f"s3://{BUCKET}/")
    assert given == {"reader": "inventory", "bucket": BUCKET, "key": key, "batch_items": 10}
    it.work([*range(10)], [*range(10, 20)], [*range(20, 25)])
    assert it.finish()["outcome"] == "succeeded"
    assert it.ended().counts == Counts(25, 25)
    found = stack.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"out/{it.run.id}/part-")["Contents"]
    bodies = [stack.s3.get_object(Bucket=BUCKET, Key=part["Key"])["Body"].read() for part in found]
    assert [msgspec.json.decode(line) for body in bodies for line in body.splitlines()] == [
        {"key": key, "size": size} for key, size in KEYS
    ]
    assert stack.client.verify(it.run.id) == []


def test_a_newer_inventory_in_its_place_is_noticed(stack: MapStack) -> None:
    source = put_inventory(stack.s3, BUCKET, KEYS)
    items = [{"Bucket": "shop", "Size": str(size), "Key": key} for key, size in KEYS]
    it = Map(stack, items, Inventory(source), task=map_shop.weigh)
    it.work([*range(25)])
    put_inventory(stack.s3, BUCKET, KEYS[1:], KEYS[:1])
    assert it.finish()["outcome"] == "failed"
    assert it.ended().error == f"source '{source}' changed during the batch run"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"fileFormat": "ORC"}, "this one is in ORC"),
        ({"files": [{"key": "lists/gone.csv.gz"}]}, "does not exist"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_stored(
    stack: MapStack, more: dict[str, Any], said: str
) -> None:
    map_shop.declare(Inventory(put_inventory(stack.s3, BUCKET, KEYS, **more)), task=map_shop.weigh)
    with pytest.raises((InvalidError, SourceError), match=said):
        stack.client.start("prices")
    assert stack.client.list() == []
