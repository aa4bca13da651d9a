"""S3 inventories as sources, against the emulator's S3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.connectors.driving import drive, read_chunk
from tests.connectors.inventories import put_inventory

from rota.connectors.open import open_source
from rota.connectors.options import Inventory
from rota.connectors.stored import is_spooled, is_text, open_stored_source, source_json
from rota.core.chunk import ChunkSize
from rota.core.errors import InvalidError, SourceError
from rota.testing.emulator import Emulator

KEYS = ["a/plain.jpg", "with space.jpg", "one+two.jpg", "grün/100%.jpg", 'say "x", y.jpg']
MANY = [(f"{name}-{number}", number) for number in range(40) for name in KEYS]


@pytest.fixture
def s3(aws: Emulator) -> Any:
    client = boto3.client("s3", endpoint_url=aws.url)
    client.create_bucket(Bucket="bucket")
    return client


def rows(*files: list[tuple[str, int]]) -> list[object]:
    return [{"Bucket": "shop", "Key": key, "Size": str(size)} for file in files for key, size in file]


@pytest.mark.parametrize("size", [ChunkSize(items=7), ChunkSize(bytes=300)])
def test_every_row_of_every_file_is_an_item_with_its_key_decoded(s3: Any, tmp_path: Path, size: ChunkSize) -> None:
    source = Inventory(put_inventory(s3, "bucket", MANY[:90], MANY[90:], [("last", 0)]))
    driven = drive(source, size, tmp_path)
    assert driven.values() == rows(MANY, [("last", 0)])
    assert len(driven.chunks) > 20


def test_a_manifest_that_is_overwritten_changes_no_batch_run_that_has_begun(s3: Any, tmp_path: Path) -> None:
    source = Inventory(put_inventory(s3, "bucket", MANY))
    first, *_ = open_source(source, tmp_path).plan(ChunkSize(items=50))
    put_inventory(s3, "bucket", fileSchema="Key, Bucket, Size")
    rest = list(open_source(source, tmp_path).plan(ChunkSize(items=50), first))
    read = [record.value for chunk in (first, *rest) for record in read_chunk(source, chunk, tmp_path)[1]]
    assert read == rows(MANY)


def test_a_bucket_without_objects_has_no_items(s3: Any, tmp_path: Path) -> None:
    source = Inventory(put_inventory(s3, "bucket"))
    open_source(source).check()
    assert drive(source, ChunkSize(items=5), tmp_path).chunks == []


def test_a_file_that_changes_ends_the_run(s3: Any, tmp_path: Path) -> None:
    source = Inventory(put_inventory(s3, "bucket", MANY[:90], MANY[90:]))
    planned = open_source(source, tmp_path).plan(ChunkSize(items=50))
    next(planned)
    put_inventory(s3, "bucket", MANY[:90], MANY[91:])
    with pytest.raises(SourceError, match="changed during the batch run"):
        list(planned)


def test_a_row_with_other_fields_is_a_dead_letter(s3: Any, tmp_path: Path) -> None:
    source = Inventory(put_inventory(s3, "bucket", MANY[:3], fileSchema="Bucket, Key, Size, ETag"))
    driven = drive(source, ChunkSize(items=50), tmp_path)
    assert [getattr(it, "error", None) for it in driven.values()] == ["wrong number of fields: 3 instead of 4"] * 3


def test_it_travels_as_options() -> None:
    options = source_json(Inventory("s3://bucket/in/{run}/manifest.json"))
    assert options == {"type": "inventory", "path": "s3://bucket/in/{run}/manifest.json"}
    assert is_spooled(options)
    assert is_text(options)
    open_stored_source(options, "spool")


@pytest.mark.parametrize(
    "path",
    ["lists/manifest.json", "s3://bucket", "s3:///manifest.json", "s3://bucket/data.csv.gz", "s3://b/*/manifest.json"],
)
def test_only_a_manifest_in_s3_is_taken(path: str) -> None:
    with pytest.raises(InvalidError, match=r"manifest\.json of an S3 inventory is"):
        Inventory(path)


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"fileFormat": "ORC"}, InvalidError, "this one is in ORC"),
        ({"fileFormat": "Parquet"}, InvalidError, "this one is in Parquet"),
        ({"fileSchema": "Bucket, Size"}, SourceError, "no column Key"),
        ({"files": [{"key": "lists/gone.csv.gz"}]}, SourceError, "gone.csv.gz' does not exist"),
        ({"files": "none"}, SourceError, "is no manifest of an S3 inventory"),
        ({"destinationBucket": "arn:aws:s3:::other"}, InvalidError, "in the bucket of its files"),
    ],
)
def test_what_cannot_be_read_is_known_before(s3: Any, more: dict[str, Any], error: type[Exception], said: str) -> None:
    source = Inventory(put_inventory(s3, "bucket", MANY, **more))
    with pytest.raises(error, match=said):
        open_source(source).check()


def test_a_manifest_that_is_not_there(s3: Any) -> None:
    del s3
    with pytest.raises(SourceError, match="does not exist"):
        open_source(Inventory("s3://bucket/none/manifest.json")).check()
