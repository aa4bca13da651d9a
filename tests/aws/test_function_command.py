"""rota function, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.command import Command

from rota.testing.emulator import Emulator

GREET = """
def handler(event, context):
    print("called with", event)
    if event is None:
        raise ValueError("nobody to greet")
    return {"said": "Hello, " + event["name"]}
"""


@pytest.fixture
def rota(aws: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "greet.py").write_text(GREET)
    return Command(tmp_path)


def test_from_a_file_to_nothing_left(rota: Command, tmp_path: Path) -> None:
    made = rota("function", "create", "greet", "--file", "greet.py", "--env", "A_B=1=2", "--description", "says hello")
    assert made.startswith("greet created: version 1, python3.1")
    assert made.endswith("invoke it as lambda:greet\n")
    assert "rota: bundle: 1 file, " in rota.err
    rota("function", "invoke", "greet", "--payload", '{"name": "Ada"}')
    assert json.loads(rota.out) == {"said": "Hello, Ada"}
    assert "called with {'name': 'Ada'}" in rota.err
    assert rota.json("function", "create", "greet", "--file", "greet.py")["change"] == "unchanged"
    assert rota("function", "update", "greet", "--memory", "512").startswith("greet updated: version 2, ")
    assert rota("function", "list").splitlines()[1].split()[:2] == ["greet", "Active"]
    shown = rota("function", "show", "greet")
    assert "lambda:greet" in shown
    assert "512 MB" in shown
    assert "A_B" in shown
    assert "1=2" not in shown, "the values of variables may be secrets"
    assert [it["version"] for it in rota.json("function", "versions", "greet")] == ["2", "1"]
    rota("function", "delete", "greet", exit_code=1)
    assert "--yes deletes it" in rota.err
    assert rota("function", "delete", "greet", "--yes").splitlines() == [
        "function greet deleted",
        "role rota-fn-greet deleted",
        "log group /aws/lambda/greet deleted",
    ]
    rota("function", "list")
    assert rota.err == "no functions\n"


def test_the_functions_own_failure_is_exit_code_1(rota: Command) -> None:
    rota("function", "create", "greet", "--file", "greet.py")
    rota("function", "invoke", "greet", exit_code=1)
    assert "rota: the function failed: ValueError: nobody to greet" in rota.err
    rota("function", "invoke", "greet", "--json", exit_code=1)
    assert json.loads(rota.out)["error"] == "ValueError: nobody to greet"


def test_a_directory(rota: Command, tmp_path: Path) -> None:
    place = tmp_path / "shop"
    place.mkdir()
    (place / "one.py").write_text(GREET)
    (place / "two.py").write_text("def work(event, context):\n    return 2\n")
    line = rota.refused(["function", "create", "shop", "--directory", "shop"])
    assert "the directory has several modules" in line
    rota("function", "create", "shop", "--directory", "shop", "--handler", "two.work")
    assert rota("function", "invoke", "shop") == "2\n"


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        ("create greet", 2, "--file: None is not allowed; give --file or --directory"),
        ("create greet --file absent.py", 1, "no file 'absent.py'"),
        ("create greet --directory absent", 1, "no directory 'absent'"),
        ("create greet --file greet.py --directory .", 2, "only one of --file and --directory"),
        ("create greet --file broken.py", 2, "broken.py:2: "),
        ("create greet --file greet.py --handler work", 2, "greet.py must have `def work(event, context)`"),
        ("create greet! --file greet.py", 2, "name: 'greet!' is not allowed; 1 to 56 letters, digits, - and _"),
        ("create greet --file greet.py --memory much", 2, "memory: 'much' is not allowed; a whole number"),
        ("create greet --file greet.py --env NAME", 2, "env: 'NAME' is not allowed; NAME=VALUE"),
        ("create greet --file greet.py --requirements absent.txt", 1, "no requirements file 'absent.txt'"),
        ("create greet --file greet.py --region no_such", 2, "no_such"),
        ("create greet --file greet.py --endpoint-url nowhere", 2, "nowhere"),
        ("update greet", 2, "at least one option that changes something"),
        ("update greet --memory 512", 1, "no function 'greet'"),
        ("invoke greet", 1, "no function 'greet'"),
        ("invoke greet --payload {", 2, "payload: '{' is not allowed; JSON"),
        ("show greet", 1, "no function 'greet'"),
        ("delete greet --yes", 1, "no function 'greet'"),
    ],
)
def test_bad_input_is_one_line(rota: Command, tmp_path: Path, words: str, exit_code: int, said: str) -> None:
    (tmp_path / "broken.py").write_text("x = 1\ndef handler(event, context:\n    pass\n")
    assert said in rota.refused(["function", *words.split()], exit_code)


def test_without_boto3_it_says_what_brings_it() -> None:
    program = "import sys; sys.modules['boto3'] = None; from rota.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "function", "list"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "rota: error: no module 'boto3'; pip install 'rota[aws]' brings it\n"
