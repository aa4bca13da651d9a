"""One object with all results in order, put together by a multipart upload when all chunks are done.

Workers put parts under `<key>.parts/`, an object a chunk. `finish` reads them in order and uploads what they hold in
pieces; nobody sees the object before the upload is completed, and completing replaces it whole. So it may be done any
number of times: an upload that a crash left behind is given up first. The parts stay, because a redrive puts the object
together anew, from them and from its own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from rota.connectors.options import OneFile, Parts
from rota.connectors.place import BLOCK
from rota.connectors.s3 import split_uri
from rota.connectors.s3_bucket import Bucket
from rota.connectors.s3_parts import S3PartsSink
from rota.core.chunk import Chunk
from rota.core.errors import InvalidError
from rota.core.receipt import Delivered, Part
from rota.ports.sink import check_vacant

PIECE = 8 * BLOCK
"""S3 demands 5 MiB of every piece but the last."""
_DOUBLED_EVERY = 1000
"""S3 allows 10,000 pieces, so later ones are longer: these reach the largest object there may be, 5 TB."""


class S3FileSink:
    """The `Sink` of `OneFile` whose path is `s3://bucket/key`. piece: bytes of the first pieces."""

    def __init__(self, options: OneFile, client: Any = None, piece: int = PIECE) -> None:
        self._uri = options.path
        self._is_csv = options.format == "csv"
        self._piece = piece
        name, self._key = split_uri(options.path, "sink")
        self._bucket = Bucket(name, options.path, client)
        self._directory = self._key + ".parts/"
        parts = Parts(f"s3://{name}/{self._directory}", options.format, options.columns)
        self._parts = S3PartsSink(parts, client, header=False)

    def check(self) -> None:
        if not self._key or self._key.endswith("/"):
            raise InvalidError("sink", self._uri, "the key of one object is; a prefix that ends in / gets part files")
        self._parts.check()

    def holder(self) -> str | None:
        owner = self._parts.holder()
        return "" if owner is None and self._bucket.exists(self._key) else owner

    def prepare(self, run_id: str) -> None:
        check_vacant(self._uri, self.holder(), run_id)
        self._parts.prepare(run_id)

    def write(self, chunk: Chunk, results: Iterable[Sequence[object]], revision: int = 0) -> Part:
        return self._parts.write(chunk, results, revision)

    def sync(self, parts: Iterable[Part]) -> None:
        """What S3 has taken is durable."""

    def refusal(self, result: object) -> str | None:
        return self._parts.refusal(result)

    def finish(self, parts: Iterable[Part]) -> Delivered:
        self._give_up_uploads()
        head = self._head()
        pieces = self._pieces(chain([head], self._content(parts)))
        first = next(pieces, b"")
        second = next(pieces, None)
        if second is None:
            self._bucket.call("put_object", Key=self._key, Body=first)
        else:
            self._upload(chain([first, second], pieces))
        return Delivered("file", self._uri, len(head))

    def left(self) -> Delivered:
        return self._parts.left()

    def _head(self) -> bytes:
        columns = self._parts.agreed_columns() if self._is_csv else None
        if columns is None:
            return b""
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow(columns)
        return text.getvalue().encode()

    def _content(self, parts: Iterable[Part]) -> Iterator[bytes]:
        for part in parts:
            if part.bytes:
                body = self._bucket.call("get_object", Key=self._directory + part.name)["Body"]
                yield from body.iter_chunks(BLOCK)

    def _pieces(self, content: Iterable[bytes]) -> Iterator[bytes]:
        held, made, most = bytearray(), 0, self._piece
        for data in content:
            held += data
            while len(held) >= most:
                yield bytes(held[:most])
                del held[:most]
                made += 1
                if made % _DOUBLED_EVERY == 0:
                    most *= 2
        if held:
            yield bytes(held)

    def _upload(self, pieces: Iterable[bytes]) -> None:
        upload = self._bucket.call("create_multipart_upload", Key=self._key)["UploadId"]
        done: list[dict[str, object]] = []
        try:
            for number, piece in enumerate(pieces, 1):
                answer = self._bucket.call("upload_part", Key=self._key, UploadId=upload, PartNumber=number, Body=piece)
                done.append({"PartNumber": number, "ETag": answer["ETag"]})
            self._bucket.call(
                "complete_multipart_upload", Key=self._key, UploadId=upload, MultipartUpload={"Parts": done}
            )
        except BaseException:
            self._bucket.call("abort_multipart_upload", Key=self._key, UploadId=upload)
            raise

    def _give_up_uploads(self) -> None:
        """One conductor finishes a batch run, so uploads of this key that are open belong to nobody."""
        for upload in self._bucket.call("list_multipart_uploads", Prefix=self._key).get("Uploads", ()):
            if upload["Key"] == self._key:
                self._bucket.call("abort_multipart_upload", Key=self._key, UploadId=upload["UploadId"])

    def discard(self, run_id: str) -> None:
        if self._parts.holder() == run_id:
            self._give_up_uploads()
            self._bucket.call("delete_object", Key=self._key)
            self._parts.discard(run_id)
