"""The dependencies of a function as wheels of its platform, which pip finds, downloads and chooses.

What pip chose is kept in the user's cache directory, by everything that the choice depends on: the requirements as they
are written, and the platform. A second build asks nobody and takes the same wheels, so an unchanged app makes an
unchanged bundle even if a newer release of a dependency has come out; `fresh` chooses anew. pip finds its index as it
does everywhere, through its own settings.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from rota.aws.platform import Platform
from rota.core.errors import InvalidError, RotaError

_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_EXTRA = re.compile(r";.*\bextra\s*==")
_UNFOUND = re.compile(r"No matching distribution found for (.+)")
_CONFLICT = re.compile(r"The conflict is caused by:\n((?: +\S.*\n)+)")
_UNREACHED = re.compile(r"NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Name or service not known")
_LEFT_OUT = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "RECORD.jws", "RECORD.p7s"}


def cache_directory() -> Path:
    """Where downloaded wheels are kept: `$XDG_CACHE_HOME/rota/wheels`, else `~/.cache/rota/wheels`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rota" / "wheels"


def canonical(name: str) -> str:
    """A distribution's name in the one spelling that the package index compares."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names_in(requirements: str) -> list[str]:
    """The names that a requirements text asks for by itself, its options and includes left aside."""
    found = [_NAME.match(line) for line in requirements.splitlines() if not line.lstrip().startswith(("-", "#"))]
    return [canonical(match[1]) for match in found if match]


def download(requirements: str, platform: Platform, cache: Path, *, fresh: bool = False) -> list[Path]:
    """The wheels that `requirements` (the text of a requirements file) need on `platform`, sorted by name.

    InvalidError names a requirement that has no wheel for the platform; RotaError if pip is missing or cannot reach its
    index."""
    key = hashlib.sha256(f"{platform.architecture} {platform.python}\n{requirements}".encode()).hexdigest()[:24]
    kept = cache / key
    # An option may lead to another file, whose text the key does not know.
    fresh = fresh or any(line.lstrip().startswith("-") for line in requirements.splitlines())
    if fresh or not kept.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="part-") as folder:
            chosen = Path(folder) / "wheels"
            chosen.mkdir()
            _pip_download(requirements, platform, chosen)
            _keep(chosen, kept)
    return sorted(kept.glob("*.whl"))


def _keep(chosen: Path, kept: Path) -> None:
    shutil.rmtree(kept, ignore_errors=True)
    try:
        chosen.rename(kept)
    except OSError:
        if not kept.is_dir():  # otherwise another process was faster, with the same wheels
            raise


def _pip_download(requirements: str, platform: Platform, to: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write(requirements)
        file.flush()
        tags = [word for tag in platform.tags for word in ("--platform", tag)]
        command = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"]
        command += [
            "--progress-bar=off",
            "--only-binary=:all:",
            "--implementation=cp",
            f"--python-version={platform.python}",
            *tags,
        ]
        done = subprocess.run(  # noqa: S603 this interpreter's own pip
            [*command, f"--dest={to}", f"--requirement={file.name}"], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise _failure(requirements, done.stdout + done.stderr, platform)


def _failure(requirements: str, said: str, platform: Platform) -> RotaError:
    wanted = " ".join(line for line in requirements.splitlines() if line.strip())
    unfound, conflict = _UNFOUND.search(said), _CONFLICT.search(said)
    if "No module named pip" in said:
        return RotaError(f"bundling needs pip in the environment of {sys.executable}")
    if _UNREACHED.search(said):
        return RotaError("pip cannot reach its package index; nothing was bundled")
    if conflict:
        causes = "; ".join(line.strip() for line in conflict[1].strip().splitlines())
        return InvalidError("requirements", wanted, f"versions that go together ({causes})")
    if unfound:
        where = f"Python {platform.python} on {platform.architecture}"
        return InvalidError("requirements", unfound[1].strip(), f"what has a wheel for {where}; sources are not built")
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    return InvalidError("requirements", wanted, f"what pip can resolve ({'; '.join(errors) or said.strip()[-500:]})")


def unpack(wheels: Sequence[Path], asked_for: Iterable[str], provided: frozenset[str]) -> dict[str, bytes]:
    """The importable files of the wheels by name. Distributions of `provided` are left out, and so are those that only
    they need, unless `asked_for` names them."""
    content: dict[str, dict[str, bytes]] = {}
    needs: dict[str, set[str]] = {}
    for wheel in wheels:
        name = canonical(wheel.name.partition("-")[0])
        content[name] = _files_of(wheel)
        needs[name] = set(_needs(content[name]))
    needed_by_others = {need for name, found in needs.items() for need in found if need != name}
    waiting = [name for name in content if name in set(asked_for) or name not in needed_by_others]
    kept: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in content and name not in provided and name not in kept:
            kept.add(name)
            waiting += needs[name]
    return {path: data for name in sorted(kept) for path, data in content[name].items()}


def _files_of(wheel: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(wheel.read_bytes())) as archive:
        for entry in archive.infolist():
            path = entry.filename
            first, _, rest = path.partition("/")
            if first.endswith(".data"):
                scheme, _, path = rest.partition("/")
                if scheme not in ("purelib", "platlib"):
                    continue
            if not entry.is_dir() and is_wanted(path):
                found[path] = archive.read(entry)
    return found


def is_wanted(path: str) -> bool:
    """Whether a file of a distribution belongs in a bundle: not what says where and how it was installed."""
    folder, _, name = path.rpartition("/")
    if path.startswith(("/", "..")) or "/../" in path:
        return False
    return not (
        (folder.endswith(".dist-info") and name in _LEFT_OUT)
        or name.endswith((".pyc", ".pth"))
        or "__pycache__" in folder.split("/")
    )


def _needs(files: dict[str, bytes]) -> list[str]:
    for path, data in files.items():
        if path.endswith(".dist-info/METADATA"):
            header = data.decode("utf-8", "replace").partition("\n\n")[0]
            lines = header.splitlines()
            return required(it.partition(":")[2] for it in lines if it.startswith("Requires-Dist:"))
    return []


def required(requirements: Iterable[str]) -> list[str]:
    """The names in a distribution's own requirements, but for those of its extras: an extra that was chosen is among
    the wheels though nobody requires it, and what was not chosen may be there for another's sake."""
    return names_in("\n".join(it for it in requirements if not _EXTRA.search(it)))
