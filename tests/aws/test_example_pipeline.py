"""The example examples/pipeline, as its page says."""

from __future__ import annotations

import shutil
from pathlib import Path

import boto3
import pytest
from tests.docs.pages import blocks
from tests.docs.session import Session

from rota.testing.emulator import Emulator

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/pipeline"


@pytest.mark.slow
def test_its_page_does_what_it_says(tmp_path: Path, aws: Emulator) -> None:
    for name in ("readings.py", "prepare.py", "start.py"):
        shutil.copy(EXAMPLE / name, tmp_path)
    with Session(tmp_path, patience=150.0) as session:
        for block in blocks(EXAMPLE / "README.md"):
            session.carry_out(block)
    pages = boto3.client("dynamodb").get_paginator("scan").paginate(TableName="pipeline-celsius")
    celsius = [item["celsius"]["N"] for page in pages for item in page["Items"]]
    assert (len(celsius), set(celsius)) == (10_000, {"20", "16.85"})
