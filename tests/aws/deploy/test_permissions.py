"""Roles hold what the table of statements says, and the table says no more than it must."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.aws.deploy.named_targets import BUS, MACHINE, app
from tests.aws.deploy.planning import plan_of, template_of

import rota
from rota.aws.stack.functions import functions_of
from rota.aws.stack.statements import ACTIONS, APART, PERMISSIONS, WITHIN, WITHOUT_RESOURCE, actions_of, resources
from rota.core.errors import InvalidError

Json = dict[str, Any]
TEMPLATE = template_of(app)
RESOURCES: dict[str, Json] = TEMPLATE["Resources"]


def allowed(template: Json) -> Iterator[tuple[str, Json]]:
    """Every statement that gives somebody something, with the resource that it stands in."""
    for name, resource in template["Resources"].items():
        waiting: list[Any] = [resource["Properties"]]
        while waiting:
            it = waiting.pop()
            if isinstance(it, dict):
                if it.get("Effect") == "Allow":
                    yield name, it
                waiting += it.values()
            elif isinstance(it, list):
                waiting += it


def text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_no_action_is_a_wildcard() -> None:
    actions = [action for _, statement in allowed(TEMPLATE) for action in as_list(statement["Action"])]
    assert len(actions) > 50
    assert [action for action in actions if "*" in action] == []


def test_a_resource_is_a_wildcard_only_where_aws_has_none() -> None:
    wide = [it for _, it in allowed(TEMPLATE) if "*" in as_list(it.get("Resource", []))]
    assert wide
    assert {action for it in wide for action in it["Action"]} == set(WITHOUT_RESOURCE)


def test_a_resource_ends_in_a_wildcard_only_inside_something_that_is_named() -> None:
    known = resources(plan_of(app))
    reasons = {text(place) for key in WITHIN for place in known[key] if "*" in text(place)}
    found = {
        text(place)
        for _, it in allowed(TEMPLATE)
        for place in as_list(it.get("Resource", []))
        if "*" in text(place) and place != "*"
    }
    # Those of machines that only a parameter names, under the same reason as the others.
    _, ask = RESOURCES["ExtraStateMachineArnsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert found == {*reasons, text(ask["Resource"])}


def test_nobody_is_let_in_but_services() -> None:
    principals = [it["Principal"] for _, it in allowed(TEMPLATE) if "Principal" in it]
    assert {text(it) for it in principals} == {
        text({"Service": "lambda.amazonaws.com"}),
        text({"Service": "events.amazonaws.com"}),
        text({"Service": "states.amazonaws.com"}),
    }


@pytest.mark.parametrize("function", functions_of(plan_of(app)), ids=lambda it: it.role)
def test_each_function_has_a_role_of_its_own_with_its_rows(function: Any) -> None:
    assert RESOURCES[function.role]["Properties"]["Role"] == {"Fn::GetAtt": [f"{function.role}Role", "Arn"]}
    (policy,) = RESOURCES[f"{function.role}Role"]["Properties"]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    assert [it["Action"] for it in statements] == [
        actions_of(row) for row in PERMISSIONS[function.role] if row.on != APART
    ]
    assert len({it["Sid"] for it in statements}) == len(statements)
    assert all(it["Sid"].isalnum() for it in statements)


def test_every_row_of_the_table_is_used_and_has_a_reason() -> None:
    used = {f"{row.service}:{call}" for rows in PERMISSIONS.values() for row in rows for call in row.calls}
    assert set(ACTIONS) - used == set(), "named in ACTIONS, but called by nobody"
    assert all(row.why for rows in PERMISSIONS.values() for row in rows)
    assert {row.on for rows in PERMISSIONS.values() for row in rows} == {*resources(plan_of(app), "Logs")}


def test_what_a_function_writes_to_on_failure_it_may_write_to() -> None:
    for function in functions_of(plan_of(app)):
        kept = RESOURCES[function.role]["Properties"].get("EventInvokeConfig")
        rows = [row for row in PERMISSIONS[function.role] if row.on == "failures"]
        assert bool(kept) == bool(rows), function.role


def test_a_function_that_reads_a_queue_may_read_it() -> None:
    for function in functions_of(plan_of(app)):
        events = RESOURCES[function.role]["Properties"].get("Events", {}).values()
        queues = [it["Properties"]["Queue"] for it in events if it["Type"] == "SQS"]
        statements = RESOURCES[f"{function.role}Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        readable = [place for it in statements if "sqs:ReceiveMessage" in it["Action"] for place in it["Resource"]]
        assert readable == queues


def test_the_feeder_may_invoke_itself_and_nothing_else() -> None:
    policy = RESOURCES["FeederAgainPolicy"]["Properties"]
    assert policy["Roles"] == [{"Ref": "FeederRole"}]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["lambda:InvokeFunction"]
    assert statement["Resource"] == [{"Fn::GetAtt": ["Feeder", "Arn"]}]


def test_targets_are_allowed_one_by_one() -> None:
    (policy,) = RESOURCES["DispatcherRole"]["Properties"]["Policies"]
    by_sid = {it["Sid"]: it["Resource"] for it in policy["PolicyDocument"]["Statement"]}
    here = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:"
    assert by_sid["InvokeTargetsFunctions"] == [{"Fn::Sub": f"{here}charge:live"}]
    assert by_sid["SendMessageTargetsSqs"] == [
        {"Fn::Sub": "arn:${AWS::Partition}:sqs:eu-central-1:123456789012:orders.fifo"}
    ]
    assert by_sid["StartExecutionTargetsMachines"] == [MACHINE]
    assert by_sid["PutEventsTargetsBuses"] == [
        {"Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"},
        BUS,
    ]
    assert by_sid["DescribeExecutionExecutions"] == [MACHINE.replace(":stateMachine:", ":execution:") + ":*"]


def test_an_app_without_targets_of_aws_gets_no_permission_for_any() -> None:
    plain = rota.App("plain")
    resource = template_of(plain)["Resources"]["DispatcherRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    assert not any("states:DescribeExecution" in it["Action"] for it in resource["Statement"])
    assert not any(it["Sid"].startswith("PutEvents") for it in resource["Statement"])
    assert not any("lambda:InvokeFunction" in it["Action"] for it in resource["Statement"])


@pytest.mark.parametrize(
    "parameter", ["ExtraFunctionArns", "ExtraQueueArns", "ExtraStateMachineArns", "ExtraEventBusArns"]
)
def test_extra_targets_are_a_policy_that_is_there_only_if_asked_for(parameter: str) -> None:
    policy = RESOURCES[f"{parameter}Policy"]
    assert policy["Condition"] == f"Has{parameter}"
    statement, *more = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Resource"] == {"Ref": parameter}
    assert bool(more) == (parameter == "ExtraStateMachineArns")


@pytest.mark.parametrize(("target", "room"), [("lambda:function-number-{}", 60), ("queue:queue-number-{}", 20)])
def test_more_targets_than_a_policy_can_name_are_refused(target: str, room: int) -> None:
    many = rota.App("many")
    for number in range(room):
        many.schedule(f"s{number}", rota.Every("5m"), target.format(number))
    template_of(many)
    for number in range(room, 3 * room):
        many.schedule(f"s{number}", rota.Every("5m"), target.format(number))
    with pytest.raises(InvalidError, match="fewer queues and targets"):
        template_of(many)
