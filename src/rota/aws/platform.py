"""For which machine a bundle is made."""

from __future__ import annotations

import sys
from typing import Literal

import msgspec

from rota.core.errors import InvalidError

ARCHITECTURES = ("arm64", "x86_64")
PYTHONS = ("3.11", "3.12", "3.13")

_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
# What the C library of Lambda's systems can load: Amazon Linux 2 has 2.26, Amazon Linux 2023 has 2.34.
_GLIBC = {"3.11": ("2_26", "2_24", "2_17"), "3.12": ("2_34", "2_31", "2_28", "2_26", "2_24", "2_17")}
_GLIBC["3.13"] = _GLIBC["3.12"]


class Platform(msgspec.Struct, frozen=True):
    """A Lambda runtime. architecture: "arm64" or "x86_64". python: "3.11", "3.12" or "3.13"."""

    architecture: Literal["arm64", "x86_64"] = "arm64"
    python: str = "3.12"

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise InvalidError("architecture", self.architecture, "one of " + ", ".join(ARCHITECTURES))
        if self.python not in PYTHONS:
            raise InvalidError("python", self.python, "one of " + ", ".join(PYTHONS))

    @property
    def runtime(self) -> str:
        """What Lambda calls it."""
        return f"python{self.python}"

    @property
    def tags(self) -> tuple[str, ...]:
        """The platform tags of the wheels that it can load, the best first."""
        machine = _MACHINES[self.architecture]
        return (*(f"manylinux_{glibc}_{machine}" for glibc in _GLIBC[self.python]), f"manylinux2014_{machine}")


def own_python() -> str:
    """The version of Python nearest to this interpreter's that Lambda has."""
    minor = min(max(sys.version_info.minor, 11), 13)
    return f"3.{minor}"
