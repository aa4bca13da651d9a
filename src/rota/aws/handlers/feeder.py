"""The feeder function. EventBridge calls it every period, and it calls itself with `{"shards": [[generation, number,
of], ...]}` for those that one invocation does not feed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from rota.aws.feeder import Fed, Feeder, Invoke
from rota.aws.handlers.setting import Context, began, figures, parts, starting
from rota.aws.sessions import client, translated
from rota.core.errors import InvalidError, StoreError
from rota.ports.far_tier import Shard

log: logging.Logger = logging.getLogger("rota.feeder")
_RESIZED = "shards resized to %d"


@cache
def lambda_client() -> Any:
    """Shared by invocations."""
    return client("lambda")


def _invoking(function: str) -> Invoke:
    """Invokes `function` for a group of shards, without waiting for it."""

    def invoke(shards: Sequence[Shard]) -> None:
        payload = msgspec.json.encode({"shards": [list(shard) for shard in shards]})
        try:
            lambda_client().invoke(FunctionName=function, InvocationType="Event", Payload=payload)
        except (BotoCoreError, ClientError) as error:
            raise translated(error, "lambda") from error

    return invoke


def _asked(event: dict[str, Any]) -> list[Shard] | None:
    """The shards of an event; None for all."""
    if "shards" not in event:
        return None
    try:
        return [Shard(*row) for row in msgspec.convert(event["shards"], list[tuple[int, int, int]])]
    except msgspec.ValidationError as error:
        raise InvalidError("shards", event["shards"], f"rows of generation, number and of ({error})") from None


def _resize(shards: int) -> None:
    """Make the far tier as many shards as the stack's parameter says."""
    built = parts()
    known = built.far.shards()
    newest = max((shard.generation for shard in known), default=0)
    if shards and (not known or any(shard.of != shards for shard in known if shard.generation == newest)):
        built.far.resize(shards, built.clock.now())
        log.info(_RESIZED, shards)
    elif shards and len({shard.generation for shard in known}) > 1:
        # Older generations that have run empty are dropped by this.
        built.far.resize(shards, built.clock.now())


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Feed all shards, or those of the event; answers counts."""
    began(context)
    built, asked = parts(), _asked(event)
    if asked is None:
        _resize(built.settings.shards)
    feeder = Feeder(
        built.far,
        built.schedules,
        built.handover,
        built.clock,
        horizon=built.settings.horizon * 1000,
        holder=context.aws_request_id,
        invoke=_invoking(context.function_name) if asked is None else None,
    )
    fed = feeder.feed(context.get_remaining_time_in_millis, asked)
    _tell(fed, figures().put)
    figures().flush()
    log.info("fed", extra=msgspec.to_builtins(fed))
    if fed.failed and not (fed.runs or fed.ticks):
        raise StoreError(f"{fed.failed} shards could not be fed; the log says why")
    return msgspec.to_builtins(fed)  # type: ignore[no-any-return]


def _tell(fed: Fed, put: Callable[[str, float, str], None]) -> None:
    put("FeederLag", fed.lag / 1000, "Seconds")
    put("HandedOver", fed.runs, "Count")
    put("TicksHandedOver", fed.ticks, "Count")
    put("ShardsFailed", fed.failed, "Count")
    put("ShardsCut", fed.cut, "Count")


if starting():
    parts()
