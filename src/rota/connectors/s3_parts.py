"""Part files under a prefix in S3: an object a chunk, put whole, so it is there whole or not at all.

Two functions may come to work on the same chunk, one of them long given up, and a task need not do the same twice. So a
part is never written over: who finds its name taken, by other results, writes under a name that has their hash, and
the mark that stands in the ledger names the part that goes with it, whoever wrote last. `finish` removes the others.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from rota.connectors.options import Parts
from rota.connectors.part_files import MARKER, Counter, part_name
from rota.connectors.place import BLOCK
from rota.connectors.result_formats import Encoding, open_encoding
from rota.connectors.s3 import split_uri
from rota.connectors.s3_bucket import Bucket
from rota.core.chunk import Chunk
from rota.core.receipt import Delivered, Part
from rota.ports.sink import check_vacant

_COLUMNS = "columns.json"
_RIVAL = "x"
"""What a hash in the name of a part begins with."""
_IN_MEMORY = 8 * BLOCK
_DELETED_A_REQUEST = 1000


class S3PartsSink:
    """The `Sink` of `Parts` whose path is `s3://bucket/prefix/`."""

    def __init__(self, options: Parts, client: Any = None, *, header: bool = True) -> None:
        self._options = options
        self._header = header
        name, prefix = split_uri(options.path, "sink")
        self._bucket = Bucket(name, options.path, client)
        self._prefix = prefix if not prefix or prefix.endswith("/") else prefix + "/"
        self._encoding: Encoding | None = None

    def _encoder(self) -> Encoding:
        if self._encoding is None:
            self._encoding = open_encoding(self._options.format, self._agree, header=self._header)
        return self._encoding

    def _agree(self, columns: Sequence[str]) -> Sequence[str]:
        if self._options.columns is not None:
            return self._options.columns
        return msgspec.json.decode(
            self._bucket.create_once(self._prefix + _COLUMNS, msgspec.json.encode(columns)), type=list[str]
        )

    def agreed_columns(self) -> Sequence[str] | None:
        """The columns of the results, if there has been one."""
        if self._options.columns is not None:
            return self._options.columns
        known = self._bucket.read(self._prefix + _COLUMNS)
        return None if known is None else msgspec.json.decode(known, type=list[str])

    def check(self) -> None:
        self._encoder()
        self._bucket.call("head_bucket")

    def _held_parts(self) -> Iterable[str]:
        token: dict[str, str] = {}
        while True:
            page = self._bucket.call("list_objects_v2", Prefix=self._prefix + "part-", **token)
            yield from (entry["Key"] for entry in page.get("Contents", ()))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def holder(self) -> str | None:
        found = self._bucket.call("list_objects_v2", Prefix=self._prefix + MARKER).get("Contents")
        if not found:
            return "" if next(iter(self._held_parts()), None) else None
        marker = self._bucket.call("get_object", Key=self._prefix + MARKER)["Body"].read()
        return msgspec.json.decode(marker, type=dict[str, str])["run"]

    def prepare(self, run_id: str) -> None:
        owner = self.holder()
        if owner is None:
            marker = self._bucket.create_once(self._prefix + MARKER, msgspec.json.encode({"run": run_id}))
            owner = msgspec.json.decode(marker, type=dict[str, str])["run"]
        check_vacant(self._options.path, owner, run_id)

    def write(self, chunk: Chunk, results: Iterable[Sequence[object]], revision: int = 0) -> Part:
        name = part_name(chunk.number, revision, self._options.format)
        counted = Counter(results)
        digest, size = hashlib.sha256(), 0
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as body:
            for data in self._encoder().encode(counted):
                body.write(data)
                digest.update(data)
                size += len(data)
            body.seek(0)
            key, sha256 = self._prefix + name, digest.hexdigest()
            if revision and not counted.items:
                return Part(name, 0, size, sha256)
            if not self._bucket.create(key, body) and self._bucket.sha256(key) != sha256:
                name = f"{name.removesuffix(self._options.format)}{_RIVAL}{sha256[:16]}.{self._options.format}"
                body.seek(0)
                self._bucket.call("put_object", Key=self._prefix + name, Body=body)
        return Part(name, counted.items, size, sha256)

    def sync(self, parts: Iterable[Part]) -> None:
        """What S3 has taken is durable."""

    def refusal(self, result: object) -> str | None:
        return self._encoder().refusal(result)

    def finish(self, parts: Iterable[Part]) -> Delivered:
        rivals = self._rivals()
        if rivals:
            rivals.difference_update(part.name for part in parts)
            self._delete(self._prefix + name for name in rivals)
        return self.left()

    def _rivals(self) -> set[str]:
        """The names of parts that were written with different results."""
        found: set[str] = set()
        for key in self._held_parts():
            name = key.removeprefix(self._prefix)
            stem, hashed, _ = name.partition(f".{_RIVAL}")
            if hashed:
                found |= {name, f"{stem}.{self._options.format}"}
        return found

    def left(self) -> Delivered:
        return Delivered("parts", f"s3://{self._bucket.name}/{self._prefix}")

    def discard(self, run_id: str) -> None:
        if self.holder() != run_id:
            return
        self._delete([*self._held_parts(), self._prefix + _COLUMNS, self._prefix + MARKER])

    def _delete(self, names: Iterable[str]) -> None:
        keys = list(names)
        for low in range(0, len(keys), _DELETED_A_REQUEST):
            batch = [{"Key": key} for key in keys[low : low + _DELETED_A_REQUEST]]
            self._bucket.call("delete_objects", Delete={"Objects": batch})
