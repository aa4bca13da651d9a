"""What calls to AWS have in common: errors, clients, ids. The endpoint plays AWS, boto3 is its real self."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.targets.endpoint import SCHEDULED, Endpoint, answering, run_of, saying

from rota.core.errors import TargetError
from rota.core.run import Run, RunSpec
from rota.core.target import LambdaTarget, SqsTarget
from rota.targets.aws import Clients, derived_id, filled, is_transient, kept_answer
from rota.targets.lambda_function import LambdaCall
from rota.targets.sqs import SqsCall

QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders"


def failure(clients: Clients) -> TargetError:
    """What an invocation fails with; at most once, so that the SDK does not try again either."""
    with pytest.raises(TargetError) as caught:
        LambdaCall(clients)(run_of(LambdaTarget("report"), delivery="at_most_once"))
    assert caught.value.ids == {"schedule": "nightly", "run": "nightly@2026-11-21T02:30:00Z"}
    assert str(caught.value).startswith("lambda:InvokeFunction on report: ")
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "transient"),
    [
        (429, "TooManyRequestsException", True),
        (400, "ThrottlingException", True),
        (400, "ExecutionLimitExceeded", True),
        (400, "KMS.ThrottlingException", True),
        (403, "RequestThrottled", True),
        (409, "ResourceConflictException", True),
        (409, "SnapStartNotReadyException", True),
        (500, "ServiceException", True),
        (502, "EC2ThrottledException", True),
        (502, "ENINotReadyException", True),
        (503, "", True),
        (400, "RequestTimeout", True),
        (502, "KMSAccessDeniedException", False),
        (502, "KMSDisabledException", False),
        (502, "InvalidZipFileException", False),
        (403, "AccessDeniedException", False),
        (404, "ResourceNotFoundException", False),
        (413, "RequestTooLargeException", False),
        (400, "ValidationException", False),
        (400, "AWS.SimpleQueueService.NonExistentQueue", False),
        (400, "StateMachineDoesNotExist", False),
        (400, "ExpiredTokenException", False),
        (409, "DurableExecutionAlreadyStartedException", False),
    ],
)
def test_an_answer_is_transient_if_another_may_follow(status: int, code: str, transient: bool) -> None:
    assert is_transient(code, status) is transient


@pytest.mark.parametrize(("status", "transient"), [(403, False), (404, False), (429, True), (500, True)])
def test_a_refusal_is_told_in_the_services_words(
    endpoint: Endpoint, clients: Clients, status: int, transient: bool
) -> None:
    headers = {"x-amzn-ErrorType": "SomeException:http://internal.amazon.com/", "Retry-After": "7"}
    endpoint.reply = answering(status, b'{"Message": "not you"}', headers)
    error = failure(clients)
    assert str(error).endswith("SomeException: not you")
    assert (error.transient, error.retry_after) == (transient, 7 if transient else 0)
    assert len(endpoint.requests) == 1


def test_what_is_throttled_is_repeated_by_the_sdk(endpoint: Endpoint, clients: Clients) -> None:
    def reply_once(handler: object) -> None:
        endpoint.reply = answering(200, b"7")
        answering(429, b"{}", {"x-amzn-ErrorType": "TooManyRequestsException"})(handler)  # type: ignore[arg-type]

    endpoint.reply = reply_once
    assert LambdaCall(clients)(run_of(LambdaTarget("report"))) == b"7"
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_a_connection_that_breaks_is_transient(endpoint: Endpoint, clients: Clients, raw: bytes) -> None:
    endpoint.reply = saying(raw)
    assert failure(clients).transient


def test_nobody_listening_is_transient(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert failure(clients).transient


def test_without_a_region_there_is_one_clear_error(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    error = failure(clients)
    assert not error.transient
    assert "AWS_DEFAULT_REGION" in str(error)


def test_a_region_in_the_name_is_enough(endpoint: Endpoint, clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    endpoint.reply = answering(200, b"{}")
    LambdaCall(clients)(run_of(LambdaTarget("arn:aws:lambda:eu-central-1:123456789012:function:report")))
    assert "/eu-central-1/lambda/" in endpoint.requests[0].headers["Authorization"]


def test_without_credentials_there_is_one_clear_error(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    error = failure(clients)
    assert not error.transient
    assert "AWS_ACCESS_KEY_ID" in str(error)


def test_credentials_may_come_later(
    endpoint: Endpoint, clients: Clients, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    failure(clients)
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    endpoint.reply = answering(200, b"7")
    assert LambdaCall(clients)(run_of(LambdaTarget("report"))) == b"7"


def test_an_unknown_profile_is_final(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    error = failure(clients)
    assert not error.transient
    assert "nobody" in str(error)


def test_threads_share_clients_and_connections(endpoint: Endpoint, clients: Clients) -> None:
    endpoint.reply = answering(200, b"7")
    call = LambdaCall(clients)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: call(run_of(LambdaTarget("report"))), range(40)))
    assert answers == [b"7"] * 40
    assert len({request.peer for request in endpoint.requests}) <= 4
    assert clients("lambda") is clients("lambda")


# Ids and payloads


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}", fullmatch=True), st.integers(0, 4_000_000_000_000))
def test_a_derived_id_is_one_that_aws_takes(schedule_id: str, at: int) -> None:
    run = Run(schedule_id, at, at, RunSpec(LambdaTarget("report")))
    made = derived_id(run)
    assert made == derived_id(Run(schedule_id, at, at + 5, run.spec, attempt=3))
    assert len(made) <= 80
    assert made.isascii()
    assert made.replace("-", "").replace("_", "").isalnum()


def test_a_derived_id_can_be_read_and_is_nobody_elses() -> None:
    target = LambdaTarget("report")
    assert derived_id(run_of(target)).startswith("nightly-20261121T023000Z-")
    assert derived_id(Run("a", SCHEDULED + 45, 0, RunSpec(target))).startswith("a-20261121T023000-045Z-")
    alike = ["a.b", "a:b", "a/b", "a-b", "x" * 128, "x" * 127 + "y"]
    assert len({derived_id(run_of(target, id=id)) for id in alike}) == len(alike)


def test_placeholders_stand_for_the_run() -> None:
    run = run_of(SqsTarget(QUEUE), {"key": "<rota-run-id>", "at": "<rota-scheduled>", "else": "<rota-other>"})
    assert json.loads(filled(run)) == {"key": run.id, "at": "2026-11-21T02:30:00Z", "else": "<rota-other>"}


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"", None),
        (b"null", None),
        (b'{"a": 1}', b'{"a": 1}'),
        (b"plain", b'"plain"'),
        (b'"' + b"x" * 65_534 + b'"', b'"' + b"x" * 65_534 + b'"'),
        (b'"' + b"x" * 65_535 + b'"', None),
    ],
)
def test_of_an_answer_runs_keep_64_kib_of_json(answer: bytes, kept: bytes | None) -> None:
    assert kept_answer(answer) == kept


def test_targets_that_know_nothing_say_so(clients: Clients) -> None:
    assert LambdaCall(clients).inquire(run_of(LambdaTarget("report"))) is None
    assert SqsCall(clients).inquire(run_of(SqsTarget(QUEUE))) is None
