"""Make or refresh the virtual environment from a pinned and hashed requirements file.

    python scripts/venv.py .venv requirements/dev.txt
    python scripts/venv.py .venv-tools requirements/tools.txt --without-project

Idea: `make` compares times, which a checkout changes; this compares contents, so that an unchanged requirements file
costs a tenth of a second. The stamp inside the environment holds the digest of the file it was installed from. Two
calls at the same time wait for each other. Only the standard library is imported: this runs before any install.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(environment: Path, requirements: Path, *, project: bool) -> None:
    if sys.version_info < (3, 11):
        sys.exit(
            f"rota needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}: make PYTHON=python3.12 ..."
        )
    with locked(environment.with_name(environment.name + ".lock")):
        python = environment / "bin" / "python"
        if not usable(python):
            create(environment)
        stamp = environment / f"{requirements.parent.name}-{requirements.stem}.stamp"
        wanted = digest(requirements)
        if not stamp.is_file() or stamp.read_text() != wanted:
            # The file names everything, so there is nothing left to resolve.
            pip(python, "install", "--quiet", "--no-deps", "--require-hashes", "--requirement", str(requirements))
            stamp.write_text(wanted)
        if project:
            install_project(environment, python)


def install_project(environment: Path, python: Path) -> None:
    """Editable, so only a change of the metadata (version, entry points) asks for it again."""
    stamp = environment / "project.stamp"
    wanted = digest(ROOT / "pyproject.toml")
    if not stamp.is_file() or stamp.read_text() != wanted:
        pip(python, "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
        stamp.write_text(wanted)


def create(environment: Path) -> None:
    shutil.rmtree(environment, ignore_errors=True)
    if importlib.util.find_spec("ensurepip") is None:  # Debian takes it out of Python and ships it apart
        install_ensurepip()
    print(f"making {environment} with Python {sys.version.split()[0]}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)


def install_ensurepip() -> None:
    package = f"python3.{sys.version_info.minor}-venv"
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        sys.exit(f"this Python cannot make virtual environments: install {package} (or python3-venv) and try again")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([apt, "update", "-qq"], check=True, env=quiet, stdin=subprocess.DEVNULL)
    subprocess.run([apt, "install", "-y", "-qq", package], check=True, env=quiet, stdin=subprocess.DEVNULL)


def usable(python: Path) -> bool:
    """An environment whose interpreter was removed or replaced is made anew."""
    return (
        python.exists()
        and subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    )


def pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    print("pip", *arguments, flush=True)
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), project="--without-project" not in sys.argv[3:])
