"""Manifest and receipt of a batch run as files of this machine, wherever they lie."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rota.connectors.manifest import manifest_path, read_receipt, receipt_path
from rota.connectors.open import open_folder
from rota.core.errors import NotFoundError, SourceError


@contextmanager
def local_papers(place: str) -> Iterator[Path]:
    """The directory, or the receipt, at `place`, which is a path or `s3://bucket/prefix`, there with the name of a
    receipt or not. What lies in S3 is there as long as the block lasts. NotFoundError if there is no receipt."""
    if not place.startswith("s3://"):
        yield Path(place)
        return
    prefix, _, last = place.rstrip("/").rpartition("/")
    named = last if last.startswith("receipt.") and last.endswith(".json") else None
    folder = open_folder(place if named is None else prefix)
    with tempfile.TemporaryDirectory(prefix="rota-papers-") as directory:
        here, version = Path(directory), 0
        while folder.download(receipt_path(here, version + 1).name, receipt_path(here, version + 1)):
            version += 1
        if not version or (named is not None and not (here / named).exists()):
            raise NotFoundError("receipt", place)
        path = here if named is None else here / named
        manifest = manifest_path(here, read_receipt(path).version)
        if not folder.download(manifest.name, manifest):
            raise SourceError(f"the manifest {place}/{manifest.name} is not there")
        yield path
