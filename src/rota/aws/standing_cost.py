"""What a stack uses each month whether anything fires or not, counted in the template that the app is given.

AWS asks for alarms and metrics by the month, polls every queue that a function reads, and EventBridge invokes the
feeder and the sweeper. What of that a stack has depends on its app: batches, maps and pipelines bring queues and
functions, and each function brings alarms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from rota.app import App
from rota.aws.bill import Usage
from rota.aws.firing_cost import LOG_BYTES, MONTH, SAMPLED
from rota.aws.platform import Platform
from rota.aws.stack.plan import plan_stack
from rota.aws.stack.template import build_template

_POLLS = 5 * 3 * 60 * 24 * MONTH
"""Of an idle queue that a function reads: five pollers, a request each 20 seconds."""
FED_METRICS = 5
"""Those that the feeder writes at every pass. The others cost where something fires: `firing_metrics`."""
_FIRED_METRICS = 3
_HOURS = 24 * MONTH
FEED_WRITES, FEED_READS, _MILLISECONDS = 2.0, 2.0, 150.0


def app_template(app: App) -> dict[str, Any]:
    """The template that `rota deploy` would give the app. InvalidError for what cannot be on AWS."""
    return build_template(plan_stack(app, app.name, version("rota"), Platform()))


def standing(template: Mapping[str, Any], shards: int = 4, period: int = 1, memory: int = 512) -> Usage:
    """What the stack of a template uses a month while nothing fires. period: minutes between passes of the feeder."""
    resources = template["Resources"]
    fed = MONTH * 24 * 60 / period
    swept = _HOURS * sum(event["Properties"].get("Schedule") == "rate(1 hour)" for event in _events(resources))
    polled = [event["Properties"]["Queue"]["Fn::GetAtt"][0] for event in _events(resources) if event["Type"] == "SQS"]
    in_lanes = sum(bool(resources[queue]["Properties"].get("FifoQueue")) for queue in polled)
    return Usage(
        write_units=fed * shards * FEED_WRITES,
        read_units=fed * shards * FEED_READS,
        invocations=fed + swept,
        gb_seconds=(fed + swept) * _MILLISECONDS / 1000 * memory / 1024,
        log_gb=(fed + swept) * LOG_BYTES / 1e9,
        traces=(fed + swept) * SAMPLED,
        queue_requests=(len(polled) - in_lanes) * _POLLS,
        fifo_requests=in_lanes * _POLLS,
        alarms=sum(it["Type"] == "AWS::CloudWatch::Alarm" for it in resources.values()),
        metrics=FED_METRICS,
    )


def firing_metrics(firings: float) -> Usage:
    """The metrics of what was fired, which CloudWatch asks for by the hour in which they have values. firings: a
    month, evenly spread."""
    return Usage(metrics=_FIRED_METRICS * min(1.0, firings / _HOURS))


def _events(resources: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for resource in resources.values():
        if resource["Type"] == "AWS::Serverless::Function":
            yield from resource["Properties"].get("Events", {}).values()
