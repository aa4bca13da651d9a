"""Which action of which service an HTTP request asks for, as AWS names them: "sqs.SendMessage", "lambda.Invoke"."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qs

_SCOPE = re.compile(r"Credential=[^/,]+/\d+/[^/,]+/([^/,]+)/")
_FORM_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
_FUNCTION_URL = re.compile(r"^(?:[a-z0-9]+\.lambda-url\.|/_aws/lambda-url/)")


class _Route(NamedTuple):
    method: str
    path: re.Pattern[str]
    action: str
    query: str = ""


def _route(method: str, path: str, action: str, query: str = "") -> _Route:
    pattern = path.replace("{}", "[^/]+").replace("{+}", ".+")
    return _Route(method, re.compile(f"^{pattern}$"), action, query)


_LAMBDA = (
    _route("POST", "/2015-03-31/functions/{}/invocations", "Invoke"),
    _route("POST", "/2015-03-31/functions/?", "CreateFunction"),
    _route("GET", "/2015-03-31/functions/?", "ListFunctions"),
    _route("GET", "/2015-03-31/functions/{}", "GetFunction"),
    _route("DELETE", "/2015-03-31/functions/{}", "DeleteFunction"),
    _route("PUT", "/2015-03-31/functions/{}/code", "UpdateFunctionCode"),
    _route("GET", "/2015-03-31/functions/{}/configuration", "GetFunctionConfiguration"),
    _route("PUT", "/2015-03-31/functions/{}/configuration", "UpdateFunctionConfiguration"),
    _route("POST", "/2015-03-31/functions/{}/versions", "PublishVersion"),
    _route("GET", "/2015-03-31/functions/{}/versions", "ListVersionsByFunction"),
    _route("POST", "/2015-03-31/functions/{}/aliases", "CreateAlias"),
    _route("POST", "/2015-03-31/functions/{}/policy", "AddPermission"),
    _route("PUT", "/2017-10-31/functions/{}/concurrency", "PutFunctionConcurrency"),
    _route("POST", "/2015-03-31/event-source-mappings/?", "CreateEventSourceMapping"),
    _route("GET", "/2015-03-31/event-source-mappings/?", "ListEventSourceMappings"),
    _route("GET", "/2015-03-31/event-source-mappings/{}", "GetEventSourceMapping"),
    _route("PUT", "/2015-03-31/event-source-mappings/{}", "UpdateEventSourceMapping"),
    _route("DELETE", "/2015-03-31/event-source-mappings/{}", "DeleteEventSourceMapping"),
)
_S3 = (
    _route("GET", "/?", "ListBuckets"),
    _route("GET", "/{}/?", "ListObjectsV2", "list-type"),
    _route("GET", "/{}/?", "ListMultipartUploads", "uploads"),
    _route("GET", "/{}/?", "ListObjects"),
    _route("HEAD", "/{}/?", "HeadBucket"),
    _route("PUT", "/{}/?", "CreateBucket"),
    _route("DELETE", "/{}/?", "DeleteBucket"),
    _route("POST", "/{}/?", "DeleteObjects", "delete"),
    _route("POST", "/{}/{+}", "CreateMultipartUpload", "uploads"),
    _route("POST", "/{}/{+}", "CompleteMultipartUpload", "uploadId"),
    _route("PUT", "/{}/{+}", "UploadPart", "partNumber"),
    _route("DELETE", "/{}/{+}", "AbortMultipartUpload", "uploadId"),
    _route("GET", "/{}/{+}", "GetObject"),
    _route("HEAD", "/{}/{+}", "HeadObject"),
    _route("PUT", "/{}/{+}", "PutObject"),
    _route("DELETE", "/{}/{+}", "DeleteObject"),
)
_SCHEDULER = (
    _route("POST", "/schedules/{}", "CreateSchedule"),
    _route("GET", "/schedules/{}", "GetSchedule"),
    _route("PUT", "/schedules/{}", "UpdateSchedule"),
    _route("DELETE", "/schedules/{}", "DeleteSchedule"),
    _route("GET", "/schedules/?", "ListSchedules"),
)
_REST = {"lambda": _LAMBDA, "s3": _S3, "scheduler": _SCHEDULER}


class Asked(NamedTuple):
    """What a request asks for: the service as signatures name it ("states", "events"), and the action."""

    service: str
    action: str

    @property
    def name(self) -> str:
        """Service and action, as counts and faults name them."""
        return f"{self.service}.{self.action}"


def asked(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Asked:
    """What an HTTP request asks for. Where no table knows the action, method and path stand for it."""
    scope = _SCOPE.search(headers.get("authorization", ""))
    service = scope[1] if scope else "unsigned"
    if _FUNCTION_URL.match(headers.get("host", "")) or _FUNCTION_URL.match(path):
        return Asked("lambda", "InvokeFunctionUrl")
    target = headers.get("x-amz-target", "").rpartition(".")[2]
    if target:
        return Asked(service, target)
    form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    found = _FORM_ACTION.search(body) if form else None
    if found:
        return Asked(service, found[1].decode())
    given = parse_qs(query, keep_blank_values=True)
    for route in _REST.get(service, ()):
        if route.method == method and (not route.query or route.query in given) and route.path.match(path):
            return Asked(service, route.action)
    return Asked(service, f"{method} {path}")
