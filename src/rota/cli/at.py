"""rota at: do something once."""

from __future__ import annotations

from typing import Annotated

import typer

from rota.cli.definition import aimed, given, retry_policy
from rota.cli.options import (
    AllowPrivate,
    AppName,
    Delivery,
    Description,
    Header,
    Json,
    Method,
    Payload,
    Precise,
    RetryAttempts,
    RetryFactor,
    RetryInitial,
    RetryJitter,
    RetryMaximum,
    Tag,
    Target,
    Timeout,
    Url,
    instant,
    json_value,
    number_or_none,
    several,
)
from rota.cli.output import print_json, say
from rota.cli.session import connect
from rota.wiring import DEFAULT_URL

When = Annotated[
    str,
    typer.Argument(metavar="WHEN", help="ISO time with offset, or epoch seconds; past is at once.", show_default=False),
]
Id = Annotated[str | None, typer.Option("--id", help="Make it a schedule that can be listed, paused and deleted.")]


def at(
    when: When,
    target: Target,
    method: Method = None,
    header: Header = None,
    allow_private: AllowPrivate = None,
    payload: Payload = None,
    id: Id = None,
    timeout: Timeout = None,
    delivery: Delivery = None,
    precise: Precise = None,
    tag: Tag = None,
    description: Description = None,
    retry_attempts: RetryAttempts = None,
    retry_initial: RetryInitial = None,
    retry_factor: RetryFactor = None,
    retry_maximum: RetryMaximum = None,
    retry_jitter: RetryJitter = None,
    app: AppName = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Do something once, at a time; answers the run id."""
    options = given(
        timeout=None if timeout is None else number_or_none("timeout", timeout),
        delivery=delivery,
        precise=precise,
        tags=several("tag", tag),
        description=description,
        retry=retry_policy(retry_attempts, retry_initial, retry_factor, retry_maximum, retry_jitter),
    )
    value = json_value("payload", payload)
    with connect(url, app, make=True) as client:
        run = client.at(instant("when", when), aimed(target, method, header, allow_private), value, id=id, **options)
    if json:
        print_json({"run": run})
    else:
        say(run)
