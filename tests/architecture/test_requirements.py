"""The pinned requirement files install the same thing everywhere, and say nothing about where they were made."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = ["requirements/base.txt", "requirements/dev.txt", "benchmarks/requirements.txt"]
LOCKED = [*FILES, "requirements/tools.txt"]  # in an environment of its own, so its versions need not agree
PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ ;\\]+)", re.MULTILINE)


def pins(file: str) -> dict[str, str]:
    return {match["name"]: match["version"] for match in PIN.finditer((ROOT / file).read_text())}


@pytest.mark.parametrize("file", LOCKED)
def test_every_requirement_is_pinned_and_hashed(file: str) -> None:
    entries = re.split(r"^(?=\S)", (ROOT / file).read_text(), flags=re.MULTILINE)
    entries = [entry for entry in entries if entry.strip() and not entry.startswith("#")]
    assert [entry for entry in entries if not PIN.match(entry) or "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize(
    "file", [*LOCKED, "pyproject.toml", "requirements/build.in", "requirements/tools.in", "benchmarks/requirements.in"]
)
def test_no_addresses_and_no_paths(file: str) -> None:
    text = (ROOT / file).read_text()
    assert (
        re.findall(r"\w+://\S+|--(?:extra-)?index\S*|--find-links\S*|(?<![\w.])/(?:home|tmp|opt|root|work)/\S*", text)
        == []
    )


@pytest.mark.parametrize("file", FILES)
def test_files_agree_on_versions(file: str) -> None:
    dev = pins("requirements/dev.txt")
    assert {name: version for name, version in pins(file).items() if dev.get(name, version) != version} == {}


def test_compiled_packages_are_locked_for_more_than_this_platform() -> None:
    text = (ROOT / "requirements/base.txt").read_text()
    entry = text[text.index("\nmsgspec==") :].split("\n    # via", 1)[0]
    assert entry.count("--hash=") > 10


def test_what_the_project_declares_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [need for needs in project["optional-dependencies"].values() for need in needs]
    names = {re.split(r"[^A-Za-z0-9._-]", need)[0] for need in [*project["dependencies"], *extras]}
    assert names - pins("requirements/dev.txt").keys() == set()
    assert {re.split(r"[^A-Za-z0-9._-]", need)[0] for need in project["dependencies"]} - pins(
        "requirements/base.txt"
    ).keys() == set()
