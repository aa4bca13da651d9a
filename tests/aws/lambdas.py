"""Functions in the emulator: their code as text."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import boto3

ROLE = "arn:aws:iam::000000000000:role/function"


def bundle(source: str) -> bytes:
    """A zip whose module `code` is `source`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("code_of_function.py", source)
    return file.getvalue()


def create(name: str, source: str, **more: Any) -> str:
    """A function whose source has a `handler`; answers its ARN."""
    made = boto3.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=ROLE,
        Handler="code_of_function.handler",
        Code={"ZipFile": bundle(source)},
        **{"Timeout": 60, **more},
    )
    return str(made["FunctionArn"])


def invoke(name: str, event: object = None) -> tuple[str | None, Any]:
    """What kind of error there was, and the answer."""
    answer = boto3.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())
