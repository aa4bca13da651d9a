"""The definition of the state machine of maps, against the language and the limits of Step Functions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rota.aws.batch import map_plan
from rota.aws.batch.map_finish import Ended, Told
from rota.aws.batch.map_machine import MOST_INPUT, PAUSED, machine
from rota.aws.batch.map_plan import Prepared
from rota.aws.batch.map_work import PausedError, Shared

State = dict[str, Any]
MACHINE = machine(
    "arn:aws:lambda:us-east-1:123456789012:function:mapper",
    "arn:aws:lambda:us-east-1:123456789012:function:worker",
    "https://sqs.us-east-1.amazonaws.com/123456789012/failures",
)
STATES: dict[str, State] = MACHINE["States"]
MAPS = {name: state for name, state in STATES.items() if state["Type"] == "Map"}


def following(state: State) -> Iterator[str]:
    """The states that may come next."""
    for field in ("Next", "Default"):
        if field in state:
            yield state[field]
    for branch in (*state.get("Choices", ()), *state.get("Catch", ())):
        yield branch["Next"]


def paths(value: object) -> Iterator[str]:
    """Every field of the state's input that is read by path."""
    if isinstance(value, dict):
        for name, it in value.items():
            if isinstance(it, str) and it.startswith("$.") and (name.endswith((".$", "Path")) or name == "Variable"):
                if name in ("ResultPath", "OutputPath"):
                    continue
                yield it.removeprefix("$.").partition(".")[0]
            elif name not in ("ItemProcessor", "Catch", "Next"):
                yield from paths(it)
    elif isinstance(value, list):
        for it in value:
            yield from paths(it)


def test_the_linter_of_templates_finds_nothing(tmp_path: Path) -> None:
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {"RoleArn": "arn:aws:iam::123456789012:role/map", "Definition": MACHINE},
            }
        },
    }
    file = tmp_path / "template.json"
    file.write_text(json.dumps(template))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("cfn-lint")), "-t", str(file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_every_state_is_reached_and_exists() -> None:
    reached, waiting = set(), [MACHINE["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += following(STATES[name])
    assert reached == set(STATES)


@pytest.mark.parametrize("name", MAPS)
def test_a_map_keeps_to_the_limits(name: str) -> None:
    state = MAPS[name]
    assert len(state["Label"]) <= 40
    assert state["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    assert len(json.dumps(MACHINE)) < 1024 * 1024
    assert Prepared(run="r", revision=0, reader="json").batch_bytes == MOST_INPUT


@pytest.mark.parametrize("name", MAPS)
def test_a_map_is_told_all_that_it_reads(name: str) -> None:
    assert set(paths(MAPS[name])) <= set(Prepared.__struct_fields__)
    assert {it.removesuffix(".$") for it in MAPS[name]["ItemBatcher"]["BatchInput"]} == set(Shared.__struct_fields__)


def test_the_end_answers_all_that_is_read_of_it() -> None:
    assert set(paths(STATES["Judge"])) <= set(Told.__struct_fields__)
    assert set(Prepared.__struct_fields__) < set(Ended.__struct_fields__)


def test_functions_are_called_again_when_that_may_help_and_a_pause_lasts_as_long_as_it_may() -> None:
    for state in MAPS.values():
        [work] = state["ItemProcessor"]["States"].values()
        paused, lambdas, rest = work["Retry"]
        assert paused["ErrorEquals"] == [PAUSED] == [PausedError.__name__]
        assert paused["IntervalSeconds"] * paused["MaxAttempts"] > 366 * 86_400
        assert lambdas["JitterStrategy"] == rest["JitterStrategy"] == "FULL"
        assert rest["ErrorEquals"] == ["States.TaskFailed", "States.Timeout"]
    for name in ("Prepare", "Finish"):
        assert STATES[name]["Retry"]
        assert STATES[name]["Catch"][0]["Next"] == "Lost"


def test_an_inventory_is_read_by_its_manifest() -> None:
    assert MAPS["EachOfInventory"]["ItemReader"] == {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "MANIFEST"},
        "Parameters": {"Bucket.$": "$.bucket", "Key.$": "$.key"},
    }


def test_every_form_has_its_map() -> None:
    read = {choice["StringEquals"]: choice["Next"] for choice in STATES["Read"]["Choices"]}
    assert set(read) == {"json", "lines", "csv", "parquet", "inventory", "objects", "jobs"}
    assert set(read.values()) == set(MAPS)
    assert set(map_plan._FORMS.values()) < set(read)
