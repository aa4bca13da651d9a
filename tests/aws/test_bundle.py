"""Bundles: what is in them, that nothing is missing, that two builds are the same bytes, and what is refused."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from tests.aws.wheelhouse import ARM, INTEL, add_wheel

from rota.aws.bundle import PROVIDED, ROTA_NEEDS, Bundle, make_bundle
from rota.aws.installed import copy_installed
from rota.aws.platform import Platform
from rota.aws.source import Source, imports_of, read_module, read_text
from rota.core.errors import InvalidError, NotFoundError, RotaError

PLAIN = "def handler(event, context):\n    return event\n"
WITH_ROTA = "import rota\n\napp = rota.App('shop')\n"
HANDLERS = ("adhoc", "dead", "dispatcher", "feeder", "worker")
ARM312 = Platform("arm64", "3.12")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels which is all that pip knows."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def names(bundle: Bundle) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(bundle.data)).namelist()


def unzip(bundle: Bundle, to: Path) -> Path:
    zipfile.ZipFile(io.BytesIO(bundle.data)).extractall(to)
    return to


def test_a_plain_function_is_its_source_alone() -> None:
    bundle = make_bundle(read_text(PLAIN), ARM312)
    assert names(bundle) == ["handler.py"]
    assert (bundle.files, bundle.unzipped) == (1, len(PLAIN))


def test_wheels_are_those_of_the_platform(index: Path) -> None:
    for tag in (ARM, INTEL):
        add_wheel(index, "fast-sums", tag=tag)
    for architecture, tag in (("arm64", ARM), ("x86_64", INTEL)):
        platform = Platform(architecture, "3.12")  # type: ignore[arg-type]
        bundle = make_bundle(read_text(PLAIN), platform, requirements=["fast-sums"])
        content = zipfile.ZipFile(io.BytesIO(bundle.data)).read("fast_sums/__init__.py").decode()
        assert content == f"TAG = {tag!r}\n"


def test_what_an_installer_notes_is_left_out(index: Path) -> None:
    add_wheel(index, "notes")
    bundle = make_bundle(read_text(PLAIN), ARM312, requirements=["notes"])
    assert names(bundle) == [
        "handler.py",
        "notes-1.0.dist-info/METADATA",
        "notes-1.0.dist-info/WHEEL",
        "notes/__init__.py",
        "notes/pure.py",
    ]


def test_two_builds_are_the_same_bytes(index: Path, tmp_path: Path) -> None:
    add_wheel(index, "one", needs=["two>=1"])
    add_wheel(index, "two", tag=ARM)
    file = tmp_path / "shop.py"
    file.write_text(PLAIN)
    first = make_bundle(read_module(file), ARM312, requirements=["one"])
    os.utime(file, (time.time() + 5000,) * 2)
    file.chmod(0o600)
    second = make_bundle(read_module(file), ARM312, requirements=["one"], cache=tmp_path / "another")
    assert first.data == second.data
    assert first.digest == second.digest
    file.write_text(PLAIN + "# changed\n")
    assert make_bundle(read_module(file), ARM312, requirements=["one"]).digest != first.digest


def test_a_second_build_asks_nobody_until_it_is_to_be_fresh(index: Path) -> None:
    add_wheel(index, "moving")
    first = make_bundle(read_text(PLAIN), ARM312, requirements=["moving"])
    add_wheel(index, "moving", "2.0")
    assert make_bundle(read_text(PLAIN), ARM312, requirements=["moving"]).data == first.data
    fresh = make_bundle(read_text(PLAIN), ARM312, requirements=["moving"], fresh=True)
    assert "moving-2.0.dist-info/METADATA" in names(fresh)


def test_what_lambda_has_is_left_out_with_all_that_only_it_needs(index: Path) -> None:
    add_wheel(index, "boto3", needs=["botocore", "jmespath"])
    add_wheel(index, "botocore", needs=["urllib3"])
    add_wheel(index, "urllib3")
    add_wheel(index, "jmespath")
    add_wheel(index, "pages", needs=["jmespath", "boto3", 'urllib3; extra == "fast"'])
    bundle = make_bundle(read_text(PLAIN), ARM312, requirements=["pages", "boto3"])
    modules = {name.partition("/")[0] for name in names(bundle) if not name.partition("/")[0].endswith(".dist-info")}
    assert modules == {"handler.py", "jmespath", "pages"}
    with_boto3 = make_bundle(read_text(PLAIN), ARM312, requirements=["pages"], boto3=True)
    assert {"boto3/__init__.py", "botocore/__init__.py", "urllib3/__init__.py"} <= set(names(with_boto3))


def test_the_requirements_beside_the_module_are_taken(index: Path, tmp_path: Path) -> None:
    add_wheel(index, "one")
    add_wheel(index, "two")
    (tmp_path / "requirements.txt").write_text("# what it needs\none\n-r more.txt\n")
    (tmp_path / "more.txt").write_text("two\n")
    (tmp_path / "shop.py").write_text(PLAIN)
    found = names(make_bundle(read_module(tmp_path / "shop.py"), ARM312))
    assert {"one/__init__.py", "two/__init__.py"} <= set(found)


def test_own_files_win_over_those_of_a_dependency(index: Path) -> None:
    add_wheel(index, "handler")
    bundle = make_bundle(read_text(PLAIN, "handler/__init__"), ARM312, requirements=["handler"])
    assert zipfile.ZipFile(io.BytesIO(bundle.data)).read("handler/__init__.py").decode() == PLAIN


def test_what_has_no_wheel_for_the_platform_is_named(index: Path) -> None:
    add_wheel(index, "fast-sums", tag=INTEL)
    with pytest.raises(InvalidError, match=r"requirements: 'fast-sums' .* has a wheel for Python 3\.12 on arm64"):
        make_bundle(read_text(PLAIN), ARM312, requirements=["fast-sums"])


def test_requirements_that_contradict_each_other_are_refused(index: Path) -> None:
    add_wheel(index, "one", needs=["two>=2"])
    add_wheel(index, "two", "1.0")
    add_wheel(index, "two", "2.0")
    with pytest.raises(InvalidError, match=r"'one two<2' .* \(.*one 1\.0 depends on two>=2"):
        make_bundle(read_text(PLAIN), ARM312, requirements=["one", "two<2"])


def test_an_index_that_does_not_answer_is_not_a_missing_wheel(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NO_INDEX": "0", "RETRIES": "1", "CONFIG_FILE": os.devnull, "EXTRA_INDEX_URL": ""}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    with pytest.raises(RotaError, match="pip cannot reach its package index; nothing was bundled"):
        make_bundle(read_text(PLAIN), ARM312, requirements=["absent"])


def test_nothing_is_kept_of_a_download_that_failed(index: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidError):
        make_bundle(read_text(PLAIN), ARM312, requirements=["absent"])
    assert list((tmp_path / "cache/rota/wheels").iterdir()) == []


def test_a_requirements_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no requirements file"):
        make_bundle(read_text(PLAIN), ARM312, requirements=tmp_path / "absent.txt")


def test_what_is_not_installed_cannot_be_copied() -> None:
    with pytest.raises(InvalidError, match="requirements: 'no-such-thing'"):
        make_bundle(read_text(PLAIN), None, requirements=["no-such-thing"])


@pytest.mark.parametrize(("architecture", "python"), [("armv7", "3.12"), ("arm64", "3.10"), ("arm64", "python3.12")])
def test_platforms_that_lambda_does_not_have(architecture: str, python: str) -> None:
    with pytest.raises(InvalidError, match="one of"):
        Platform(architecture, python)  # type: ignore[arg-type]


def test_too_large_unzipped(index: Path) -> None:
    add_wheel(index, "huge", size=251 * 1024 * 1024)
    with pytest.raises(InvalidError, match=r"bundle: '251\.00 MB' .* at most 250\.00 MB unzipped; largest .* huge 251"):
        make_bundle(read_text(PLAIN), ARM312, requirements=["huge"])


def test_too_large_to_upload_but_not_for_a_bucket(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text(PLAIN)
    (package / "noise.bin").write_bytes(os.urandom(51 * 1024 * 1024))
    source = read_module(package)
    with pytest.raises(InvalidError, match=r"at most 50\.00 MB zipped; largest .* shop 51"):
        make_bundle(source, ARM312)
    assert make_bundle(source, ARM312, upload=False).files == 2


IMPORT_ALL = """
import importlib, json, pkgutil, sys
sys.path[:0] = [{bundle!r}, {boto3!r}]
import rota.aws, rota.targets, shop
for package in (rota.aws, rota.targets):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
loaded = [name for name, module in sys.modules.items()
          if (getattr(module, "__file__", None) or "").startswith({bundle!r})]
