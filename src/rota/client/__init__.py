"""The face for programs: the same client, with the same calls, for every engine."""

from rota.client.batches import Batches
from rota.client.client import Client
from rota.client.dead_letters import DeadLetters
from rota.client.queues import Queues
from rota.client.runs import Runs
from rota.client.schedules import ScheduleChanges, Schedules

__all__ = ["Batches", "Client", "DeadLetters", "Queues", "Runs", "ScheduleChanges", "Schedules"]
