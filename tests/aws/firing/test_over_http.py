"""Bodies of calls by URL that are no JSON are quoted as they were sent."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest

from rota.aws.handlers.over_http import over_http

BODIES = {
    b'{"timestamp": 1': '{"timestamp": 1',
    b"when=now": "when=now",
    b"\xff{}": "\ufffd{}",
}


def posted(body: str, *, encoded: bool) -> Any:
    event = {"requestContext": {"http": {"method": "POST"}}, "body": body, "isBase64Encoded": encoded}
    answer = over_http(event, lambda asked: {"asked": asked}, lambda _: False, logging.getLogger("test"))
    return answer["statusCode"], json.loads(answer["body"])


@pytest.mark.parametrize("sent", BODIES)
def test_what_came_in_base64_is_quoted_decoded(sent: bytes) -> None:
    status, said = posted(base64.b64encode(sent).decode(), encoded=True)
    assert status == 400
    assert said["error"].startswith(f"body: {BODIES[sent]!r} is not allowed; a JSON object")


def test_what_came_as_text_and_what_is_no_base64_are_quoted_as_they_are() -> None:
    assert posted("hello", encoded=False)[1]["error"].startswith("body: 'hello' is not allowed")
    assert posted("h?", encoded=True)[1]["error"].startswith("body: 'h?' is not allowed")
    assert posted('{"a": 1}', encoded=False) == (200, {"asked": {"a": 1}})
