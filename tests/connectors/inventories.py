"""An S3 inventory as S3 delivers it, made for tests."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import quote_plus

FOLDER = "lists/shop/daily"
SCHEMA = "Bucket, Key, Size"


def put_inventory(s3: Any, bucket: str, *files: list[tuple[str, int]], **more: Any) -> str:
    """Its manifest's URI. files: of each, the keys and sizes in it."""
    listed = []
    for number, rows in enumerate(files):
        text = "".join(f'"shop","{quote_plus(key)}","{size}"\n' for key, size in rows)
        key = f"{FOLDER}/data/{number:08}.csv.gz"
        s3.put_object(Bucket=bucket, Key=key, Body=gzip.compress(text.encode()))
        listed.append({"key": key, "size": len(text), "MD5checksum": "0" * 32})
    manifest = {
        "sourceBucket": "shop",
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "version": "2016-11-30",
        "creationTimestamp": "1668560400000",
        "fileFormat": "CSV",
        "fileSchema": SCHEMA,
        "files": listed,
        **more,
    }
    key = f"{FOLDER}/2026-11-20T01-00Z/manifest.json"
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(manifest).encode())
    return f"s3://{bucket}/{key}"
