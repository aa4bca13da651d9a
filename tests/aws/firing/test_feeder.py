"""The feeder's share of the work: groups of shards, the time it has, and what it tells."""

from __future__ import annotations

from collections.abc import Sequence

from tests.aws.firing.world import DISPATCH, FUNCTION, HOOK, HOUR, MINUTE, SECOND, SETTINGS, Stack

from rota.aws.feeder import Feeder
from rota.core.errors import StoreError
from rota.core.triggers import Every
from rota.ports.far_tier import Shard


class Many:
    """A stack of ten shards, whose feeder takes three. calls: the groups that were passed on."""

    def __init__(self, *, refuse: bool = False) -> None:
        self.stack = Stack(shards=10)
        self.calls: list[Sequence[Shard]] = []
        self.refuse = refuse
        self.runs = [self.stack.client.at((self.stack.clock.now() + (n + 1) * SECOND) / 1000, HOOK) for n in range(60)]

    def invoke(self, shards: Sequence[Shard]) -> None:
        if self.refuse:
            raise StoreError("Lambda is throttled")
        self.calls.append(shards)

    def feeder(self, threads: int = 1) -> Feeder:
        stack = self.stack
        return Feeder(
            stack.far,
            stack.stores.schedules,
            stack.handover(stack.clock),
            stack.clock,
            horizon=SETTINGS.horizon * 1000,
            holder="one",
            invoke=self.invoke,
            threads=threads,
            shards_each=3,
        )

    def handed_over(self) -> int:
        return len(set(self.stack.sqs.bodies(DISPATCH)))


def test_what_one_function_does_not_feed_others_do() -> None:
    many = Many()
    fed = many.feeder().feed(lambda: FUNCTION)
    assert fed.passed == 7
    assert [len(group) for group in many.calls] == [3, 3, 1]
    for group in many.calls:
        fed += many.feeder().feed(lambda: FUNCTION, group)
    assert fed.runs == len(many.runs) == many.handed_over()


def test_who_cannot_pass_shards_on_feeds_them() -> None:
    many = Many(refuse=True)
    fed = many.feeder(threads=4).feed(lambda: FUNCTION)
    assert (fed.passed, fed.runs, fed.failed) == (0, 60, 0)
    assert many.handed_over() == 60


def test_a_feeder_that_is_short_of_time_leaves_the_rest_to_the_next_and_loses_nothing() -> None:
    stack = Stack(shards=1)
    runs = [stack.client.at((stack.clock.now() + (n + 1) * SECOND) / 1000, HOOK) for n in range(50)]
    left = iter([60_000, 60_000, 60_000, *[0] * 100])
    fed = stack.feeder(page=7).feed(lambda: next(left))
    assert fed.cut == 1
    assert 0 < fed.runs < 50
    fed += stack.feeder(page=7).feed(lambda: FUNCTION)
    assert len(set(stack.sqs.bodies(DISPATCH))) == 50
    assert fed.runs <= 52, "the second goes on where the first stopped"
    stack.pass_by(MINUTE)
    assert stack.fired() == runs


def test_a_shard_that_fails_does_not_keep_others_from_being_fed() -> None:
    stack = Stack(shards=4)
    for n in range(40):
        stack.client.at((stack.clock.now() + (n + 1) * SECOND) / 1000, HOOK)
    taken: list[int] = []
    take = stack.far.take

    def failing(shard: Shard, until: int, now: int, lease: int, holder: str) -> object:
        taken.append(shard.number)
        if shard.number == 1:
            raise StoreError("the table takes no more")
        return take(shard, until, now, lease, holder)

    stack.far.take = failing  # type: ignore[method-assign,assignment]
    fed = stack.feed()
    assert sorted(taken) == [0, 1, 2, 3]
    assert fed.failed == 1
    assert 0 < fed.runs < 40
    stack.far.take = take  # type: ignore[method-assign]
    stack.pass_by(2 * MINUTE)
    assert len(set(stack.fired())) == 40


def test_the_lag_is_how_far_behind_now_the_last_shard_is() -> None:
    stack = Stack(shards=2)
    assert stack.feed().lag == 0
    stack.feeding = False
    stack.pass_by(HOUR)
    left = iter([0] * 100)
    assert stack.feeder().feed(lambda: next(left)).lag == HOUR - SETTINGS.horizon * 1000
    assert stack.feed().lag == 0


def test_a_schedule_that_is_paused_or_gone_ends_its_chain() -> None:
    stack = Stack()
    for name in ("paused", "gone"):
        stack.client.schedules.create(name, Every("1m"), HOOK)
    stack.pass_by(90 * SECOND)
    stack.client.schedules.pause("paused")
    stack.client.schedules.delete("gone")
    stack.pass_by(10 * MINUTE)
    assert stack.feed().ticks == 0
    assert len(stack.fired()) == 2
