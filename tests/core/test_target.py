"""Targets as values and as texts."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.core.aws_names import region_of
from rota.core.errors import InvalidError
from rota.core.target import (
    AnyTarget,
    EventTarget,
    HttpTarget,
    LambdaTarget,
    QueueTarget,
    SqsTarget,
    StepFunctionsTarget,
    TaskTarget,
    parse_target,
)

ACCOUNT = "123456789012"
FUNCTION = f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:report"
QUEUE = f"https://sqs.eu-central-1.amazonaws.com/{ACCOUNT}/orders"
BUS = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/orders"
MACHINE = f"arn:aws:states:us-gov-west-1:{ACCOUNT}:stateMachine:Refund"

name = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
functions = st.builds(
    LambdaTarget,
    name | name.map(lambda it: f"{it}:prod") | st.sampled_from((FUNCTION, f"{FUNCTION}:$LATEST")),
    st.booleans(),
)
queues = st.builds(
    SqsTarget,
    name.map(lambda it: QUEUE.replace("orders", it))
    | st.sampled_from((f"{QUEUE}.fifo", f"arn:aws-cn:sqs:cn-north-1:{ACCOUNT}:q")),
    st.none() | st.from_regex(r"[!-~]{1,128}", fullmatch=True),
)
machines = st.builds(StepFunctionsTarget, st.sampled_from((MACHINE, f"{MACHINE}:3", f"{MACHINE}:prod")), st.booleans())

line = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), min_size=1, max_size=128)
events = st.builds(
    EventTarget,
    st.from_regex(r"[A-Za-z0-9._-]{1,256}", fullmatch=True) | st.just(BUS),
    line.filter(lambda it: not it.startswith("aws.")),
    line,
)


@given(functions | queues | machines | events)
def test_the_text_of_a_target_makes_it_again(target: AnyTarget) -> None:
    assert parse_target(str(target)) == target
    assert msgspec.json.decode(msgspec.json.encode(target), type=AnyTarget) == target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("task:a", TaskTarget("a")),
        ("queue:a", QueueTarget("a")),
        ("https://example.com/", HttpTarget("https://example.com/")),
        ("lambda:report", LambdaTarget("report")),
        ("lambda:report:prod", LambdaTarget("report:prod")),
        (FUNCTION, LambdaTarget(FUNCTION)),
        (f"{FUNCTION}?asynchronous", LambdaTarget(FUNCTION, asynchronous=True)),
        (f"sqs:{QUEUE}", SqsTarget(QUEUE)),
        (f"sqs:{QUEUE}.fifo?group=a?b=c", SqsTarget(f"{QUEUE}.fifo", "a?b=c")),
        (f"arn:aws:sqs:us-east-1:{ACCOUNT}:orders", SqsTarget(f"arn:aws:sqs:us-east-1:{ACCOUNT}:orders")),
        ("sqs:http://127.0.0.1:4700/000000000000/orders", SqsTarget("http://127.0.0.1:4700/000000000000/orders")),
        (MACHINE, StepFunctionsTarget(MACHINE)),
        (f"stepfunctions:{MACHINE}?synchronous", StepFunctionsTarget(MACHINE, synchronous=True)),
        ("events:default", EventTarget("default", "rota", "rota run")),
        (BUS, EventTarget(BUS)),
        (f"{BUS}?source=shop", EventTarget(BUS, "shop")),
        ("events:a?detail_type=50%25 off? yes%26no=1&source=a.b", EventTarget("a", "a.b", "50% off? yes&no=1")),
    ],
)
def test_texts_for_targets(text: str, target: AnyTarget) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "target"),
        ("lambda:", "target"),
        ("nothing:a", "target"),
        ("arn:aws:s3:::bucket", "target"),
        ("arn:", "target"),
        ("lambda:a b", "target.function"),
        ("lambda:" + "a" * 65, "target.function"),
        ("lambda:a:b:c", "target.function"),
        ("lambda:a?async", "target.function"),
        ("lambda:a?", "target.function"),
        (f"lambda:{MACHINE}", "target.function"),
        ("arn:aws:lambda:us-east-1:12:function:a", "target.function"),
        ("sqs:orders", "target.queue"),
        (f"sqs:https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/a.b", "target.queue"),
        (f"sqs:https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{'a' * 81}", "target.queue"),
        (f"sqs:https://me:secret@example.com/{ACCOUNT}/a", "target.queue"),
        (f"sqs:{QUEUE}#part", "target.queue"),
        (f"sqs:{QUEUE}\n", "target.queue"),
        (f"sqs:{QUEUE}?delay=3", "target.queue"),
        (f"sqs:{QUEUE}?group=", "target.group"),
        (f"sqs:{QUEUE}?group=a b", "target.group"),
        ("stepfunctions:Refund", "target.machine"),
        (f"{MACHINE}:a:b", "target.machine"),
        (f"{MACHINE}?sync", "target.machine"),
        (MACHINE.replace("stateMachine", "execution"), "target.machine"),
        ("events:", "target"),
        ("events:a b", "target.bus"),
        ("events:aws.partner/a/b", "target.bus"),
        ("events:" + "a" * 257, "target.bus"),
        (BUS.replace("event-bus", "rule"), "target.bus"),
        ("events:a?", "target.bus"),
        ("events:a?type=b", "target.bus"),
        ("events:a?source", "target.bus"),
        ("events:a?source=b&source=c", "target.bus"),
        ("events:a?source=", "target.source"),
        ("events:a?source=aws.ec2", "target.source"),
        ("events:a?source=" + "a" * 257, "target.source"),
        ("events:a?detail_type=", "target.detail_type"),
        ("events:a?detail_type=a\nb", "target.detail_type"),
        ("events:a?detail_type=" + "a" * 129, "target.detail_type"),
    ],
)
def test_what_names_nothing_is_refused(text: str, field: str) -> None:
    with pytest.raises(InvalidError) as refused:
        parse_target(text)
    assert refused.value.field == field
    assert refused.value.allowed


@pytest.mark.parametrize(
    ("name", "region"),
    [
        (FUNCTION, "eu-central-1"),
        (MACHINE, "us-gov-west-1"),
        (QUEUE, "eu-central-1"),
        (BUS, "us-east-1"),
        ("default", None),
        (f"https://vpce-1a.sqs.us-east-1.vpce.amazonaws.com/{ACCOUNT}/a", "us-east-1"),
        (f"https://sqs-fips.us-east-1.amazonaws.com/{ACCOUNT}/a", "us-east-1"),
        (f"https://us-west-2.queue.amazonaws.com/{ACCOUNT}/a", "us-west-2"),
        ("http://127.0.0.1:4700/000000000000/a", None),
        ("report", None),
    ],
)
def test_the_region_that_a_name_tells(name: str, region: str | None) -> None:
    assert region_of(name) == region
