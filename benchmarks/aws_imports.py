"""What a cold start of each function adds to importing boto3: its imports, and its clients.

    python -m benchmarks.aws_imports [--quick] [--json]

Each is a process of its own, in turn; medians of its processor time, which other work on the machine changes less than
the time on the wall (that stands in the last lines). `boto3` is a process that imports boto3 alone; `with clients`, one
that makes the two clients which every function needs, too.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from statistics import median
from time import perf_counter
from typing import NamedTuple

from benchmarks.report import QUICK, tell, versions

ROUNDS = 3 if QUICK else 15
HANDLERS = ("feeder", "dispatcher", "worker", "adhoc", "dead")
_STACK = {
    "ROTA_STACK": "bench",
    "ROTA_TABLE": "bench",
    "ROTA_DISPATCH_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/1/bench-DispatchQueue",
    "ROTA_WORKER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/1/bench-WorkerQueue",
    "ROTA_QUEUE_PREFIX": "https://sqs.us-east-1.amazonaws.com/1/bench-",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
}
BARE = "import boto3"
BARE_CLIENTS = "import boto3; s = boto3.session.Session(); s.client('sqs'); s.client('dynamodb')"


class Took(NamedTuple):
    """Milliseconds of a process."""

    processor: float
    wall: float

    def beyond(self, other: Took) -> Took:
        return Took(self.processor - other.processor, self.wall - other.wall)


def took(code: str) -> Took:
    """What a process takes that runs this."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **_STACK})
    wall, after = perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(1000 * processor, 1000 * wall)


def main() -> None:
    versions("boto3", "aws-lambda-powertools")
    imports = {name: f"import rota.aws.handlers.{name}" for name in HANDLERS}
    ready = {name: f"{code}\nfrom rota.aws.handlers.setting import parts; parts()" for name, code in imports.items()}
    found: dict[str, list[Took]] = {}
    for _ in range(ROUNDS):
        for kind, codes, bare in (("imports", imports, BARE), ("with clients", ready, BARE_CLIENTS)):
            least = took(bare)
            found.setdefault(f"bare {kind}", []).append(least)
            for name, code in codes.items():
                found.setdefault(f"{kind} {name}", []).append(took(code).beyond(least))
    for way in ("processor", "wall"):
        for kind in ("imports", "with clients"):
            middle = {name: median(getattr(it, way) for it in rows) for name, rows in found.items()}
            tell(f"bare boto3, {kind}, {way}", "ms", {"process": middle[f"bare {kind}"]})
            tell(f"{kind}, beyond bare boto3, {way}", "ms", {name: middle[f"{kind} {name}"] for name in HANDLERS})


if __name__ == "__main__":
    main()
