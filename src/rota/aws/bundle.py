"""Lambda bundles: the user's source, rota if the source uses it, and the wheels that both need, as one zip.

The bytes depend on nothing but the source, rota and the versions chosen: names are sorted, times and modes fixed, and
what an installer notes for itself is left out. Two builds are byte for byte the same, so whether a function changed can
be seen from its bundle.

rota's own dependencies are pinned to the versions beside this interpreter, which are those that the user's tests ran
with; the user's are what their requirements say. boto3 is part of Lambda's Python and left out, unless asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from rota.aws.archive import UNZIPPED_LIMIT, UPLOAD_LIMIT, digest_of, make_archive
from rota.aws.installed import copy_installed
from rota.aws.platform import Platform
from rota.aws.source import Source
from rota.aws.wheels import cache_directory, canonical, download, names_in, unpack
from rota.core.errors import InvalidError, NotFoundError, RotaError

ROTA_NEEDS: tuple[str, ...] = ("aws-lambda-powertools", "aws-xray-sdk", "httpcore", "httpx", "msgspec", "tzdata")
"""The distributions that rota's handlers import in Lambda, besides boto3, without those that these need in turn."""
PROVIDED = frozenset({"boto3", "botocore", "s3transfer"})
"""Distributions that Lambda's Python has already."""

_PACKAGE = Path(__file__).resolve().parents[1]
# Faces and engines of a machine of one's own, which nothing in Lambda imports.
_AT_HOME = {"cli", "web", "embedded", "testing", "__main__.py"}


class Bundle(msgspec.Struct, frozen=True):
    """A zip for Lambda. digest: SHA-256 of names and contents, which changes when and only when the content does.
    unzipped: bytes of all files."""

    data: bytes
    digest: str
    files: int
    unzipped: int

    @property
    def sha256(self) -> str:
        """Of the zip, in hex."""
        return hashlib.sha256(self.data).hexdigest()

    def __str__(self) -> str:
        count = "1 file" if self.files == 1 else f"{self.files:,} files"
        return f"{count}, {_megabytes(len(self.data))} zipped, {_megabytes(self.unzipped)} unzipped"


def make_bundle(
    source: Source,
    platform: Platform | None,
    *,
    requirements: Path | Sequence[str] | None = None,
    rota: bool | None = None,
    boto3: bool = False,
    cache: Path | None = None,
    fresh: bool = False,
    upload: bool = True,
) -> Bundle:
    """The bundle of `source` (see rota.aws.source).

    platform: None means this interpreter's: installed distributions are copied, for emulators and tests.
    requirements: a requirements file, or its lines; else the `requirements.txt` beside the source, if there is one.
    rota: whether rota comes along; else if the source imports it. boto3: bundle it although Lambda has one.
    cache: where wheels are kept between builds. fresh: let pip choose versions anew.
    upload: hold the zip to what Lambda takes in a request; from a bucket it takes any that fits unzipped.
    NotFoundError: no such requirements file. InvalidError: what has no wheel, or what is too large."""
    text = _text_of(source.requirements if requirements is None else requirements)
    provided = frozenset() if boto3 else PROVIDED
    needs = ROTA_NEEDS if (("rota" in source.imports) if rota is None else rota) else ()
    wanted = names_in(text)
    files: dict[str, bytes] = {}
    if platform is None:
        files |= copy_installed([name for name in (*needs, *wanted) if name != "rota"], provided)
    elif needs or text.strip():
        pins = "".join(f"{_pin(name)}\n" for name in needs)
        wheels = download(pins + _without_rota(text), platform, cache or cache_directory(), fresh=fresh)
        files |= unpack(wheels, [*map(canonical, needs), *wanted], provided)
    if needs:
        files |= _own_files()
    files |= source.files
    return _checked(files, upload=upload)


def _checked(files: dict[str, bytes], *, upload: bool) -> Bundle:
    unzipped = sum(map(len, files.values()))
    if unzipped > UNZIPPED_LIMIT:
        raise InvalidError("bundle", _megabytes(unzipped), _too_large(UNZIPPED_LIMIT, "unzipped", files))
    data = make_archive(files)
    if upload and len(data) > UPLOAD_LIMIT:
        raise InvalidError("bundle", _megabytes(len(data)), _too_large(UPLOAD_LIMIT, "zipped", files))
    return Bundle(data, digest_of(files), len(files), unzipped)


def _too_large(limit: int, how: str, files: dict[str, bytes]) -> str:
    sizes: dict[str, int] = {}
    for name, content in files.items():
        first = name.partition("/")[0]
        sizes[first] = sizes.get(first, 0) + len(content)
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    said = ", ".join(f"{name} {_megabytes(sizes[name])}" for name in largest)
    return f"at most {_megabytes(limit)} {how}; largest (unzipped): {said}"


def _text_of(requirements: Path | Sequence[str] | None) -> str:
    if requirements is None:
        return ""
    if not isinstance(requirements, Path):
        return "".join(f"{line}\n" for line in requirements)
    if not requirements.is_file():
        raise NotFoundError("requirements file", str(requirements))
    text = requirements.read_text(encoding="utf-8")
    # pip reads the text from elsewhere, so what it names beside itself is named in full.
    lines = [_resolved(line, requirements.resolve().parent) for line in text.splitlines()]
    return "".join(f"{line}\n" for line in lines)


def _resolved(line: str, folder: Path) -> str:
    option, _, place = line.strip().partition(" ")
    if option in ("-r", "-c", "--requirement", "--constraint") and place:
        return f"{option} {folder / place.strip()}"
    return line


def _without_rota(text: str) -> str:
    """rota comes from where this code is."""
    return "".join(f"{line}\n" for line in text.splitlines() if names_in(line) != ["rota"])


def _pin(name: str) -> str:
    try:
        return f"{name}=={version(name)}"
    except PackageNotFoundError:
        raise RotaError(f"bundling rota needs {name} here too; install rota with its extra: rota[aws]") from None


def _own_files() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in sorted(_PACKAGE.rglob("*")):
        inside = path.relative_to(_PACKAGE)
        wanted = inside.parts[0] not in _AT_HOME and "__pycache__" not in inside.parts and path.suffix != ".pyc"
        if wanted and path.is_file():
            found[f"rota/{inside.as_posix()}"] = path.read_bytes()
    return found


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:.2f} MB" if size >= 10_000 else f"{size:,} bytes"
