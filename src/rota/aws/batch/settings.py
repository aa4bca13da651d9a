"""The queues between the functions of batch runs, as the template tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import msgspec

from rota.core.errors import InvalidError

_ENVIRONMENT = {
    "chunks": "ROTA_BATCH_QUEUE_URL",
    "plan": "ROTA_PLAN_QUEUE_URL",
    "finalize": "ROTA_FINALIZE_QUEUE_URL",
    "bucket": "ROTA_BUCKET",
}
_OUTPUTS = {
    "chunks": "BatchQueueUrl",
    "plan": "PlanQueueUrl",
    "finalize": "FinalizeQueueUrl",
    "bucket": "BucketName",
}
_OPTIONAL_ENVIRONMENT = {"pipeline": "ROTA_PIPELINE_QUEUE_URL", "machine": "ROTA_MAP_MACHINE_ARN"}
_OPTIONAL_OUTPUTS = {"pipeline": "PipelineQueueUrl", "machine": "MapMachineArn"}
CORES = 10
"""What `concurrency` is unless a batch says."""


class BatchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """chunks, plan, finalize, pipeline: URLs of queues, the first and the last FIFO queues; the last is "" in a stack
    without pipelines. machine: ARN of the state machine for maps, or "". bucket: where batch runs keep their files."""

    chunks: str
    plan: str
    finalize: str
    bucket: str
    pipeline: str = ""
    machine: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self | None:
        """From the environment of a function; None in a stack without batches."""
        if not environ.get(_ENVIRONMENT["chunks"]):
            return None
        for name in _ENVIRONMENT.values():
            if not environ.get(name):
                raise InvalidError(name, "", "the environment variable that the template of the stack sets")
        optional = {field: environ.get(name, "") for field, name in _OPTIONAL_ENVIRONMENT.items()}
        return cls(**{field: environ[name] for field, name in _ENVIRONMENT.items()}, **optional)

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, str]) -> Self | None:
        """From the outputs of a stack; None if it has no batches."""
        if _OUTPUTS["chunks"] not in outputs:
            return None
        optional = {field: outputs.get(name, "") for field, name in _OPTIONAL_OUTPUTS.items()}
        return cls(**{field: outputs[name] for field, name in _OUTPUTS.items()}, **optional)

    @property
    def directory(self) -> str:
        """Where a batch run keeps its files, with `{run}` for its id."""
        return f"s3://{self.bucket}/batches/{{run}}"
