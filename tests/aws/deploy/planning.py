"""The stack of an app, without bundles."""

from __future__ import annotations

from typing import Any

from rota.app import App
from rota.aws.platform import Platform
from rota.aws.stack.plan import StackPlan, plan_stack
from rota.aws.stack.template import build_template

Json = dict[str, Any]


def plan_of(app: App) -> StackPlan:
    return plan_stack(app, "shop", "0.1.0", Platform())


def template_of(app: App) -> Json:
    return build_template(plan_of(app))
