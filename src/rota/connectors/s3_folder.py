"""A prefix in S3 as the folder of a batch run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from rota.connectors.aws_clients import aws_client
from rota.connectors.aws_errors import code_of, source_error, store_error
from rota.connectors.place import BLOCK
from rota.connectors.s3 import split_uri
from rota.core.errors import SourceError, StoreError

_MISSING = {"404", "NoSuchKey"}
_IN_MEMORY = 8 * BLOCK
_DELETED_A_REQUEST = 1000


class S3Folder:
    """The `Folder` at `s3://bucket/prefix`."""

    def __init__(self, uri: str, client: Any = None) -> None:
        self.uri: str = uri.rstrip("/")
        self._bucket, prefix = split_uri(self.uri, "directory")
        self._prefix = f"{prefix}/" if prefix else ""
        self._client: Any = client or aws_client("s3", "directory", uri)

    def write(self, name: str, data: Iterable[bytes]) -> None:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as body:
            body.writelines(data)
            body.seek(0)
            self._put(name, body)

    def upload(self, name: str, path: Path) -> None:
        """Write what a file of this machine holds."""
        with path.open("rb") as body:
            self._put(name, body)

    def _put(self, name: str, body: object) -> None:
        try:
            self._client.upload_fileobj(body, self._bucket, self._prefix + name)
        except (ClientError, BotoCoreError) as error:
            raise store_error(f"cannot write {self._uri_of(name)!r}", error, "s3") from error
        except boto3.exceptions.S3UploadFailedError as error:
            raise StoreError(f"cannot write {self._uri_of(name)!r}: {error}") from error

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes | None:
        if end is not None and end <= start:
            return b""
        ranged = {} if not start and end is None else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name, **ranged)
            data: bytes = answer["Body"].read()
        except ClientError as error:
            code = code_of(error)
            if code in _MISSING:
                return None
            if code in {"InvalidRange", "416"}:
                return b""
            raise self._failed(name, error) from error
        except BotoCoreError as error:
            raise self._failed(name, error) from error
        return data

    def download(self, name: str, path: Path) -> bool:
        """Write the file into one of this machine; False if there is none."""
        try:
            self._client.download_file(self._bucket, self._prefix + name, str(path))
        except ClientError as error:
            if code_of(error) in _MISSING:
                return False
            raise self._failed(name, error) from error
        except BotoCoreError as error:
            raise self._failed(name, error) from error
        return True

    def remove(self, names: Iterable[str]) -> None:
        self._delete([self._prefix + name for name in names])

    def clear(self, folder: str) -> None:
        """Delete all files in a folder of this one; "" means all there are."""
        prefix = f"{self._prefix}{folder}/" if folder else self._prefix
        try:
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                self._delete([entry["Key"] for entry in page.get("Contents", ())])
        except (ClientError, BotoCoreError) as error:
            raise store_error(f"cannot clear {self._uri_of(folder)!r}", error, "s3") from error

    def _delete(self, keys: list[str]) -> None:
        try:
            for low in range(0, len(keys), _DELETED_A_REQUEST):
                objects = [{"Key": key} for key in keys[low : low + _DELETED_A_REQUEST]]
                self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
        except (ClientError, BotoCoreError) as error:
            raise store_error(f"objects under {self.uri!r} cannot be deleted", error, "s3") from error

    def _uri_of(self, name: str) -> str:
        return f"{self.uri}/{name}"

    def _failed(self, name: str, error: ClientError | BotoCoreError) -> SourceError:
        return source_error(f"{self._uri_of(name)!r} cannot be read", error, "s3")
