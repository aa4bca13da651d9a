"""Alarms: each says one thing that somebody has to do something about, which docs/how-to/operate-on-aws.md explains.

They exist without a topic too, to be seen in the console; the parameter AlarmTopicArn has them told to somebody.
"""

from __future__ import annotations

from typing import Any

from rota.aws.stack.batches import QUEUES
from rota.aws.stack.functions import METRICS, functions_of
from rota.aws.stack.parameters import looked_up, only_if
from rota.aws.stack.plan import StackPlan

Json = dict[str, Any]
LAG = "FeederLag"
"""Metric of the feeder's: seconds from what it should have handed over to what it has, by stack."""


def alarms(plan: StackPlan) -> Json:
    """Every alarm of the stack."""
    found: Json = {
        "FeederSilentAlarm": _alarm(
            "The feeder has not run for three periods: nothing new fires",
            _of_function("Feeder", "Invocations"),
            "LessThanThreshold",
            1,
            period=looked_up("Period", "FeederPeriod", "Silence"),
            missing="breaching",
        ),
        "FeederLateAlarm": _alarm(
            "The feeder has not handed over what is already due: firings are late",
            {"Namespace": METRICS, "MetricName": LAG, "Dimensions": [_dimension("stack", {"Ref": "AWS::StackName"})]},
            "GreaterThanThreshold",
            60,
            statistic="Maximum",
            periods=3,
        ),
        "DeadLettersAlarm": _alarm(
            "Runs have used up their attempts: see `rota dead list`",
            _of_queue("DeadQueue", "NumberOfMessagesSent"),
            "GreaterThanThreshold",
            0,
        ),
        "FailuresAlarm": _alarm(
            "The feeder or an asynchronous ad-hoc call failed for good: see FailureQueue",
            _of_queue("FailureQueue", "ApproximateNumberOfMessagesVisible"),
            "GreaterThanThreshold",
            0,
            statistic="Maximum",
        ),
        "UnreadAlarm": _alarm(
            "Consumers of the app's queues have left messages unread ten times: see UnreadQueue",
            _of_queue("UnreadQueue", "ApproximateNumberOfMessagesVisible"),
            "GreaterThanThreshold",
            0,
            statistic="Maximum",
        ),
    }
    for queue in ("DispatchQueue", "WorkerQueue"):
        found[f"{queue}AgeAlarm"] = _alarm(
            f"Messages wait in {queue} for longer than the horizon: firings are late",
            _of_queue(queue, "ApproximateAgeOfOldestMessage"),
            "GreaterThanThreshold",
            looked_up("Period", "FeederPeriod", "OldestMessage"),
            statistic="Maximum",
            periods=3,
        )
    dead = ["DispatchDeadQueue", "WorkerDeadQueue"]
    if plan.batches:
        dead += [queue for _, queue, _, _ in QUEUES]
    if plan.pipelines:
        dead += ["PipelineDeadQueue"]
    for queue in dead:
        found[f"{queue}Alarm"] = _alarm(
            f"Messages lie in {queue}, and no function records them as dead letters",
            _of_queue(queue, "ApproximateAgeOfOldestMessage"),
            "GreaterThanThreshold",
            600,
            statistic="Maximum",
            periods=3,
        )
    for function in functions_of(plan):
        name = function.role
        found[f"{name}ErrorsAlarm"] = _alarm(
            f"{name} failed in 3 of 5 minutes", _of_function(name, "Errors"), "GreaterThanThreshold", 0, periods=5, of=3
        )
        found[f"{name}ThrottlesAlarm"] = _alarm(
            f"{name} had no concurrency left in 3 of 5 minutes",
            _of_function(name, "Throttles"),
            "GreaterThanThreshold",
            0,
            periods=5,
            of=3,
        )
    for way in ("Read", "Write"):
        metric = {
            "Namespace": "AWS/DynamoDB",
            "MetricName": f"{way}ThrottleEvents",
            "Dimensions": [_dimension("TableName", {"Ref": "Table"})],
        }
        about = f"The table refused {way.lower()}s in 3 of 5 minutes: raise Shards, or see its limits"
        found[f"Table{way}ThrottlesAlarm"] = _alarm(about, metric, "GreaterThanThreshold", 0, periods=5, of=3)
    return found


def _alarm(
    about: str,
    metric: Json,
    comparison: str,
    threshold: object,
    *,
    statistic: str = "Sum",
    period: object = 60,
    periods: int = 1,
    of: int | None = None,
    missing: str = "notBreaching",
) -> Json:
    told = only_if("HasAlarmTopicArn", [{"Ref": "AlarmTopicArn"}])
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": about,
            **metric,
            "Statistic": statistic,
            "Period": period,
            "EvaluationPeriods": periods,
            "DatapointsToAlarm": of or periods,
            "ComparisonOperator": comparison,
            "Threshold": threshold,
            "TreatMissingData": missing,
            "AlarmActions": told,
            "OKActions": told,
        },
    }


def _of_function(name: str, metric: str) -> Json:
    return {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": [_dimension("FunctionName", {"Ref": name})]}


def _of_queue(queue: str, metric: str) -> Json:
    name = {"Fn::GetAtt": [queue, "QueueName"]}
    return {"Namespace": "AWS/SQS", "MetricName": metric, "Dimensions": [_dimension("QueueName", name)]}


def _dimension(name: str, value: Json) -> Json:
    return {"Name": name, "Value": value}
