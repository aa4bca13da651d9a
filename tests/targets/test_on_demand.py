"""boto3 is loaded when a target on AWS is fired, and missed then alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, sys, time
from rota import wiring
from rota.core.retry import Retry

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("boto3", "botocore"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
told = []
with wiring.engine("sqlite:///rota.db", durability="process") as client:
    for target in ("queue:orders", "lambda:report"):
        run = client.at(0, target, retry=Retry(attempts=5, initial=0.01))
        while (record := client.runs.get(run)).state in ("pending", "running"):
            time.sleep(0.01)
        told.append([record.state, record.attempt, record.failure.message if record.failure else ""])
print(json.dumps(told))
"""


def test_whoever_lacks_boto3_misses_it_for_aws_alone(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=True)
    queue, function = json.loads(done.stdout)
    assert queue == ["succeeded", 1, ""]
    assert function == ["failed", 1, "lambda:report needs boto3, which `pip install 'rota[aws]'` brings"]


LOADED = """
import json, sys
from rota import wiring
with wiring.engine("sqlite:///rota.db", durability="process"):
    before = "boto3" in sys.modules
print(json.dumps(before))
"""


def test_an_engine_starts_without_loading_boto3(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False
