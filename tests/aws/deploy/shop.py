"""An app that names every kind of target, and the stack that it makes."""

from __future__ import annotations

from typing import Any

import rota
from rota.app import App
from rota.aws.platform import Platform
from rota.aws.stack.plan import StackPlan, plan_stack
from rota.aws.stack.template import build_template

Json = dict[str, Any]
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:ship"
FOREIGN_QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders.fifo"


def shop() -> App:
    app = rota.App("shop")

    @app.task
    def tidy() -> None: ...

    app.schedule("tidy", rota.Every("1h"), tidy)
    app.schedule("orders", rota.Every("5m"), "queue:orders")
    app.schedule("charge", rota.Every("5m"), "lambda:charge:live")
    app.schedule("export", rota.Every("5m"), f"sqs:{FOREIGN_QUEUE}")
    app.schedule("ship", rota.Every("5m"), f"stepfunctions:{MACHINE}:7")
    app.batch("all", source="orders.jsonl", task="tidy", sink="out/", notify=["queue:batch-events"])
    return app


def plan_of(app: App) -> StackPlan:
    return plan_stack(app, "shop", "0.1.0", Platform())


def template_of(app: App) -> Json:
    return build_template(plan_of(app))
