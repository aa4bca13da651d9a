"""What AWS asks for, in US dollars: the public list prices of us-east-1, without free tiers and discounts.

As of 2025-11-01, from the pricing pages of each service (aws.amazon.com/SERVICE/pricing). Prices of other regions
differ by up to a third. Who changes a figure here changes the date above.
"""

from __future__ import annotations

from typing import NamedTuple

AS_OF = "2025-11-01"
REGION = "us-east-1"
MILLION = 1_000_000.0


class Price(NamedTuple):
    """dollars: for one unit. service: as bills name it. unit: what is counted, in words."""

    dollars: float
    service: str
    unit: str


PRICES: dict[str, Price] = {
    # aws.amazon.com/dynamodb/pricing/on-demand: a write of up to 1 KB, a strongly consistent read of up to 4 KB. A
    # transaction takes two units for each.
    "write_units": Price(0.625 / MILLION, "DynamoDB", "write units"),
    "read_units": Price(0.125 / MILLION, "DynamoDB", "read units"),
    "stored_gb": Price(0.25, "DynamoDB", "GB-months stored"),
    "recovery_gb": Price(0.20, "DynamoDB", "GB-months of point-in-time recovery"),
    # aws.amazon.com/sqs/pricing: each 64 KB of a request is one request.
    "queue_requests": Price(0.40 / MILLION, "SQS", "requests"),
    "fifo_requests": Price(0.50 / MILLION, "SQS", "FIFO requests"),
    # aws.amazon.com/lambda/pricing: arm64, first tier.
    "invocations": Price(0.20 / MILLION, "Lambda", "invocations"),
    "gb_seconds": Price(0.0000133334, "Lambda", "GB-seconds (arm64)"),
    # aws.amazon.com/step-functions/pricing
    "transitions": Price(25.0 / MILLION, "Step Functions", "state transitions"),
    "express_requests": Price(1.0 / MILLION, "Step Functions", "Express executions"),
    "express_gb_seconds": Price(0.00001667, "Step Functions", "Express GB-seconds"),
    # aws.amazon.com/s3/pricing: Standard.
    "object_writes": Price(5.0 / MILLION, "S3", "PUT, POST and LIST requests"),
    "object_reads": Price(0.4 / MILLION, "S3", "GET requests"),
    "object_gb": Price(0.023, "S3", "GB-months stored"),
    # aws.amazon.com/cloudwatch/pricing: logs by the GB taken in, metrics and alarms by the month. Metrics of functions
    # travel in their logs (EMF).
    "log_gb": Price(0.50, "CloudWatch", "GB of logs"),
    "metrics": Price(0.30, "CloudWatch", "custom metrics a month"),
    "alarms": Price(0.10, "CloudWatch", "alarms a month"),
    # aws.amazon.com/xray/pricing
    "traces": Price(5.0 / MILLION, "X-Ray", "traces"),
    # aws.amazon.com/eventbridge/pricing: each 64 KB of an event is one event; rules that follow a schedule are free.
    "events": Price(1.0 / MILLION, "EventBridge", "custom events"),
}

EVENTBRIDGE_SCHEDULER = 1.0 / MILLION
"""Dollars that EventBridge Scheduler asks for one invocation of a target, the target's own cost apart."""
