"""`rota deploy` and `rota destroy` as a user types them, with AWS on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from tests.cli.command import Command

from rota.testing.emulator import Emulator, Fault

MODULE = str(Path(__file__).with_name("named_targets.py"))


@pytest.fixture
def rota(tmp_path: Path, aws: Emulator) -> Command:
    return Command(tmp_path)


def test_deploying_stores_the_schedules_and_destroying_leaves_nothing(rota: Command, aws: Emulator) -> None:
    said = json.loads(rota("deploy", MODULE, "--installed", "--set", "Memory=256", "--json"))
    assert (said["stack"], said["status"]) == ("shop", "CREATE_COMPLETE")
    assert said["schedules"]["created"] == ["tidy", "orders", "charge", "export", "ship", "shipped"]
    assert "CREATE_COMPLETE   AWS::DynamoDB::Table" in rota.err
    listed = json.loads(rota("schedule", "list", "--url", "aws://shop", "--json"))
    assert {it["id"] for it in listed} == {"tidy", "orders", "charge", "export", "ship", "shipped"}

    assert aws.counts()["lambda.Invoke"].requests == 1, "a first pass of the feeder"

    again = json.loads(rota("deploy", MODULE, "--installed", "--json"))
    assert again["changes"] == []
    assert len(again["schedules"]["unchanged"]) == 6

    assert "stack shop deleted" in rota("destroy", "--stack", "shop", "--yes")
    assert boto3.client("cloudformation").describe_stacks()["Stacks"] == []
    assert "there is no stack shop" in rota("destroy", "--stack", "shop", "--yes")


def test_a_dry_run_shows_what_would_change_and_changes_nothing(rota: Command) -> None:
    shown = rota("deploy", MODULE, "--installed", "--dry-run")
    assert "Dispatcher" in shown
    assert "AWS::Lambda::Function" in shown
    plan = json.loads(rota("deploy", MODULE, "--installed", "--dry-run", "--json"))
    assert plan["creates"]
    assert {it["action"] for it in plan["changes"]} == {"Add"}
    assert boto3.client("cloudformation").describe_stacks()["Stacks"] == []
    assert boto3.client("s3").list_buckets()["Buckets"] == []


def test_a_dry_run_takes_back_what_it_uploaded_and_no_more(rota: Command) -> None:
    def uploaded() -> set[str]:
        objects = boto3.client("s3").list_objects_v2(Bucket="rota-deploy-000000000000-us-east-1")
        return {it["Key"] for it in objects.get("Contents", ())}

    rota("deploy", MODULE, "--installed")
    before = uploaded()
    rota("deploy", MODULE, "--installed", "--stack", "other", "--dry-run")
    assert uploaded() == before
    rota("deploy", MODULE, "--installed", "--set", "Memory=256")


def test_a_name_that_cloudformation_does_not_take_is_made_one_that_it_does(rota: Command, tmp_path: Path) -> None:
    module = tmp_path / "my_shop.py"
    module.write_text('import rota\n\napp = rota.App("my_shop")\n')
    planned = json.loads(rota("deploy", str(module), "--installed", "--dry-run", "--json"))
    assert planned["stack"] == "my-shop"
    rota("deploy", str(module), "--installed", "--stack", "my_shop", exit_code=2)


def test_no_region_is_said_before_anything_is_bundled(
    rota: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    rota("deploy", "nothing.py", exit_code=1)
    assert rota.err.strip().startswith("rota: error: no AWS region: set AWS_DEFAULT_REGION, or name one with --region")


def test_destroying_asks_first(rota: Command) -> None:
    rota("destroy", "--stack", "shop", exit_code=1)
    assert "--yes" in rota.err


def test_no_answer_is_one_line(rota: Command) -> None:
    nobody = ["--endpoint-url", "http://127.0.0.1:9", "--region", "eu-central-1"]
    said = rota.refused(["destroy", "--stack", "shop", "--yes", *nobody], exit_code=1)
    assert "does not answer" in said


def test_a_missing_permission_is_one_line_that_names_the_action(rota: Command, aws: Emulator) -> None:
    aws.faults({"cloudformation.DescribeStacks": Fault(p=1, status=403, code="AccessDenied")})
    said = rota.refused(["destroy", "--stack", "shop", "--yes"], exit_code=1)
    assert "lack the permission cloudformation:DescribeStacks" in said


@pytest.mark.parametrize(
    ("denied", "action"),
    [("s3.*", "s3:ListBucket"), ("s3.HeadObject", "s3:GetObject"), ("s3.PutObject", "s3:PutObject")],
)
def test_a_bucket_that_refuses_names_the_action(rota: Command, aws: Emulator, denied: str, action: str) -> None:
    aws.faults({denied: Fault(p=1, status=403, code="AccessDenied")})
    rota("deploy", MODULE, "--installed", exit_code=1)
    assert f"lack the permission {action}" in rota.err.splitlines()[-1]


def test_one_command_on_a_laptop_deploys_and_stays_until_it_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rota", "deploy", MODULE, "--emulator", "--port", "0"]
    with (tmp_path / "notes").open("w") as notes:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=notes, text=True)
    assert process.stdout is not None
    try:
        exported: dict[str, str] = {}
        for line in process.stdout:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                exported[name] = value
            if line.startswith("export ROTA_URL"):
                break
        listed = subprocess.run(
            [sys.executable, "-m", "rota", "schedule", "list", "--json"],
            env=os.environ | exported,
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(json.loads(listed.stdout)) == 6
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(120)
        process.stdout.close()
    assert code == 0, (tmp_path / "notes").read_text()
