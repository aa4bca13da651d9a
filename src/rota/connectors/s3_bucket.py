"""The bucket of a sink: requests whose failures are errors of that sink."""

from __future__ import annotations

import hashlib
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rota.connectors.aws_clients import aws_client
from rota.connectors.aws_errors import code_of, store_error
from rota.connectors.place import BLOCK
from rota.core.errors import InvalidError, StoreError

_TAKEN = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}
_MISSING = {"404", "NoSuchKey"}


class Bucket:
    """uri: of the sink, for messages."""

    def __init__(self, name: str, uri: str, client: Any = None) -> None:
        self.name: str = name
        self._uri = uri
        self._client: Any = client or aws_client("s3", "sink", uri)

    def call(self, action: str, **arguments: Any) -> Any:
        """The answer of S3. InvalidError if there is no such bucket, StoreError for anything else."""
        try:
            return self._ask(action, **arguments)
        except ClientError as error:
            if code_of(error) in {"404", "NoSuchBucket"}:
                raise InvalidError("sink", self._uri, "a bucket that exists is") from error
            raise self._failed(error) from error
        except BotoCoreError as error:
            raise self._failed(error) from error

    def _ask(self, action: str, **arguments: Any) -> Any:
        return getattr(self._client, action)(Bucket=self.name, **arguments)

    def _failed(self, error: ClientError | BotoCoreError) -> StoreError:
        return store_error(f"sink {self._uri!r}", error, "s3", sink=self._uri)

    def read(self, key: str) -> bytes | None:
        """What an object holds; None if there is none."""
        try:
            data: bytes = self._ask("get_object", Key=key)["Body"].read()
        except ClientError as error:
            if code_of(error) in _MISSING:
                return None
            raise self._failed(error) from error
        except BotoCoreError as error:
            raise self._failed(error) from error
        return data

    def create(self, key: str, content: Any) -> bool:
        """Puts the object unless it exists; whether it did. content: bytes, or a file that is read to its end."""
        try:
            self._ask("put_object", Key=key, Body=content, IfNoneMatch="*")
        except ClientError as error:
            if code_of(error) not in _TAKEN:
                raise self._failed(error) from error
            return False
        except BotoCoreError as error:
            raise self._failed(error) from error
        return True

    def sha256(self, key: str) -> str:
        """Of what an object holds, in hexadecimal digits; "" if there is none."""
        try:
            found = hashlib.sha256()
            for data in self._ask("get_object", Key=key)["Body"].iter_chunks(BLOCK):
                found.update(data)
        except ClientError as error:
            if code_of(error) in _MISSING:
                return ""
            raise self._failed(error) from error
        except BotoCoreError as error:
            raise self._failed(error) from error
        return found.hexdigest()

    def create_once(self, key: str, content: bytes) -> bytes:
        """Puts the object unless it exists; returns what it holds."""
        self.create(key, content)
        data: bytes = self.call("get_object", Key=key)["Body"].read()
        return data

    def exists(self, key: str) -> bool:
        """Whether there is an object of this name."""
        found = self.call("list_objects_v2", Prefix=key, MaxKeys=1).get("Contents", ())
        return any(entry["Key"] == key for entry in found)
