"""Every benchmark, each in a process of its own.

python -m benchmarks [--quick] [--json] [NAME ...]

Those of the AWS engine take a quarter of an hour, so they are run only by name, or all of them by the name `aws`.
"""

from __future__ import annotations

import subprocess
import sys

NAMES = ("cron", "insert", "drain", "same_second", "lateness", "pending", "batch")
AWS = ("aws_imports", "aws_cost", "aws_feeder", "aws_lateness", "aws_batches")


def main() -> int:
    flags = [it for it in sys.argv[1:] if it.startswith("--")]
    asked = [it for it in sys.argv[1:] if not it.startswith("--")] or NAMES
    asked = [it for name in asked for it in (AWS if name == "aws" else (name,))]
    unknown = sorted(set(asked) - {*NAMES, *AWS})
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join((*NAMES, *AWS))}, and aws", file=sys.stderr)
        return 2
    failed = 0
    for name in asked:
        if "--json" not in flags:
            print(f"\n{name}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *flags], check=False).returncode
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())
