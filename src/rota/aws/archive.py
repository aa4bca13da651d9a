"""A zip whose bytes depend on nothing but the names and contents in it: not on the day, the machine or the umask."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping

UNZIPPED_LIMIT = 250 * 1024 * 1024
"""Bytes of all files that Lambda loads for one function."""
UPLOAD_LIMIT = 50 * 1024 * 1024
"""Bytes of a zip that Lambda takes in a request, and not from a bucket."""

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_UNIX = 3
_FILE, _PROGRAM = 0o100644 << 16, 0o100755 << 16


def make_archive(files: Mapping[str, bytes]) -> bytes:
    """The zip of `files`, which are contents by name (with slashes)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = _UNIX
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = _PROGRAM if ".so" in name.rpartition("/")[2] else _FILE
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def digest_of(files: Mapping[str, bytes]) -> str:
    """The SHA-256 of names and contents, in hex. Unlike that of the zip it is the same with every release of zlib."""
    digest = hashlib.sha256()
    for name in sorted(files):
        content = files[name]
        digest.update(f"{len(name.encode())}:{name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()
