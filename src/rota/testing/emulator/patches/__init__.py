"""What is mended in MiniStack, one service a file. Importing these modules needs the extra rota[emulator]."""

from ministack.services import sqs

from rota.testing.emulator.count import Counts
from rota.testing.emulator.fault import Faults
from rota.testing.emulator.guard import check_version
from rota.testing.emulator.patches import (
    asynchronous,
    cloudformation,
    event_sources,
    events,
    lambdas,
    maps,
    queue_limits,
    queues,
    schedules,
    stepfunctions,
    tables,
    transitions,
)


def mend(counts: Counts, faults: Faults) -> None:
    """Patch MiniStack in this process, once. PatchError if it is not the version that the patches were written for."""
    check_version()
    lambdas.mend(counts, faults)
    asynchronous.mend()
    actions = {action: function.__name__ for action, function in sqs._HANDLERS.items()}
    queue_limits.mend()
    queues.mend(faults)
    sqs._HANDLERS.update({action: getattr(sqs, name) for action, name in actions.items()})
    event_sources.mend(counts)
    cloudformation.mend()
    tables.mend()
    stepfunctions.mend()
    maps.mend()
    transitions.mend(counts)
    schedules.mend()
    events.mend()
