"""boto3 clients of sources and sinks. What the AWS settings get wrong is an error of the place that needs them."""

from __future__ import annotations

from typing import Any, Literal

import boto3
from botocore.exceptions import BotoCoreError

from rota.core.errors import InvalidError


def aws_client(service: Literal["s3", "dynamodb"], field: str, place: str) -> Any:
    """A client by the usual AWS settings. InvalidError for `place` where they lead nowhere, say without a region."""
    try:
        return boto3.client(service)
    except (BotoCoreError, ValueError) as error:  # botocore has a ValueError for an endpoint that is no URL
        raise InvalidError(field, place, f"the AWS settings must say how to reach it: {error}") from error
