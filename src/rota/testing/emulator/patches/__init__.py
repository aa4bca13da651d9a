"""What is mended in MiniStack, one service a file. Importing these modules needs the extra rota[emulator]."""

from rota.testing.emulator.count import Counts
from rota.testing.emulator.fault import Faults
from rota.testing.emulator.guard import check_version
from rota.testing.emulator.patches import (
    asynchronous,
    cloudformation,
    event_sources,
    functions,
    maps,
    queues,
    schedules,
    stepfunctions,
)


def mend(counts: Counts, faults: Faults) -> None:
    """Patch MiniStack in this process, once. PatchError if it is not the version that the patches were written for."""
    check_version()
    functions.mend(counts, faults)
    asynchronous.mend()
    queues.mend()
    event_sources.mend(counts)
    cloudformation.mend()
    stepfunctions.mend()
    maps.mend()
    schedules.mend()
