"""Wheels made on the spot, so that pip has something to choose from without a network."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

ANY = "py3-none-any"
ARM = "cp312-cp312-manylinux2014_aarch64"
INTEL = "cp312-cp312-manylinux2014_x86_64"


def add_wheel(
    folder: Path, name: str, version: str = "1.0", tag: str = ANY, needs: Sequence[str] = (), size: int = 0
) -> Path:
    """A distribution with one module of its own name, which says its tag. size: bytes that do not compress."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
    wheel = folder / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{module}/__init__.py", f"TAG = {tag!r}\n")
        archive.writestr(f"{module}/__pycache__/__init__.cpython-312.pyc", b"compiled")
        archive.writestr(f"{module}-{version}.data/purelib/{module}/pure.py", "")
        archive.writestr(f"{module}-{version}.data/scripts/{module}", "#!python\n")
        archive.writestr(f"{info}/METADATA", metadata + "\nProse.\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", f"{info}/RECORD,,\n")
        if size:
            archive.writestr(f"{module}/data.bin", b"\0" * size, zipfile.ZIP_DEFLATED)
    return wheel
