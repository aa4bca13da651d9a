"""rota queue: send to and receive from embedded queues."""

from __future__ import annotations

from typing import Annotated

import typer

from rota.cli.options import Json, Url, json_value
from rota.cli.output import note, print_json, print_table, say
from rota.cli.session import connect
from rota.cli.shapes import message_shape
from rota.core.errors import ConflictError
from rota.wiring import DEFAULT_URL

group: typer.Typer = typer.Typer(name="queue", help="Send to and receive from embedded queues.", no_args_is_help=True)

QueueName = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.", show_default=False)]


@group.command()
def send(
    queue: QueueName,
    payload: Annotated[
        str, typer.Argument(metavar="JSON", help="The message; @FILE, or - for stdin.", show_default=False)
    ],
    delay: Annotated[float, typer.Option("--delay", metavar="SECONDS", help="Before it can be received.")] = 0,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Send one message."""
    value = json_value("message", payload)
    with connect(url, make=True) as client:
        client.queues.send(queue, value, delay=delay)
    if json:
        print_json({"sent": 1, "queue": queue})
    else:
        say(f"sent to {queue}")


@group.command()
def receive(
    queue: QueueName,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many at most.")] = 1,
    wait: Annotated[float, typer.Option("--wait", metavar="SECONDS", help="For the first message.")] = 0,
    visibility: Annotated[
        float, typer.Option("--visibility", metavar="SECONDS", help="Hidden from other receivers for so long.")
    ] = 30,
    ack: Annotated[bool, typer.Option("--ack", help="Remove what is received, once it is printed.")] = False,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Receive messages: each line is a receipt and the message. Not acknowledged, they come again."""
    with connect(url) as client:
        messages = client.queues.receive(queue, limit=limit, visibility=visibility, wait=wait)
        if json:
            print_json([message_shape(message) for message in messages])
        else:
            for message in messages:
                say(message.body.decode() if ack else f"{message.receipt}  {message.body.decode()}")
        if ack and messages:
            client.queues.ack([message.receipt for message in messages])
    if not messages:
        note("no message")


@group.command()
def ack(
    receipts: Annotated[list[str], typer.Argument(metavar="RECEIPT...", help="From receive.", show_default=False)],
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Remove received messages."""
    with connect(url) as client:
        answers = dict(zip(receipts, client.queues.ack(receipts), strict=True))
    if json:
        print_json(answers)
    else:
        say(f"{sum(answers.values())} acknowledged")
    void = [receipt for receipt, done in answers.items() if not done]
    if void:
        raise ConflictError(
            f"void, because the visibility timeout passed or it was acknowledged before: {', '.join(void)}",
            receipt=void[0],
        )


@group.command("list")
def list_queues(url: Url = DEFAULT_URL, json: Json = False) -> None:
    """List queues and how many messages they hold, hidden ones included."""
    with connect(url) as client:
        sizes = client.queues.sizes()
    if json:
        print_json(sizes)
    elif sizes:
        print_table(["queue", "messages"], [[name, str(size)] for name, size in sorted(sizes.items())])
    else:
        note("no messages in any queue")
