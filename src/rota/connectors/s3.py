"""S3: objects and prefixes as the place of a source, read by ranged requests; part files as a sink.

A single object of a versioned bucket is pinned by its version, anything else by its ETag (`If-Match`), so a changed
object is refused by S3 itself. Endpoint, region and credentials come from the usual AWS settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rota.connectors.aws_clients import aws_client
from rota.connectors.aws_errors import code_of, source_error
from rota.connectors.place import BLOCK
from rota.core.chunk import Origin
from rota.core.errors import InvalidError, LastingSourceError, SourceError

_MAGIC = re.compile(r"[*?\[]")


def split_uri(uri: str, field: str = "source") -> tuple[str, str]:
    """Bucket and key."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise InvalidError(field, uri, "s3://bucket/key is")
    return bucket, key


def key_pattern(pattern: str) -> re.Pattern[str]:
    """What a glob matches: `*` and `?` stay within one segment, `**` crosses them."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]+\])", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile(
        "".join(
            known.get(part, part.replace("[!", "[^") if part.startswith("[") else re.escape(part)) for part in parts
        )
    )


class S3Objects:
    """A `Place` in S3: one object, a prefix that ends in a slash, or a glob."""

    def __init__(self, uri: str, client: Any = None) -> None:
        self._uri = uri
        self._bucket, self._key = split_uri(uri)
        self._client: Any = client or aws_client("s3", "source", uri)

    def find(self) -> Iterator[Origin]:
        magic = _MAGIC.search(self._key)
        if not magic and self._key and not self._key.endswith("/"):
            yield self.pin(self._uri)
            return
        prefix = self._key[: magic.start()] if magic else self._key
        wanted = key_pattern(self._key) if magic else re.compile(".*", re.DOTALL)
        found = False
        for key, etag, size in self._list(prefix):
            if wanted.fullmatch(key) and not key.endswith("/"):
                found = True
                yield Origin(f"s3://{self._bucket}/{key}", etag, size)
        if not found:
            raise LastingSourceError(f"no object matches {self._uri!r}", source=self._uri)

    def pin(self, uri: str) -> Origin:
        """One object, whatever its key looks like; SourceError if it is not there."""
        bucket, key = split_uri(uri)
        try:
            head = self._client.head_object(Bucket=bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            raise _failed(uri, error, self._client) from error
        version = head.get("VersionId")
        pinned = f"{head['ETag']}@{version}" if version and version != "null" else head["ETag"]
        return Origin(uri, pinned, head["ContentLength"])

    def _list(self, prefix: str) -> Iterator[tuple[str, str, int]]:
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                for entry in page.get("Contents", ()):
                    yield entry["Key"], entry["ETag"], entry["Size"]
        except (ClientError, BotoCoreError) as error:
            raise _failed(self._uri, error) from error

    def read(self, origin: Origin, start: int, end: int) -> bytes:
        if end <= start or start >= origin.size:
            return b""
        bucket, key = split_uri(origin.uri)
        etag, _, version = origin.fingerprint.partition("@")
        pin = {"VersionId": version} if version else {"IfMatch": etag}
        try:
            answer = self._client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}", **pin)
            data: bytes = answer["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise _failed(origin.uri, error) from error
        if answer["ETag"] != etag:
            raise _changed(origin.uri)
        return data

    def stream(self, origin: Origin) -> Iterator[bytes]:
        for start in range(0, origin.size, 8 * BLOCK):
            yield self.read(origin, start, min(start + 8 * BLOCK, origin.size))


@contextmanager
def open_object(uri: str) -> Iterator[ObjectBody]:
    """The bytes of an object; SourceError if it cannot be read."""
    bucket, key = split_uri(uri)
    try:
        body = aws_client("s3", "source", uri).get_object(Bucket=bucket, Key=key)["Body"]
    except (ClientError, BotoCoreError) as error:
        raise _failed(uri, error) from error
    with closing(body):
        yield ObjectBody(uri, body)


class ObjectBody:
    """What is left of an object."""

    def __init__(self, uri: str, body: Any) -> None:
        self._uri = uri
        self._body = body

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end. SourceError if the connection breaks."""
        try:
            data: bytes = self._body.read(size)
        except (BotoCoreError, OSError) as error:
            raise _failed(self._uri, error) from error
        return data


def _changed(uri: str) -> SourceError:
    return LastingSourceError(
        f"source {uri!r} changed during the batch run: its ETag is no longer the one that was planned", source=uri
    )


def _failed(uri: str, error: Exception, client: Any = None) -> SourceError:
    """client: to ask whether it is the bucket that is missing."""
    code = code_of(error) if isinstance(error, ClientError) else ""
    if code in {"PreconditionFailed", "412"}:
        return _changed(uri)
    if code == "NoSuchBucket" or (code == "404" and client is not None and _lacks_bucket(uri, client)):
        said = f"source {uri!r} does not exist: there is no bucket {split_uri(uri)[0]!r}"
        return LastingSourceError(said, source=uri)
    if code in {"404", "NoSuchKey", "NoSuchVersion"}:
        said = f"source {uri!r} does not exist: the bucket {split_uri(uri)[0]!r} has no such key"
        return LastingSourceError(said, source=uri)
    if isinstance(error, (ClientError, BotoCoreError)):
        return source_error(f"cannot read source {uri!r}", error, "s3", source=uri)
    return SourceError(f"cannot read source {uri!r}: {error}", source=uri)


def _lacks_bucket(uri: str, client: Any) -> bool:
    """An answer to HEAD does not say whether it was the key that is missing, or its bucket."""
    try:
        client.head_bucket(Bucket=split_uri(uri)[0])
    except ClientError as error:
        return code_of(error) in {"404", "NoSuchBucket"}
    except BotoCoreError:
        return False
    return False
