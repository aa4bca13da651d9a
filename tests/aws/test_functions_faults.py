"""Functions on the fly on a bad day: missing permissions, roles that are not known yet, calls that are lost."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from rota.aws.function import Options
from rota.aws.functions import Functions
from rota.aws.sessions import client
from rota.aws.source import read_text
from rota.core.errors import RotaError
from rota.testing.emulator import Emulator, Fault

GREET = "def handler(event, context):\n    return event\n"
DENIED = Fault(code="AccessDeniedException", status=403)


@pytest.fixture
def functions(aws: Emulator) -> Functions:
    return Functions(partial(client, endpoint_url=aws.url))


class Unready:
    """A Lambda that does not know a new role yet, for so many calls."""

    def __init__(self, real: Any, refusals: int) -> None:
        self._real = real
        self.refusals = refusals

    def create_function(self, **request: Any) -> Any:
        if self.refusals:
            self.refusals -= 1
            message = "The role defined for the function cannot be assumed by Lambda."
            said = {"Error": {"Code": "InvalidParameterValueException", "Message": message}}
            raise ClientError(said, "CreateFunction")
        return self._real.create_function(**request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def roles(aws: Emulator) -> list[str]:
    return [role["RoleName"] for role in client("iam", endpoint_url=aws.url).list_roles()["Roles"]]


@pytest.mark.parametrize(
    "action",
    [
        "lambda:GetFunction",
        "iam:CreateRole",
        "iam:PutRolePolicy",
        "logs:CreateLogGroup",
        "lambda:CreateFunction",
        "lambda:PublishVersion",
        "lambda:TagResource",
    ],
)
def test_a_missing_permission_is_named_and_trying_again_with_it_works(
    functions: Functions, aws: Emulator, action: str
) -> None:
    # The emulator does not know this call by its name.
    unnamed = {"lambda:TagResource": ("lambda.*", msgspec.structs.replace(DENIED, match="/tags/"))}
    aws.faults(dict([unnamed.get(action, (action.replace(":", "."), DENIED))]))
    with pytest.raises(RotaError, match=f"access denied: the credentials in use lack the permission {action}"):
        functions.create("greet", read_text(GREET))
    aws.faults({})
    functions.create("greet", read_text(GREET))
    assert functions.invoke("greet", b"7").value == b"7"
    assert functions.create("greet", read_text(GREET)).change == "unchanged"


@pytest.mark.parametrize(
    ("call", "action"),
    [
        ("list", "tag:GetResources"),
        ("get", "lambda:ListVersionsByFunction"),
        ("invoke", "lambda:InvokeFunction"),
        ("delete", "lambda:DeleteFunction"),
    ],
)
def test_a_missing_permission_is_named_by_every_call(
    functions: Functions, aws: Emulator, call: str, action: str
) -> None:
    functions.create("greet", read_text(GREET))
    names = {"lambda:InvokeFunction": "lambda.Invoke", "tag:GetResources": "*.GetResources"}
    name = names.get(action, action.replace(":", "."))
    aws.faults({"*" if name.startswith("*") else name: DENIED})
    with pytest.raises(RotaError, match=f"lack the permission {action}"):
        getattr(functions, call)(*(() if call == "list" else ("greet",)))


def test_a_function_that_cannot_be_made_leaves_no_role_behind(functions: Functions, aws: Emulator) -> None:
    aws.faults({"lambda.CreateFunction": Fault(code="CodeStorageExceededException")})
    with pytest.raises(RotaError, match="CodeStorageExceededException"):
        functions.create("greet", read_text(GREET))
    assert roles(aws) == []


def test_a_role_that_lambda_does_not_know_yet_is_waited_for(aws: Emulator) -> None:
    unready = Unready(client("lambda", endpoint_url=aws.url), refusals=4)
    slept: list[float] = []

    def make(service: str) -> Any:
        return unready if service == "lambda" else client(service, endpoint_url=aws.url)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds if unready.refusals == 0 else 0)

    functions = Functions(make, sleep=sleep)
    assert functions.create("greet", read_text(GREET)).change == "created"
    assert unready.refusals == 0
    assert slept[:4] == sorted(slept[:4])


def test_a_given_role_that_lambda_cannot_take_on_is_not_waited_for(aws: Emulator) -> None:
    unready = Unready(client("lambda", endpoint_url=aws.url), refusals=9)
    functions = Functions(lambda _: unready, sleep=lambda _: pytest.fail("it waited"))
    with pytest.raises(RotaError, match=r"lambda:CreateFunction failed: The role .* cannot be assumed by Lambda"):
        functions.create("greet", read_text(GREET), Options(role="arn:aws:iam::000000000000:role/orders"))
    assert unready.refusals == 8


def test_throttled_calls_are_tried_again(functions: Functions, aws: Emulator) -> None:
    throttled = Fault(times=2, code="TooManyRequestsException", status=429)
    aws.faults({"lambda.CreateFunction": throttled, "lambda.PublishVersion": throttled})
    assert functions.create("greet", read_text(GREET)).function.version == "1"


def test_whoever_died_before_the_end_is_finished_by_the_next(functions: Functions, aws: Emulator) -> None:
    functions.create("greet", read_text(GREET))
    changed = read_text(GREET.replace("event\n", "[event]\n"))
    aws.faults({"lambda.PublishVersion": Fault(code="ServiceException", status=400)})
    with pytest.raises(RotaError):
        functions.create("greet", changed)
    aws.faults({})
    assert functions.create("greet", changed).function.version == "2"
    assert functions.invoke("greet", b"7", "2").value == b"[7]"


def test_no_answer_no_region_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(RotaError, match=r"no AWS region: set AWS_DEFAULT_REGION"):
        Functions(client).invoke("greet")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with pytest.raises(RotaError, match="no AWS credentials: set AWS_PROFILE"):
        Functions(client).invoke("greet")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(RotaError, match="AWS does not answer"):
        Functions(partial(client, endpoint_url="http://127.0.0.1:1")).invoke("greet")


def test_options_are_kept_by_a_second_create_that_leaves_them_out(functions: Functions) -> None:
    functions.create("greet", read_text(GREET), Options(memory=512))
    assert functions.create("greet", read_text(GREET)).function.memory == 512
