"""What every stack must have: encryption, TLS, retention, redrive, alarms, and numbers that fit each other."""

from __future__ import annotations

from typing import Any

import pytest
from tests.aws.deploy.named_targets import app
from tests.aws.deploy.planning import plan_of, template_of

import rota
from rota.app import App
from rota.aws.batch.messages import EndedMessage, decode_batch_message
from rota.aws.dynamo.schema import TABLE
from rota.aws.settings import StackSettings
from rota.aws.stack.functions import functions_of
from rota.aws.stack.parameters import PARAMETERS, TIMEOUTS, check_parameters
from rota.aws.stack.template import build_template, encode_template
from rota.core.errors import InvalidError

Json = dict[str, Any]
TEMPLATE = template_of(app)
RESOURCES: dict[str, Json] = TEMPLATE["Resources"]


def of_type(kind: str) -> dict[str, Json]:
    return {name: it["Properties"] for name, it in RESOURCES.items() if it["Type"] == kind}


QUEUES = of_type("AWS::SQS::Queue")
LAMBDAS = of_type("AWS::Serverless::Function")


NUMBERS = {"Horizon": "150", "FeederPeriod": "60", "RetentionDays": "30", "LargePayloads": "0"}


def denies_all_but_tls(policy: Json) -> bool:
    return any(
        it["Effect"] == "Deny"
        and it["Principal"] == "*"
        and it["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for it in policy["PolicyDocument"]["Statement"]
    )


@pytest.mark.parametrize("name", QUEUES)
def test_queues_are_encrypted_and_reached_by_tls_alone(name: str) -> None:
    assert QUEUES[name]["SqsManagedSseEnabled"] is True
    policy = RESOURCES[f"{name}Policy"]["Properties"]
    assert policy["Queues"] == [{"Ref": name}]
    assert denies_all_but_tls(policy)


def test_what_a_queue_cannot_deliver_goes_to_a_dead_letter_queue() -> None:
    dead = {"DispatchDeadQueue", "WorkerDeadQueue", "DeadQueue", "FailureQueue", "UnreadQueue"}
    dead |= {"BatchDeadQueue", "PlanDeadQueue", "FinalizeDeadQueue", "PipelineDeadQueue"}
    for name, queue in QUEUES.items():
        if name in dead:
            assert queue["MessageRetentionPeriod"] == 14 * 86_400
        else:
            (target, _) = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"]
            assert target in dead
            assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5
            assert queue["MessageRetentionPeriod"] <= QUEUES[target]["MessageRetentionPeriod"]


def test_the_app_has_a_queue_for_each_that_it_names() -> None:
    names = {queue["QueueName"]["Fn::Sub"] for queue in QUEUES.values() if "QueueName" in queue}
    assert names == {f"${{AWS::StackName}}-{name}" for name in ("data", "orders", "batch-events", "map-failures")}


def test_visibility_is_six_function_timeouts_or_more_than_one_where_nothing_throttles() -> None:
    table = TEMPLATE["Mappings"]["Visibility"]
    assert table == {str(it): {"Seconds": str(6 * it)} for it in TIMEOUTS}
    for function in LAMBDAS.values():
        for event in function.get("Events", {}).values():
            if event["Type"] == "SQS":
                queue = QUEUES[event["Properties"]["Queue"]["Fn::GetAtt"][0]]
                if isinstance(queue["VisibilityTimeout"], int):
                    assert event["Properties"]["BatchSize"] == 1
                    assert queue["VisibilityTimeout"] > function["Timeout"]
                else:
                    looked_up = {"Fn::FindInMap": ["Visibility", function["Timeout"], "Seconds"]}
                    assert queue["VisibilityTimeout"] == looked_up


def test_queues_feed_functions_that_report_each_message() -> None:
    events = [event for it in LAMBDAS.values() for event in it.get("Events", {}).values() if event["Type"] == "SQS"]
    assert len(events) == 12
    for event in events:
        assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert "MaximumConcurrency" in event["Properties"]["ScalingConfig"]
        assert event["Properties"]["BatchSize"] <= 10


def test_a_queue_never_gives_more_than_the_function_has_reserved() -> None:
    for function in LAMBDAS.values():
        reserved = function["ReservedConcurrentExecutions"]["Fn::If"]
        assert reserved[0] == "ReserveConcurrency"
        most = [
            it["Properties"]["ScalingConfig"]["MaximumConcurrency"]
            for it in function.get("Events", {}).values()
            if it["Type"] == "SQS"
        ]
        assert most in ([], [reserved[1]]) or sum(most) <= reserved[1]


def test_the_planner_is_told_of_maps_that_ended_and_did_not_succeed() -> None:
    rule = RESOURCES["MapEndedRule"]["Properties"]
    assert rule["EventPattern"]["detail"] == {
        "status": ["FAILED", "TIMED_OUT", "ABORTED"],
        "stateMachineArn": [{"Ref": "MapMachine"}],
    }
    [target] = rule["Targets"]
    arn = "arn:aws:states:eu-central-1:123456789012:execution:shop-map:orders-1"
    assert target["Arn"] == {"Fn::GetAtt": ["PlanQueue", "Arn"]}
    given = target["InputTransformer"]
    assert given["InputPathsMap"] == {"execution": "$.detail.executionArn"}
    assert decode_batch_message(given["InputTemplate"].replace("<execution>", arn)) == EndedMessage(arn)
    for queue in ("PlanQueue", "FailureQueue"):
        statements = RESOURCES[f"{queue}Policy"]["Properties"]["PolicyDocument"]["Statement"]
        [may] = [it for it in statements if it["Sid"] == "EventBridge"]
        assert {"Fn::GetAtt": ["MapEndedRule", "Arn"]} in may["Condition"]["ArnEquals"]["aws:SourceArn"]


def test_the_table_is_the_stores() -> None:
    (table,) = of_type("AWS::DynamoDB::Table").values()
    for name, value in TABLE.items():
        assert table[name] == value
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}


