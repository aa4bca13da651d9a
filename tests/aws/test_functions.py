"""Functions on the fly, on the emulator, where they really run."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rota.aws.function import CONTENT, OWNED, Options
from rota.aws.functions import Functions
from rota.aws.sessions import client
from rota.aws.source import read_directory, read_module, read_text
from rota.core.errors import ConflictError, ExistsError, InvalidError, NotFoundError
from rota.testing.emulator import Emulator

GREET = """
import os

def handler(event, context):
    print("greeting", event["name"])
    return {"said": os.environ.get("GREETING", "Hello") + ", " + event["name"]}
"""
FAIL = "def handler(event, context):\n    raise LookupError('no such order')\n"


@pytest.fixture
def functions(aws: Emulator) -> Functions:
    return Functions(partial(client, endpoint_url=aws.url))


@pytest.fixture
def aws_lambda(aws: Emulator) -> Any:
    return client("lambda", endpoint_url=aws.url)


@pytest.fixture
def iam(aws: Emulator) -> Any:
    return client("iam", endpoint_url=aws.url)


def test_made_from_text_and_invoked(functions: Functions) -> None:
    made = functions.create("greet", read_text(GREET), Options(environment={"GREETING": "Good day"}))
    assert (made.change, made.function.version, made.function.target) == ("created", "1", "lambda:greet")
    answer = functions.invoke("greet", b'{"name": "Ada"}')
    assert answer.error is None
    assert json.loads(answer.value) == {"said": "Good day, Ada"}
    assert "greeting Ada" in answer.log


def test_an_unchanged_bundle_makes_no_new_version(functions: Functions) -> None:
    first = functions.create("greet", read_text(GREET))
    again = functions.create("greet", read_text(GREET))
    assert (again.change, again.function) == ("unchanged", first.function)
    assert [it.version for it in functions.versions("greet")] == ["1"]


def test_a_changed_bundle_is_a_new_version_and_the_old_one_stays(functions: Functions) -> None:
    functions.create("greet", read_text(GREET))
    changed = functions.create("greet", read_text(GREET.replace("Hello", "Hi")))
    assert (changed.change, changed.function.version) == ("updated", "2")
    assert [it.version for it in functions.versions("greet")] == ["2", "1"]
    said = [json.loads(functions.invoke("greet", b'{"name": "Bo"}', it).value)["said"] for it in ("1", "2")]
    assert said == ["Hello, Bo", "Hi, Bo"]


def test_update_changes_what_is_given_and_keeps_the_rest(functions: Functions) -> None:
    functions.create("greet", read_text(GREET), Options(memory=512, timeout=20, description="says hello"))
    made = functions.update("greet", options=Options(memory=1024))
    assert (made.change, made.bundle, made.function.version) == ("updated", None, "2")
    assert (made.function.memory, made.function.timeout, made.function.description) == (1024, 20, "says hello")
    assert functions.update("greet", options=Options(memory=1024)).change == "unchanged"
    assert functions.update("greet", read_text(FAIL)).change == "updated"
    assert functions.get("greet").memory == 1024


def test_only_what_rota_made_is_listed_changed_and_deleted(functions: Functions, aws_lambda: Any, iam: Any) -> None:
    functions.create("mine", read_text(GREET))
    role = functions.get("mine").role
    code = {"ZipFile": b"PK\x05\x06" + b"\0" * 18}
    aws_lambda.create_function(FunctionName="theirs", Runtime="python3.12", Handler="a.b", Role=role, Code=code)
    assert [it.name for it in functions.list()] == ["mine"]
    with pytest.raises(ExistsError, match="rota did not make it"):
        functions.create("theirs", read_text(GREET))
    with pytest.raises(ConflictError, match="was not made by rota"):
        functions.delete("theirs")
    assert aws_lambda.get_function(FunctionName="theirs")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_role(RoleName="rota-fn-theirs")


def test_the_role_may_write_the_functions_log_and_nothing_else(functions: Functions, iam: Any, aws: Emulator) -> None:
    functions.create("greet", read_text(GREET))
    [name] = iam.list_role_policies(RoleName="rota-fn-greet")["PolicyNames"]
    [statement] = iam.get_role_policy(RoleName="rota-fn-greet", PolicyName=name)["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"] == "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/greet:log-stream:*"
    assert iam.list_attached_role_policies(RoleName="rota-fn-greet")["AttachedPolicies"] == []
    groups = client("logs", endpoint_url=aws.url).describe_log_groups(logGroupNamePrefix="/aws/lambda/greet")
    assert [group["retentionInDays"] for group in groups["logGroups"]] == [30]


def test_a_role_that_is_given_is_used_and_left_alone(functions: Functions, iam: Any) -> None:
    role = iam.create_role(RoleName="orders", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    assert functions.create("greet", read_text(GREET), Options(role=role)).function.role == role
    assert functions.delete("greet") == ["function greet"]
    assert iam.get_role(RoleName="orders")


def test_delete_leaves_nothing_behind(functions: Functions, iam: Any) -> None:
    functions.create("greet", read_text(GREET))
    iam.attach_role_policy(RoleName="rota-fn-greet", PolicyArn="arn:aws:iam::aws:policy/AmazonSQSFullAccess")
    assert functions.delete("greet") == ["function greet", "role rota-fn-greet", "log group /aws/lambda/greet"]
    assert functions.list() == []
    for call in (functions.get, functions.versions, functions.invoke, functions.delete):
        with pytest.raises(NotFoundError, match="no function 'greet'"):
            call("greet")
    assert functions.create("greet", read_text(GREET)).change == "created"


def test_the_functions_own_error_is_told_apart(functions: Functions) -> None:
    functions.create("fail", read_text(FAIL))
    answer = functions.invoke("fail")
    assert answer.error == "LookupError: no such order"
    with pytest.raises(NotFoundError, match="no function 'fail:7'"):
        functions.invoke("fail", version="7")


def test_a_directory_with_requirements_and_a_module_that_uses_rota(functions: Functions, tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text(
        "import msgspec, rota\nfrom parts.sums import add\n\n"
        "def work(event, context):\n    return [add(*event), msgspec.__version__, rota.Every('15m').explain()]\n"
    )
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/sums.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "requirements.txt").write_text("msgspec\n")
    functions.create("sums", read_directory(tmp_path), Options(handler="work"))
    answer = functions.invoke("sums", b"[2, 3]")
    assert answer.error is None, answer
    assert json.loads(answer.value)[0] == 5


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a b", {}, "name: 'a b' .* 1 to 56 letters"),
        ("n" * 57, {}, "name: "),
        ("greet", {"memory": 64}, "memory: 64 .* from 128 to 10240"),
        ("greet", {"timeout": 901}, "timeout: 901 .* from 1 to 900"),
        ("greet", {"runtime": "python3.9"}, r"runtime: 'python3\.9' .* one of python3\.11"),
        ("greet", {"architecture": "riscv"}, "architecture: 'riscv' .* one of arm64, x86_64"),
        ("greet", {"role": "admin"}, "role: 'admin' .* the ARN of an IAM role"),
        ("greet", {"environment": {"AWS_REGION": "x"}}, "env: 'AWS_REGION' .* Lambda's own"),
        ("greet", {"environment": {"BIG": "x" * 5000}}, "env: .* at most 4,096 bytes"),
        ("greet", {"handler": "absent"}, r"handler: 'handler\.absent'"),
    ],
)
def test_bad_input_makes_nothing(functions: Functions, aws: Emulator, name: str, options: Any, said: str) -> None:
    with pytest.raises(InvalidError, match=said):
        functions.create(name, read_text(GREET), Options(**options))
    assert functions.list() == []


def test_update_of_a_function_that_is_not_there(functions: Functions) -> None:
    with pytest.raises(NotFoundError, match="no function 'greet'; rota function create makes it"):
        functions.update("greet", read_text(GREET))


def test_a_payload_over_the_limit_is_not_sent(functions: Functions) -> None:
    with pytest.raises(InvalidError, match=r"payload: .* at most 6,291,456 bytes"):
        functions.invoke("greet", b'"' + b"x" * 6 * 1024 * 1024 + b'"')


def test_a_role_of_that_name_that_rota_did_not_make(functions: Functions, iam: Any) -> None:
    iam.create_role(RoleName="rota-fn-greet", AssumeRolePolicyDocument="{}")
    with pytest.raises(ExistsError, match="role 'rota-fn-greet' exists already; rota did not make it"):
        functions.create("greet", read_text(GREET))
    assert iam.get_role(RoleName="rota-fn-greet")


def test_tags_say_what_it_is(functions: Functions, aws_lambda: Any) -> None:
    made = functions.create("greet", read_module(Path(__file__)), Options(handler="test_tags_say_what_it_is"))
    tags = aws_lambda.list_tags(Resource=made.function.arn)["Tags"]
    assert made.bundle is not None
    assert tags == {OWNED: "greet", CONTENT: made.bundle.digest}
