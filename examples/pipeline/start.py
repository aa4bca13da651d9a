"""Start the pipeline by its URL, with a request signed for IAM, or by invoking its function where there is no URL to
reach, which is so on an emulator. Calls with the same id start it once."""

from __future__ import annotations

import argparse
import json
import os
import urllib.request

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--stack", default="readings")
parser.add_argument("--id", default="")
given = parser.parse_args()

session = boto3.session.Session()
[stack] = session.client("cloudformation").describe_stacks(StackName=given.stack)["Stacks"]
outputs = {row["OutputKey"]: row["OutputValue"] for row in stack["Outputs"]}
asked = json.dumps({"batch": "readings", **({"id": given.id} if given.id else {})})

if os.environ.get("AWS_ENDPOINT_URL"):
    answer = session.client("lambda").invoke(FunctionName=outputs["PipelineReaderName"], Payload=asked)
    said = json.loads(answer["Payload"].read())
else:
    url = outputs["PipelineReaderUrl"]
    request = AWSRequest("POST", url, data=asked, headers={"content-type": "application/json"})
    SigV4Auth(session.get_credentials(), "lambda", outputs["Region"]).add_auth(request)
    signed = urllib.request.Request(url, asked.encode(), dict(request.headers), method="POST")  # noqa: S310 of the stack
    with urllib.request.urlopen(signed) as response:  # noqa: S310 of the stack
        said = json.loads(response.read())
if "run" not in said:
    raise SystemExit(said)
print(f"{said['run']} has begun: {said['chunks']} chunks")
