"""Hold the template that `rota synth` writes against AWS's own rules.

    python scripts/check_stack.py .venv/bin .venv-tools/bin tests/aws/deploy/named_targets.py

cfn-lint knows the resources, `sam validate` the transform, checkov what a security review would ask. None of them may
look for news or credentials on a network, so that the result depends on what is pinned and nothing else.
"""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_SCAN = ("--framework", "cloudformation", "--compact", "--quiet", "--skip-download")


def main(ours: Path, tools: Path, module: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="rota-stack-") as folder:
        template = Path(folder) / "template.json"
        _run(folder, [ours / "rota", "synth", module.resolve(), "--installed", "--output", folder])
        checks = (
            [ours / "cfn-lint", template],
            [tools / "sam", "validate", "--lint", "--template-file", template],
            [tools / "checkov", "--file", template, *_SCAN],
        )
        with ThreadPoolExecutor() as pool:
            for _ in pool.map(lambda command: _run(folder, command), checks):
                pass


def _run(folder: str, command: list[Path | str]) -> None:
    quiet = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_SECRET_ACCESS_KEY": "test",
        "HOME": folder,  # sam writes its settings there
        "SAM_CLI_TELEMETRY": "0",
    }
    words = [str(it.absolute()) if isinstance(it, Path) else it for it in command]
    done = subprocess.run(
        words, env=os.environ | quiet, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    print(f"{Path(words[0]).name} {' '.join(words[1:2])}: {'passed' if done.returncode == 0 else 'FAILED'}", flush=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
