"""What the children of a map run came to, as its ResultWriter leaves it in S3.

    PREFIX/UUID/manifest.json      names the result files
    PREFIX/UUID/SUCCEEDED_n.json   arrays, one element a child: its output among other things
    PREFIX/UUID/FAILED_n.json      likewise: its input, error and cause
    PREFIX/UUID/PENDING_n.json     children that never began

A map run that fails answers with no place, so the manifest is looked for under the prefix, which belongs to one batch
run and one revision. The files may be large, so they are read in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from rota.aws.batch.map_work import Answer, Batched
from rota.connectors.open import open_source
from rota.connectors.options import JsonArray
from rota.core.chunk import ChunkSize
from rota.core.errors import SourceError
from rota.core.outcome import Failure

_LONGEST = 1 << 26
"""Bytes of what is said of one child: twice its input, and more."""
_PIECE = ChunkSize(bytes=4 << 20)


class Failed(msgspec.Struct, frozen=True):
    """A child that failed, with the batch that it was given."""

    batch: Batched
    failure: Failure

    @property
    def slow(self) -> bool:
        """Whether it had no time left, if it was an Express one."""
        return self.failure.type == "States.Timeout"


class Results:
    """Of the map runs under one prefix."""

    def __init__(self, bucket: str, prefix: str, client: Any = None) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._client: Any = client or boto3.client("s3")

    def answers(self) -> Iterator[Answer]:
        """What children answered that succeeded."""
        for row in self._rows("SUCCEEDED"):
            yield msgspec.json.decode(row["Output"], type=Answer)

    def failed(self) -> Iterator[Failed]:
        """Children that failed."""
        for row in self._rows("FAILED"):
            error, cause = str(row.get("Error") or "States.TaskFailed"), str(row.get("Cause") or "")
            failure = Failure((error,), _message(cause), "", transient=True)
            yield Failed(msgspec.json.decode(row["Input"], type=Batched), failure)

    def pending(self) -> bool:
        """Whether there are children that never began."""
        return next(self._rows("PENDING"), None) is not None

    def _rows(self, status: str) -> Iterator[dict[str, Any]]:
        for manifest in self._manifests():
            for file in manifest["ResultFiles"].get(status, ()):
                source = open_source(JsonArray(f"s3://{self._bucket}/{file['Key']}", max_item_bytes=_LONGEST))
                for chunk in source.plan(_PIECE):
                    for block in source.read(chunk):
                        yield from block.values  # type: ignore[misc]

    def _manifests(self) -> Iterator[dict[str, Any]]:
        try:
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}/"):
                for entry in page.get("Contents", ()):
                    if entry["Key"].endswith("/manifest.json"):
                        body = self._client.get_object(Bucket=self._bucket, Key=entry["Key"])["Body"].read()
                        yield msgspec.json.decode(body)
        except (ClientError, BotoCoreError) as error:
            raise SourceError(f"the results of the map run in {self._prefix!r} cannot be read: {error}") from error


def _message(cause: str) -> str:
    """What the function said, which Lambda wraps into JSON."""
    try:
        said = msgspec.json.decode(cause)
    except msgspec.DecodeError:
        return cause
    return str(said.get("errorMessage", cause)) if isinstance(said, dict) else cause
