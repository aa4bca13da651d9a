"""Manifest and receipt as files: `manifest.jsonl` has an entry a line, `receipt.json` the totals and the root.

Both are written by atomic rename, the receipt last: where there is a receipt, its manifest is complete. Later versions
(redrives) are `manifest.v2.jsonl`, `receipt.v2.json`, ...; earlier ones stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from rota.connectors.atomic import atomic_file
from rota.core.errors import NotFoundError, SourceError
from rota.core.receipt import Delivered, Entry, Receipt, Tally

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
    ended: str = "",
    *,
    planned: bool = True,
) -> Receipt:
    """Writes the next version of manifest and receipt from entries in chunk order, in bounded memory. ended, planned:
    as in `Receipt`."""
    version = previous.version + 1 if previous else 1
    directory.mkdir(parents=True, exist_ok=True)
    tally = Tally(previous.root if previous else "")
    with atomic_file(manifest_path(directory, version)) as out:
        for entry in entries:
            out.write(tally.add(entry) + b"\n")
    receipt = tally.receipt(batch, run, version, delivered, ended, planned=planned)
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
