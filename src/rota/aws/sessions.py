"""boto3 clients, made in one place, and what their errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError

from rota.connectors.aws_errors import DENIED, action_of, code_of, denial, message_of
from rota.core.errors import InvalidError, RotaError

_REFUSED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_NO_REGION = "no AWS region: set AWS_DEFAULT_REGION, or name one with --region, or ?region= in the URL"
# A function may take 15 minutes to answer, and must not be invoked again because nobody waited for it.
_LONGEST_INVOCATION = 910


def client(
    service: str,
    region: str | None = None,
    endpoint_url: str | None = None,
    session: boto3.session.Session | None = None,
) -> Any:
    """A boto3 client. region and endpoint_url: None means what the environment and the profile say. session: clients
    that share one are made faster, for it reads the table of all endpoints once.

    RotaError if nothing says which region is meant, InvalidError for a region or an address that cannot be one."""
    invokes = service == "lambda"
    config = Config(
        connect_timeout=5,
        read_timeout=_LONGEST_INVOCATION if invokes else 60,
        max_pool_connections=50,
        retries={"mode": "standard", "total_max_attempts": 4},
        tcp_keepalive=invokes,
    )
    try:
        made = session or boto3.session.Session()
        return made.client(service, region_name=region, endpoint_url=endpoint_url, config=config)
    except NoRegionError:
        raise RotaError(_NO_REGION) from None
    except (BotoCoreError, ValueError) as error:
        raise InvalidError("endpoint_url" if endpoint_url else "region", endpoint_url or region, str(error)) from error


def check_region() -> None:
    """RotaError if neither environment nor profile says which region is meant."""
    if boto3.session.Session().region_name is None:
        raise RotaError(_NO_REGION)


@contextmanager
def translating(service: str, **ids: str) -> Iterator[None]:
    """Raise what boto3 raises within as an error of rota's: one sentence that names the action it is about. ids: what
    the calls are about, for the error."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise translated(error, service, **ids) from error


def translated(error: BotoCoreError | ClientError, service: str, **ids: str) -> RotaError:
    """The error of rota's that says what boto3's means."""
    if isinstance(error, NoCredentialsError):
        return RotaError("no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", **ids)
    if isinstance(error, EndpointConnectionError):
        return RotaError(f"AWS does not answer: {error}", **ids)
    if not isinstance(error, ClientError):
        return RotaError(f"{service}: {error}", **ids)
    code, message = code_of(error), message_of(error)
    if code in DENIED:
        return RotaError(denial(error, service), **ids)
    if code in _REFUSED:
        return RotaError(f"AWS refuses the credentials in use ({code}: {message})", **ids)
    return RotaError(f"{action_of(error, service)} failed: {message} ({code})", **ids)
