"""Data that is too large for a message: an object in the stack's bucket, and a pointer to it instead of the data."""

from __future__ import annotations

import hashlib
from typing import Any

from rota.aws.sessions import translating
from rota.core.errors import InvalidError

LARGEST = 100 * 1024 * 1024
PREFIX = "payloads/"


class Payloads:
    """s3: a boto3 client. The bucket's lifecycle rule removes what is old."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put(self, body: bytes) -> dict[str, object]:
        """Store JSON; answers the pointer that travels in its place: {"rota:s3": URL, "bytes": n}."""
        if len(body) > LARGEST:
            raise InvalidError("data", f"{len(body)} bytes of JSON", f"at most {LARGEST} bytes")
        key = f"{PREFIX}{hashlib.blake2b(body, digest_size=20).hexdigest()}.json"
        with translating("s3", bucket=self._bucket):
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json")
        return {"rota:s3": f"s3://{self._bucket}/{key}", "bytes": len(body)}
