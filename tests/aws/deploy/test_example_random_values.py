"""The example of made-up items, as its README deploys it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.aws.deploy.test_running import until

import rota
from rota.aws.deploy import deployer
from rota.aws.synth import synthesize
from rota.loading import load_app
from rota.testing.emulator import Emulator

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "random_values" / "random_values.py"


@pytest.mark.slow
def test_the_example_runs_on_a_stack_by_hand_and_by_its_schedule(aws: Emulator) -> None:
    app = load_app(str(EXAMPLE))
    it = deployer(told=lambda _: None, noted=lambda _: None, poll=0.01)
    stack = it.execute(it.plan("random-values", synthesize(app, str(EXAMPLE), None), {}))
    it.feed(stack)
    with rota.connect("aws://random-values", app) as client:
        client.sync(app)
        run = client.batches.wait(client.batches.start("random-values", payload={"items": 300, "seed": 7}).id, 90)
        assert (run.state, run.counts.items, run.counts.failed) == ("succeeded", 300, 0)
        assert client.batches.verify(run.id) == []
        told = f"random-values:succeeded:0.1@{run.id.partition('@')[2]}"
        until(lambda: client.runs.get(told).state == "succeeded", "the finalizer", aws)
        assert "300 items, 300 succeeded" in json.loads(client.runs.get(told).value or b"")
        client.schedules.trigger("four-times-a-day")
        until(lambda: len(client.batches.list()) == 2, "the start by the schedule", aws)
        [newest, _] = client.batches.list()
        assert client.batches.wait(newest.id, 90).counts.items == 100


@pytest.mark.slow
def test_the_command_that_the_readme_has_for_a_laptop_deploys_it(tmp_path: Path) -> None:
    [command] = re.findall(r"`rota (deploy \S+ --emulator)`", EXAMPLE.with_name("README.md").read_text())
    shutil.copy(EXAMPLE, tmp_path)
    with (tmp_path / "notes").open("w") as notes:
        process = subprocess.Popen(
            [sys.executable, "-m", "rota", *command.split(), "--port", "0"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=notes,
            text=True,
        )
    assert process.stdout is not None
    try:
        told = next((line for line in process.stdout if line.startswith("export ROTA_URL")), "")
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(120)
        process.stdout.close()
    assert (told, code) == ("export ROTA_URL=aws://random-values\n", 0), (tmp_path / "notes").read_text()
