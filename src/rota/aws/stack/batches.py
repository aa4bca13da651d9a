"""What batch runs add to a stack whose app declares batches: queues, functions, environment, outputs."""

from __future__ import annotations

from typing import Any

from rota.aws.stack.function import Function, ref
from rota.aws.stack.plan import StackPlan

Json = dict[str, Any]
BATCH_FUNCTIONS: tuple[Function, ...] = (
    Function(
        role="Planner",
        module="planner",
        about="Cuts sources into chunks",
        timeout=ref("PlannerTimeout"),
        memory="WorkerMemory",
        concurrency=4,
        # Cutting may take all of the timeout, so each is alone in its batch.
        queues=(("PlanQueue", 1),),
        user_code=True,
    ),
    Function(
        role="Processor",
        module="processor",
        about="Runs the app's tasks on chunks",
        timeout=ref("BatchTimeout"),
        memory="WorkerMemory",
        concurrency=ref("BatchConcurrency"),
        queues=(("BatchQueue", 1),),
        user_code=True,
    ),
    Function(
        role="Finalizer",
        module="finalizer",
        about="Says how batch runs end, and finishes them",
        timeout=ref("PlannerTimeout"),
        concurrency=4,
        queues=(("FinalizeQueue", 1),),
        # A manifest has some 300 bytes a chunk.
        disk=10_240,
    ),
    Function(
        role="BatchDead",
        module="batchdead",
        about="Counts what could not be delivered to functions of batch runs",
        timeout=ref("BatchTimeout"),
        memory="WorkerMemory",
        concurrency=6,
        queues=(("BatchDeadQueue", 1), ("PlanDeadQueue", 1), ("FinalizeDeadQueue", 1)),
        user_code=True,
        disk=10_240,
    ),
    Function(
        role="Sweeper",
        module="sweeper",
        about="Takes up batch runs that stand still",
        timeout=300,
        concurrency=1,
        hourly=True,
    ),
)
QUEUES: tuple[tuple[str, str, str, bool], ...] = (
    ("BatchQueue", "BatchDeadQueue", "BatchTimeout", True),
    ("PlanQueue", "PlanDeadQueue", "PlannerTimeout", False),
    ("FinalizeQueue", "FinalizeDeadQueue", "PlannerTimeout", False),
)
"""Queue, its dead-letter queue, the parameter with its function's timeout, whether it is a FIFO queue."""
_TOLD = {
    "ROTA_BATCH_QUEUE_URL": "BatchQueue",
    "ROTA_PLAN_QUEUE_URL": "PlanQueue",
    "ROTA_FINALIZE_QUEUE_URL": "FinalizeQueue",
}


def batch_functions(plan: StackPlan) -> tuple[Function, ...]:
    """The functions that batch runs need; none without batches."""
    return BATCH_FUNCTIONS if plan.batches else ()


def batch_environment(plan: StackPlan) -> Json:
    """What functions that start or carry out batch runs are told."""
    return {name: ref(queue) for name, queue in _TOLD.items()} if plan.batches else {}


def batch_outputs(plan: StackPlan) -> dict[str, tuple[str, Any]]:
    """What clients are told."""
    if not plan.batches:
        return {}
    return {
        "BatchQueueUrl": ("Chunks of batch runs", ref("BatchQueue")),
        "PlanQueueUrl": ("What the planner reads", ref("PlanQueue")),
        "FinalizeQueueUrl": ("What the finalizer reads", ref("FinalizeQueue")),
        "SweeperName": ("The function that takes up batch runs that stand still", ref("Sweeper")),
    }
