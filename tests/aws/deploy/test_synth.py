"""The files of a stack, as the command writes them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.aws.deploy.named_targets import app
from tests.cli.command import Command

from rota.aws.synth import synthesize

MODULE = str(Path(__file__).with_name("named_targets.py"))


@pytest.fixture
def rota(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return synthesize(app, MODULE, None).files


def test_the_same_app_makes_the_same_bytes(files: dict[str, bytes]) -> None:
    assert synthesize(app, MODULE, None).files == files


def test_the_engines_bundle_has_none_of_the_users_code_and_the_workers_has(files: dict[str, bytes]) -> None:
    names = {name: set(zipfile.ZipFile(io.BytesIO(files[name])).namelist()) for name in ("engine.zip", "worker.zip")}
    assert "named_targets.py" in names["worker.zip"] - names["engine.zip"]
    assert "rota/core/schedule.py" in names["engine.zip"] & names["worker.zip"]
    assert not any(name.startswith(("rota/cli/", "rota/embedded/", "boto3/")) for name in names["worker.zip"])


def test_the_template_names_the_bundles_beside_it(files: dict[str, bytes]) -> None:
    resources = json.loads(files["template.json"])["Resources"].values()
    codes = {it["Properties"]["CodeUri"] for it in resources if it["Type"] == "AWS::Serverless::Function"}
    assert codes == {"engine.zip", "worker.zip"}
    assert codes <= files.keys()


@pytest.mark.parametrize(
    ("name", "module"),
    [("shop.py", "shop"), ("shop.py:main", "shop:main"), ("inner.jobs", "inner.jobs"), ("inner:app", "inner:app")],
)
def test_the_worker_loads_what_the_command_was_given(name: str, module: str, tmp_path: Path) -> None:
    source = "import rota\nmain = app = rota.App('shop')\n"
    (tmp_path / "shop.py").write_text(source)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "__init__.py").write_text(source)
    (tmp_path / "inner" / "jobs.py").write_text(source)
    command = [sys.executable, "-m", "rota", "synth", name, "--installed"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    template = json.loads((tmp_path / "build" / "template.json").read_text())
    assert template["Resources"]["Worker"]["Properties"]["Environment"]["Variables"]["ROTA_APP"] == module
    assert "ROTA_APP" not in template["Resources"]["Feeder"]["Properties"]["Environment"]["Variables"]
    program = f"import importlib; importlib.import_module({module.partition(':')[0]!r})"
    # -S and -I: nothing but the bundle, and what it needs of the standard library.
    alone = f"import sys; sys.path.insert(0, {str(tmp_path / 'build' / 'worker')!r}); {program}"
    zipfile.ZipFile(tmp_path / "build" / "worker.zip").extractall(tmp_path / "build" / "worker")
    subprocess.run([sys.executable, "-S", "-I", "-c", alone], check=True, cwd=tmp_path / "build")


def test_sizes_are_printed(rota: Command, tmp_path: Path) -> None:
    said = rota.json("synth", MODULE, "--installed", "-o", str(tmp_path / "made" / "here"))
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "made" / "here").iterdir()}
    assert said["bytes"] == sizes
    assert sorted(sizes) == ["README.md", "engine.zip", "template.json", "worker.zip"]


def test_bad_input_is_one_line(rota: Command, tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "taken").write_text("")
    assert "exactly one rota.App" in rota.refused(["synth", str(tmp_path / "empty.py")])
    assert "there is no file" in rota.refused(["synth", str(tmp_path / "missing.py")])
    assert "one of arm64, x86_64" in rota.refused(["synth", MODULE, "--arch", "mips"])
    assert "one of 3.11" in rota.refused(["synth", MODULE, "--python", "2.7"])
    assert "a directory" in rota.refused(["synth", MODULE, "--installed", "-o", str(tmp_path / "taken")])
    assert "NAME=VALUE" in rota.refused(["deploy", MODULE, "--set", "Memory"])
    assert "one of Memory" in rota.refused(["deploy", MODULE, "--set", "Memories=512"])
    assert "one value for Memory" in rota.refused(["deploy", MODULE, "--set", "Memory=512", "--set", "Memory=256"])
    assert "beginning with a letter" in rota.refused(["deploy", MODULE, "--installed", "--stack", "1st"])
    there = ["deploy", MODULE, "--installed", "--region", "us-east-1"]
    assert "at most 67" in rota.refused([*there, "--stack", "x" * 70])
