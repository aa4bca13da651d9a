"""What docs/how-to/operate-on-aws.md says of alarms, against the stacks that have them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.aws.deploy.planning import template_of

from rota.app import App
from rota.core.batch import Topology

PAGE = Path(__file__).resolve().parents[3] / "docs/how-to/operate-on-aws.md"
STACKS: tuple[tuple[tuple[Topology, ...], str], ...] = (
    ((), "## Alarms"),
    (("queue",), "### With batches"),
    (("queue", "map"), 'With `topology="map"` also'),
    (("queue", "pipeline"), 'And with `topology="pipeline"`'),
)


def alarms_of(topologies: tuple[Topology, ...]) -> set[str]:
    app = App("shop")
    for topology in topologies:
        app.batch(topology, source="s3://a/in.jsonl", task="tidy", sink="out/", topology=topology)
    resources = template_of(app)["Resources"]
    return {name for name, it in resources.items() if it["Type"] == "AWS::CloudWatch::Alarm"}


def explained(heading: str) -> list[str]:
    """The alarms of the first table behind a heading."""
    table = PAGE.read_text().partition(heading)[2].partition("\n|---|---|---|\n")[2].partition("\n\n")[0]
    return [name for row in table.splitlines() for name in re.findall(r"`(\w+Alarm)`", row.split("|")[1])]


@pytest.mark.parametrize(("topologies", "heading"), STACKS)
def test_every_alarm_is_explained_once_where_its_stack_is(topologies: tuple[Topology, ...], heading: str) -> None:
    before: tuple[Topology, ...] = topologies[:1] if len(topologies) > 1 else ()
    expected = alarms_of(topologies) - (alarms_of(before) if topologies else set())
    found = explained(heading)
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_the_page_counts_them() -> None:
    said = PAGE.read_text().partition("### What they cost")[2]
    for topologies in ((), ("queue",), ("queue", "map", "pipeline")):
        count = len(alarms_of(topologies))
        assert f"{count} " in said
        assert f"${count / 10:.2f}" in said