def test_the_bucket_is_private_encrypted_and_reached_by_tls_alone() -> None:
    (bucket,) = of_type("AWS::S3::Bucket").values()
    assert bucket["BucketEncryption"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert denies_all_but_tls(RESOURCES["BucketPolicy"]["Properties"])


@pytest.mark.parametrize("function", functions_of(plan_of(app)), ids=lambda it: it.role)
def test_every_function_is_traced_and_logs_for_a_while(function: Any) -> None:
    it = LAMBDAS[function.role]
    assert it["Tracing"] == "Active"
    assert it["Architectures"] == ["arm64"]
    assert RESOURCES[f"{function.role}Logs"]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert it["LoggingConfig"] == {"LogGroup": {"Ref": f"{function.role}Logs"}}


def test_asynchronous_calls_that_fail_are_kept() -> None:
    by_event = [
        name for name, it in LAMBDAS.items() if not any(e["Type"] == "SQS" for e in it.get("Events", {}).values())
    ]
    assert sorted(by_event) == [
        "AdHoc",
        "Feeder",
        "MapWorker",
        "Mapper",
        "PipeProcess",
        "PipeReader",
        "PipeWrite",
        "Sweeper",
    ]
    for name in by_event:
        kept = LAMBDAS[name]["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]
        assert kept == {"Type": "SQS", "Destination": {"Fn::GetAtt": ["FailureQueue", "Arn"]}}


def test_the_url_asks_for_iam() -> None:
    urls = {name: it["FunctionUrlConfig"]["AuthType"] for name, it in LAMBDAS.items() if "FunctionUrlConfig" in it}
    assert urls == {"AdHoc": "AWS_IAM", "PipeReader": "AWS_IAM"}


def test_alarms_watch_what_can_go_wrong_and_tell_a_topic_if_there_is_one() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm")
    assert {"FeederSilentAlarm", "FeederLateAlarm", "DeadLettersAlarm", "DispatchQueueAgeAlarm"} <= alarms.keys()
    for function in functions_of(plan_of(app)):
        assert {f"{function.role}ErrorsAlarm", f"{function.role}ThrottlesAlarm"} <= alarms.keys()
    told = {"Fn::If": ["HasAlarmTopicArn", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    assert all(it["AlarmActions"] == told and it["AlarmDescription"] for it in alarms.values())


def test_functions_are_told_what_they_read() -> None:
    for function in functions_of(plan_of(app)):
        said = LAMBDAS[function.role]["Environment"]["Variables"]
        numbers = {name: "150" if "HORIZON" in name else "60" for name in said}
        found = StackSettings.from_env(
            numbers | {name: said[name] for name in ("ROTA_TASKS", "ROTA_BATCHES") if name in said}
        )
        assert found.app == ("60" if function.user_code else "")


def test_clients_are_told_what_they_read() -> None:
    names = {name: it["Value"] for name, it in TEMPLATE["Outputs"].items() if name.endswith("Names")}
    found = StackSettings.from_outputs("shop", dict.fromkeys(TEMPLATE["Outputs"], "x") | NUMBERS | names)
    assert (found.queue_prefix, found.horizon, found.retention_days) == ("x", 150, 30)
    assert (found.queues, found.tasks) == (("batch-events", "data", "map-failures", "orders"), ("tidy",))
    assert found.batches == ("all", "mapped", "more", "piped", "rows")


def test_very_many_names_are_not_told() -> None:
    many = App("many")
    for number in range(200):
        many.task(name=f"task-{number}")(lambda: None)
    template = template_of(many)
    assert "TaskNames" not in template["Outputs"]
    assert template["Outputs"]["BatchNames"]["Value"] == "[]"
    told = template["Resources"]["AdHoc"]["Properties"]["Environment"]["Variables"]
    assert "ROTA_TASKS" not in told


@pytest.mark.parametrize("minutes", TEMPLATE["Mappings"]["Period"])
def test_every_period_suits_the_functions(minutes: str) -> None:
    period = TEMPLATE["Mappings"]["Period"][minutes]
    required = {"ROTA_STACK": "s", "ROTA_TABLE": "t", "ROTA_DISPATCH_QUEUE_URL": "u", "ROTA_WORKER_QUEUE_URL": "u"}
    found = StackSettings.from_env(
        {
            **required,
            "ROTA_QUEUE_PREFIX": "p",
            "ROTA_HORIZON": period["Horizon"],
            "ROTA_FEEDER_PERIOD": period["Seconds"],
        }
    )
    assert found.horizon >= 2 * found.feeder_period, "one pass may be missed"
    assert int(period["OldestMessage"]) > found.horizon
    assert period["Rate"] == ("rate(1 minute)" if minutes == "1" else f"rate({minutes} minutes)")


def test_the_same_app_makes_the_same_template() -> None:
    assert encode_template(build_template(plan_of(app))) == encode_template(build_template(plan_of(app)))


def test_every_suppression_has_its_reason() -> None:
    skips = [skip for it in RESOURCES.values() for skip in it.get("Metadata", {}).get("checkov", {}).get("skip", [])]
    assert skips
    assert [skip for skip in skips if len(skip["comment"]) < 20] == []


@pytest.mark.parametrize("name", ["a.b", "a/b", "x" * 61])
def test_a_queue_that_sqs_would_refuse_is_refused(name: str) -> None:
    plain = rota.App("plain")
    plain.schedule("a", rota.Every("5m"), f"queue:{name}")
    with pytest.raises(InvalidError, match="letters, digits"):
        plan_of(plain)


def test_queues_whose_names_are_alike_stay_apart() -> None:
    plain = rota.App("plain")
    names = ["a-b", "a_b", "aB", "ab", "AB", "Ab", "x2D", "a-x2D"]
    for name in names:
        plain.schedule(name, rota.Every("5m"), f"queue:{name}")
    queues = [it for it in template_of(plain)["Resources"].values() if it["Type"] == "AWS::SQS::Queue"]
    assert len([it for it in queues if "QueueName" in it["Properties"]]) == len(names) + 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("Memories", "512", "DispatcherTimeout"),
        ("Memory", "64", "from 128 to 10240"),
        ("Memory", "much", "from 128 to 10240"),
        ("FeederPeriod", "4", "one of 1, 2, 3, 5"),
        ("AlarmTopicArn", "foo", "ARN of an SNS topic"),
        ("PipelineSchedule", "hourly", "rate"),
        ("ExtraQueueArns", "arn:aws:sqs:us-east-1:1:a,foo", "ARNs and commas"),
        ("ExtraFunctionArns", "arn:aws:sqs:us-east-1:1:a", "ARNs and commas"),
        ("WorkerPolicyArns", "ReadOnlyAccess", "ARNs and commas"),
    ],
)
def test_a_parameter_that_there_is_not_is_refused_with_those_that_there_are(name: str, value: str, said: str) -> None:
    with pytest.raises(InvalidError, match=said):
        check_parameters({name: value})


def test_arns_are_allowed() -> None:
    check_parameters(
        {
            "AlarmTopicArn": "arn:aws-cn:sns:cn-north-1:123456789012:ops",
            "ExtraFunctionArns": "arn:aws:lambda:us-east-1:1:function:a:live, arn:aws:lambda:us-east-1:1:function:b-*",
            "WorkerPolicyArns": "arn:aws:iam::aws:policy/ReadOnlyAccess",
        }
    )


def test_defaults_are_allowed() -> None:
    check_parameters({name: it.default for name, it in PARAMETERS.items()})
