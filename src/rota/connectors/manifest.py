"""Manifest and receipt as files: `manifest.jsonl` has an entry a line, `receipt.json` the totals and the root.

Both are written by atomic rename, the receipt last: where there is a receipt, its manifest is complete. Later versions
(redrives) are `manifest.v2.jsonl`, `receipt.v2.json`, ...; earlier ones stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from rota.connectors.atomic import atomic_file
from rota.connectors.place import BLOCK
from rota.core.errors import NotFoundError, SourceError
from rota.core.receipt import Delivered, Entry, Part, Receipt, Tally, check_counts, check_tiling

_decode_entry = msgspec.json.Decoder(Entry).decode


def manifest_path(directory: Path, version: int) -> Path:
    """Where the manifest of a version is."""
    return directory / (f"manifest.v{version}.jsonl" if version > 1 else "manifest.jsonl")


def receipt_path(directory: Path, version: int) -> Path:
    """Where the receipt of a version is."""
    return directory / (f"receipt.v{version}.json" if version > 1 else "receipt.json")


def write_manifest(
    directory: Path,
    batch: str,
    run: str,
    delivered: Delivered,
    entries: Iterable[Entry],
    previous: Receipt | None = None,
) -> Receipt:
    """Writes the next version of manifest and receipt from entries in chunk order, in bounded memory."""
    version = previous.version + 1 if previous else 1
    directory.mkdir(parents=True, exist_ok=True)
    tally = Tally(previous.root if previous else "")
    with atomic_file(manifest_path(directory, version)) as out:
        for entry in entries:
            out.write(tally.add(entry) + b"\n")
    receipt = tally.receipt(batch, run, version, delivered)
    with atomic_file(receipt_path(directory, version)) as out:
        out.write(msgspec.json.format(msgspec.json.encode(receipt), indent=2) + b"\n")
    return receipt


def read_receipt(path: Path) -> Receipt:
    """The receipt in a file, or the latest in a directory; NotFoundError or SourceError."""
    if path.is_dir():
        versions = [receipt_path(path, 1)]
        while (following := receipt_path(path, len(versions) + 1)).exists():
            versions.append(following)
        path = versions[-1]
    try:
        return msgspec.json.decode(path.read_bytes(), type=Receipt)
    except FileNotFoundError as error:
        raise NotFoundError("receipt", str(path)) from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{str(path)!r} is no receipt: {error}") from error


def read_entries(directory: Path, version: int = 1) -> Iterator[Entry]:
    """The entries of a manifest, in chunk order; SourceError at a line that is none."""
    path = manifest_path(directory, version)
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield _decode_entry(line)
                except ValueError as error:
                    raise SourceError(f"line {number} of {str(path)!r} is no entry of a manifest: {error}") from error
    except OSError as error:
        raise SourceError(f"cannot read manifest {str(path)!r}: {error.strerror}") from error


def verify_manifest(path: Path) -> list[str]:
    """Everything that is wrong with a finished batch run, from its files alone; an empty list proves it whole.

    `path` is a receipt, or the directory of one (then its latest version counts). Checked are: the root, the totals,
    that every chunk's items are accounted for, that the ranges tile each origin from 0 to its end, and that every
    part of the result is there unaltered. Reads the results once; memory does not grow with their number.
    """
    receipt = read_receipt(path)
    directory = path if path.is_dir() else path.parent
    problems: list[str] = []
    tally = Tally(receipt.previous)
    parts = _PartCheck(receipt.delivered, directory)

    def passing() -> Iterator[Entry]:
        for entry in read_entries(directory, receipt.version):
            tally.add(entry)
            problems.extend(check_counts(entry))
            for part in entry.parts:
                problems.extend(parts.check(part))
            yield entry

    with parts:
        try:
            tiling = list(check_tiling(passing()))
        except SourceError as error:
            return [*problems, str(error)]
        problems += [*tiling, *parts.check_end()]
    found = tally.receipt(receipt.batch, receipt.run, receipt.version, receipt.delivered)
    for field in ("chunks", "counts", "results", "root"):
        stated, counted = _shown(getattr(receipt, field)), _shown(getattr(found, field))
        if stated != counted:
            problems.append(f"the receipt's {field} are {stated}, the manifest's {counted}")
    if receipt.version > 1 and read_receipt(receipt_path(directory, receipt.version - 1)).root != receipt.previous:
        problems.append(
            f"version {receipt.version} does not follow from version {receipt.version - 1}: the roots differ"
        )
    return problems


def _shown(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class _PartCheck:
    """Compares parts with what the sink holds, in manifest order."""

    def __init__(self, delivered: Delivered, directory: Path) -> None:
        self._delivered = delivered
        self._location = self._found(Path(delivered.location), directory)
        self._file: BinaryIO | None = None

    def _found(self, location: Path, directory: Path) -> Path:
        """Results that were moved together with their manifest are looked for beside it."""
        if location.exists():
            return location
        return directory if self._delivered.layout == "parts" else directory / location.name

    def __enter__(self) -> Self:
        if self._delivered.layout == "file" and self._location.exists():
            self._file = self._location.open("rb")
            self._file.seek(self._delivered.head)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def check(self, part: Part) -> Iterator[str]:
        """What is wrong with one part."""
        if self._delivered.layout == "table" or self._delivered.location.startswith("s3://"):
            return
        if self._delivered.layout == "file":
            if self._file is not None:
                yield from self._compare(part, self._file, part.bytes)
            return
        try:
            with (self._location / part.name).open("rb") as file:
                yield from self._compare(part, file, None)
        except OSError as error:
            yield f"part {part.name} cannot be read: {error.strerror}"

    def check_end(self) -> Iterator[str]:
        """What is wrong with the file as a whole."""
        if self._delivered.layout != "file":
            return
        if self._file is None:
            yield f"the result {self._delivered.location} is missing"
        elif self._file.read(1):
            yield f"the result {self._delivered.location} goes on behind its last part"

    def _compare(self, part: Part, file: BinaryIO, length: int | None) -> Iterator[str]:
        digest, size = hashlib.sha256(), 0
        while data := file.read(BLOCK if length is None else min(BLOCK, length - size)):
            digest.update(data)
            size += len(data)
        if size != part.bytes:
            yield f"part {part.name} has {size} bytes instead of {part.bytes}"
        elif digest.hexdigest() != part.sha256:
            yield f"part {part.name} was altered: its SHA-256 is not the manifest's"
