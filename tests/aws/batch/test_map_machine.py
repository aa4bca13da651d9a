"""The definition of the state machine of maps, against the language and the limits of Step Functions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from rota.aws.batch import map_plan
from rota.aws.batch.map_finish import Ended, Told
from rota.aws.batch.map_machine import DIED, GOES_ON, MOST_INPUT, Kind, Reader, machine, state_of
from rota.aws.batch.map_plan import Prepared
from rota.aws.batch.map_work import Batched, GoesOnError, Shared

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
    kind = "EXPRESS" if name.endswith("Express") else "STANDARD"
    assert state["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": kind}
    assert len(json.dumps(MACHINE)) < 1024 * 1024
    assert Prepared(run="r", revision=0).batch_bytes == MOST_INPUT


@pytest.mark.parametrize("name", MAPS)
def test_a_map_is_told_all_that_it_reads(name: str) -> None:
    assert set(paths(MAPS[name])) <= set(Prepared.__struct_fields__)
    assert {it.removesuffix(".$") for it in MAPS[name]["ItemBatcher"]["BatchInput"]} == set(Shared.__struct_fields__)
    work, search = MAPS[name]["ItemProcessor"]["States"].values()
    assert {it.removesuffix(".$") for it in work["Parameters"]["Payload"]} == {"Items", "BatchInput"}
    assert {it.removesuffix(".$") for it in search["Parameters"]["Payload"]} == set(Batched.__struct_encode_fields__)


def test_the_end_answers_all_that_is_read_of_it() -> None:
    assert set(paths(STATES["Judge"])) <= set(Told.__struct_fields__) & set(Prepared.__struct_fields__)
    assert set(Prepared.__struct_fields__) < set(Ended.__struct_fields__)


def test_functions_are_called_again_when_that_may_help_and_a_death_begins_the_search() -> None:
    for state in MAPS.values():
        work, search = state["ItemProcessor"]["States"].values()
        never, lambdas, rest = work["Retry"]
        assert (never["ErrorEquals"], never["MaxAttempts"]) == ([*DIED], 0)
        assert lambdas["JitterStrategy"] == rest["JitterStrategy"] == "FULL"
        assert rest["ErrorEquals"] == ["States.TaskFailed", "States.Timeout"]
        assert work["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "Search"}]
        assert GoesOnError.__name__ == GOES_ON
        assert search["Retry"][0]["ErrorEquals"] == [*DIED, GOES_ON]
        assert search["Retry"][0]["MaxAttempts"] > 50 * 14, "killers, and halves of ten thousand items for each"
    for name in ("Prepare", "Finish"):
        assert STATES[name]["Retry"]
        assert STATES[name]["Catch"][0]["Next"] == "Lost"


def test_an_inventory_is_read_by_its_manifest() -> None:
    assert MAPS["EachOfInventory"]["ItemReader"] == {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "MANIFEST"},
        "Parameters": {"Bucket.$": "$.bucket", "Key.$": "$.key"},
    }


def test_every_form_has_its_maps() -> None:
    read = {choice["StringEquals"]: choice["Next"] for choice in STATES["Read"]["Choices"]}
    kinds: tuple[Kind, ...] = ("STANDARD", "EXPRESS")
    assert set(read) == set(MAPS) == {state_of(reader, kind) for reader in get_args(Reader) for kind in kinds}
    assert all(name == following for name, following in read.items())
    assert {*map_plan._FORMS.values(), "inventory", "objects", "jobs"} == set(get_args(Reader))
