"""Sending to SQS: batches, delays, what fails and what is refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.aws.firing.world import BASE, DATA, client_error

from rota.aws.near import BATCH, BATCH_BYTES, NearTier, Outgoing, delay_seconds
from rota.core.errors import InvalidError, StoreError
from rota.testing import FakeClock
from rota.testing.sqs import FakeSqs

FIFO = f"{BASE}/orders.fifo"


class Tier:
    def __init__(self, threads: int = 1) -> None:
        self.clock = FakeClock()
        self.sqs = FakeSqs(self.clock, (DATA, FIFO), client_error)
        self.slept: list[float] = []
        self.near = NearTier(self.sqs, self.clock, threads=threads, tries=4, sleep=self.slept.append)


@given(due=st.integers(0, 2_000_000), now=st.integers(0, 2_000_000))
def test_a_message_is_never_early_nor_a_second_late_within_fifteen_minutes(due: int, now: int) -> None:
    delay = delay_seconds(due, now)
    assert 0 <= delay <= 900
    if now <= due <= now + 900_000:
        assert due <= now + 1000 * delay < due + 1000
    early = delay_seconds(due, now, early=True)
    if now + 2000 <= due <= now + 900_000:
        assert due - 2000 < now + 1000 * early <= due - 1000


@given(sizes=st.lists(st.integers(1, BATCH_BYTES), min_size=1, max_size=30))
def test_batches_keep_the_limits_of_sqs_and_nothing_is_left_out(sizes: list[int]) -> None:
    tier = Tier()  # the fake refuses a batch that is too large
    assert tier.near.send([Outgoing(DATA, "x" * size) for size in sizes]) == []
    assert sorted(map(len, tier.sqs.bodies(DATA))) == sorted(sizes)


def test_many_messages_take_a_tenth_as_many_calls_by_several_threads() -> None:
    tier = Tier(threads=4)
    tier.near.send([Outgoing(DATA, str(n)) for n in range(1000)])
    tier.near.close()
    assert sorted(map(int, tier.sqs.bodies(DATA))) == list(range(1000))
    assert tier.sqs.calls == {"SendMessageBatch": 1000 // BATCH}


def test_a_message_larger_than_sqs_takes_is_one_clear_error() -> None:
    with pytest.raises(InvalidError, match="at most 1048576 bytes"):
        Tier().near.send([Outgoing(DATA, "x" * (BATCH_BYTES + 1))])


def test_entries_that_failed_are_sent_again_and_no_others() -> None:
    tier, rng = Tier(), random.Random(1)
    tier.sqs.partial = lambda _: rng.random() < 0.2
    tier.near.send([Outgoing(DATA, str(n)) for n in range(10)])
    assert sorted(map(int, tier.sqs.bodies(DATA))) == list(range(10))
    assert tier.slept == sorted(tier.slept), "later and later"


def test_what_sqs_takes_no_more_of_is_an_error_of_the_store() -> None:
    tier = Tier()
    tier.sqs.partial = lambda body: body == "3"
    with pytest.raises(StoreError, match="did not take 1 messages in 4 tries"):
        tier.near.send([Outgoing(DATA, str(n)) for n in range(5)])
    assert len(tier.sqs.bodies(DATA)) == 4


def test_a_queue_that_is_gone_refuses_and_others_do_not_suffer() -> None:
    tier = Tier()
    gone = Outgoing(f"{BASE}/gone", "a")
    [refused] = tier.near.send([gone, Outgoing(DATA, "b")])
    assert refused.message == gone
    assert refused.code.endswith("NonExistentQueue")
    assert tier.sqs.bodies(DATA) == ["b"]
    assert tier.slept == []


def test_an_entry_that_is_wrong_is_refused_and_its_batch_is_not() -> None:
    tier = Tier()
    [refused] = tier.near.send([Outgoing(DATA, ""), Outgoing(DATA, "b")])
    assert refused.message.body == ""
    assert tier.sqs.bodies(DATA) == ["b"]


def test_a_fifo_queue_gets_group_and_deduplication_and_no_delay() -> None:
    tier = Tier()
    twice = Outgoing(FIFO, "a", tier.clock.now() + 5000, group="g", dedup="run-1")
    assert tier.near.send([twice, twice, Outgoing(FIFO, "b")]) == []
    assert [(held.body, held.group) for held in tier.sqs.held[FIFO]] == [("a", "g"), ("b", "rota")]
