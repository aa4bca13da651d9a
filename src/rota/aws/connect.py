"""From `aws://STACK` to a client: the stack's outputs tell the rest."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from rota.app import App
from rota.aws.batch.assembly import batch_parts
from rota.aws.batch.settings import BatchSettings
from rota.aws.engine import parts_of
from rota.aws.sessions import client, translated
from rota.aws.settings import StackSettings
from rota.aws.stack_client import client_of
from rota.client import Client
from rota.connectors.aws_errors import code_of
from rota.core.errors import ConflictError, InvalidError, NotFoundError


def connect_url(url: str, app: App | None, settings: Mapping[str, str], actor: str) -> Client:
    """A client of the stack that `aws://STACK?region=...&endpoint_url=...` names. settings: win over the URL's."""
    stack, options = _split(url, settings)
    return connect_stack(stack, app, **options, actor=actor)


def _split(url: str, settings: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    stack, _, query = url.removeprefix("aws://").partition("?")
    if not stack or "/" in stack:
        raise InvalidError("url", url, "aws://STACK, with ?region=... and endpoint_url=... where needed")
    options = {**dict(parse_qsl(query)), **settings}
    for name in options:
        if name not in ("region", "endpoint_url"):
            raise InvalidError("setting", name, "region or endpoint_url where the URL is aws://STACK")
    return stack, options


def connect_stack(
    stack: str,
    app: App | None = None,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    actor: str = "unknown",
) -> Client:
    """A client of the stack of this name. app: lets it check task names. region, endpoint_url: None means what the
    environment and the profile say. NotFoundError where there is no such stack in the region, InvalidError for one that
    is none of rota's, RotaError that names the action where the credentials lack a permission."""
    outputs = stack_outputs(stack, region, endpoint_url)
    settings = StackSettings.from_outputs(stack, outputs)
    parts = parts_of(settings, region or outputs.get("Region"), endpoint_url)
    found = BatchSettings.from_outputs(outputs)
    if found is None:
        return client_of(parts, app, actor)
    batches = batch_parts(parts, found)
    store = batches.looking_store
    around = msgspec.structs.replace(batches.around, choose=store.choice)
    return client_of(parts, app, actor, batches=store, around=around)


def stack_outputs(stack: str, region: str | None = None, endpoint_url: str | None = None) -> Mapping[str, str]:
    """The outputs of a CloudFormation stack. NotFoundError, ConflictError while it is made, RotaError."""
    cloudformation = client("cloudformation", region, endpoint_url)
    used = cloudformation.meta.region_name
    try:
        [found] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except (BotoCoreError, ClientError) as error:
        if isinstance(error, ClientError) and code_of(error) == "ValidationError":
            hint = f"there is none in region {used}; is it another region (?region=...), or not deployed yet?"
            raise NotFoundError("stack", stack, hint) from None
        raise translated(error, "cloudformation", stack=stack) from error
    status = found.get("StackStatus", "")
    outputs = {row["OutputKey"]: row["OutputValue"] for row in found.get("Outputs", ())}
    if not outputs and status.endswith("_IN_PROGRESS"):
        raise ConflictError(f"stack {stack!r} is {status}; try again when that is over", stack=stack)
    if not outputs:
        raise InvalidError("stack", stack, f"a stack that `rota deploy` made; this one is {status}")
    return outputs
