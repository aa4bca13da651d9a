"""Hold the stack that `rota synth` writes against AWS's own rules and tools.

    python scripts/check_stack.py .venv/bin .venv-tools/bin tests/aws/deploy/named_targets.py

cfn-lint knows the resources, `sam validate` the transform, checkov what a security review would ask; `sam package` and
`sam deploy` use the folder as any SAM project, with AWS on this machine. None of them may look for news or credentials
on a network, so that the result depends on what is pinned and nothing else.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3

from rota.testing.emulator import Emulator

BUCKET = "sam-uploads"
_CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")
Command = Sequence[Path | str]


def main(ours: Path, tools: Path, module: Path) -> None:
    sam, bucket = tools / "sam", ("--s3-bucket", BUCKET)
    with tempfile.TemporaryDirectory(prefix="rota-stack-") as folder, Emulator() as emulator:
        os.environ.update(emulator.environment() | {"HOME": folder, "SAM_CLI_TELEMETRY": "0"})  # sam writes to HOME
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        _run(folder, [ours / "rota", "synth", module.resolve(), "--installed", "--output", folder])
        scan = ("--framework", "cloudformation", "--compact", "--quiet", "--skip-download")
        checks: list[list[Command]] = [
            [[ours / "cfn-lint", "template.json"], [sam, "validate", "--lint"]],
            [[tools / "checkov", "--file", "template.json", *scan]],
            [
                [sam, "package", *bucket, "--output-template-file", "packaged.json"],
                [
                    sam,
                    "deploy",
                    *bucket,
                    "--stack-name",
                    "shop",
                    "--no-confirm-changeset",
                    "--capabilities",
                    *_CAPABILITIES,
                ],
            ],
        ]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda commands: _run(folder, *commands), checks))


def _run(folder: str, *commands: Command) -> None:
    for command in commands:
        words = [str(it.absolute()) if isinstance(it, Path) else it for it in command]
        done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        print(f"{Path(words[0]).name} {words[1]}: {'passed' if done.returncode == 0 else 'FAILED'}", flush=True)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