print(json.dumps(loaded))
"""


def test_nothing_is_missing_in_lambda(tmp_path: Path) -> None:
    bundle = make_bundle(_shop(tmp_path), None)
    place = unzip(bundle, tmp_path / "bundle")
    runtime = tmp_path / "runtime"
    for name, content in copy_installed(["boto3"], frozenset()).items():
        (runtime / name).parent.mkdir(parents=True, exist_ok=True)
        (runtime / name).write_bytes(content)
    program = IMPORT_ALL.format(bundle=str(place), boto3=str(runtime))
    command = [sys.executable, "-S", "-I", "-c", program]
    traced = {**os.environ, "ROTA_TRACING": "1"}  # as functions run whose calls are traced
    done = subprocess.run(command, env=traced, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert {f"rota.aws.handlers.{name}" for name in HANDLERS} <= set(loaded)
    files = [place / name.replace(".", "/") for name in loaded if name.partition(".")[0] == "rota"]
    sources = [path for it in files for path in (it.with_suffix(".py"), it / "__init__.py") if path.is_file()]
    foreign = (
        imports_of({str(path): path.read_bytes() for path in sources})
        - sys.stdlib_module_names
        - {"rota", "boto3", "botocore"}
    )
    needs = {name.replace("-", "_") for name in ROTA_NEEDS} - {"tzdata"}
    assert foreign == needs, "ROTA_NEEDS names what handlers import, no more and no less"
    assert (place / "tzdata/zoneinfo/Europe/Berlin").is_file()


def test_no_face_and_no_engine_of_a_machine_of_ones_own_goes_along(tmp_path: Path) -> None:
    found = names(make_bundle(_shop(tmp_path), None))
    assert "rota/app.py" in found
    assert {name.split("/")[1] for name in found if name.startswith("rota/")} & {"cli", "web", "embedded"} == set()
    assert {name.partition("/")[0] for name in found} & {"typer", "rich", "zstandard", "icalendar", *PROVIDED} == set()


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_rota_has_wheels_for_every_runtime(architecture: str, python: str, tmp_path: Path) -> None:
    platform = Platform(architecture, python)  # type: ignore[arg-type]
    builds = [make_bundle(_shop(tmp_path), platform, cache=tmp_path / "cache", fresh=fresh) for fresh in (True, True)]
    assert builds[0].data == builds[1].data
    version = python.replace(".", "")
    machine = {"arm64": "aarch64", "x86_64": "x86_64"}[architecture]
    assert f"msgspec/_core.cpython-{version}-{machine}-linux-gnu.so" in names(builds[0])


def _shop(folder: Path) -> Source:
    (folder / "shop.py").write_text(WITH_ROTA)
    return read_module(folder / "shop.py")
