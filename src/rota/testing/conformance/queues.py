"""QueueStore: messages stay until they are acknowledged."""

from __future__ import annotations

from rota.ports.queues import NewMessage
from rota.testing.conformance.values import LARGEST, T0
from rota.testing.stores import Stores

MINUTE = 60_000


class TestQueueStore:
    def _send(self, stores: Stores, *bodies: str, queue: str = "q", visible_at: int = T0, now: int = T0) -> None:
        stores.queues.send([NewMessage(queue, body.encode(), visible_at) for body in bodies], now)

    def _bodies(self, stores: Stores, limit: int = 10, now: int = T0, queue: str = "q") -> list[str]:
        return [message.body.decode() for message in stores.queues.receive(queue, limit, MINUTE, now)]

    def test_a_message_arrives_as_it_was_sent(self, stores: Stores) -> None:
        stores.queues.send([NewMessage("größe?no", '{"größe":"日本"}'.encode(), T0 + 5, "s@2026-01-01T00:00:00Z")], T0)
        [message] = stores.queues.receive("größe?no", 10, MINUTE, T0 + 7)
        assert (message.queue, message.body) == ("größe?no", '{"größe":"日本"}'.encode())
        assert (message.sent, message.received, message.run_id) == (T0, 1, "s@2026-01-01T00:00:00Z")

    def test_the_largest_body_fits(self, stores: Stores) -> None:
        stores.queues.send([NewMessage("q", LARGEST, T0)], T0)
        assert [message.body for message in stores.queues.receive("q", 1, MINUTE, T0)] == [LARGEST]

    def test_nothing_to_do_is_no_error(self, stores: Stores) -> None:
        stores.queues.send([], T0)
        assert stores.queues.receive("nobody", 10, MINUTE, T0) == []
        assert stores.queues.ack([]) == []
        assert stores.queues.sizes() == {}

    def test_the_earliest_visible_comes_first_then_the_first_sent(self, stores: Stores) -> None:
        self._send(stores, "late", visible_at=T0 + 2)
        self._send(stores, "a", "b", "c", visible_at=T0 + 1)
        self._send(stores, "future", visible_at=T0 + MINUTE)
        assert self._bodies(stores, now=T0) == []
        assert self._bodies(stores, limit=2, now=T0 + 2) == ["a", "b"]
        assert self._bodies(stores, now=T0 + 2) == ["c", "late"]
        assert self._bodies(stores, now=T0 + 2) == []

    def test_queues_do_not_mix(self, stores: Stores) -> None:
        self._send(stores, "mine", queue="a")
        self._send(stores, "yours", queue="b")
        assert self._bodies(stores, queue="b") == ["yours"]
        assert stores.queues.sizes() == {"a": 1, "b": 1}

    def test_a_received_message_is_hidden_until_its_time_is_up(self, stores: Stores) -> None:
        self._send(stores, "a")
        assert self._bodies(stores) == ["a"]
        assert self._bodies(stores, now=T0 + MINUTE - 1) == []
        assert stores.queues.sizes() == {"q": 1}
        [message] = stores.queues.receive("q", 10, MINUTE, T0 + MINUTE)
        assert (message.body, message.received) == (b"a", 2)

    def test_an_acknowledged_message_is_gone(self, stores: Stores) -> None:
        self._send(stores, "a", "b")
        first, second = stores.queues.receive("q", 10, MINUTE, T0)
        assert stores.queues.ack([first.receipt, "no receipt", ""]) == [True, False, False]
        assert stores.queues.ack([first.receipt]) == [False]
        assert self._bodies(stores, now=T0 + MINUTE) == ["b"]
        assert stores.queues.ack([second.receipt]) == [False]

    def test_a_receipt_is_good_until_someone_else_received(self, stores: Stores) -> None:
        self._send(stores, "a")
        [early] = stores.queues.receive("q", 1, MINUTE, T0)
        [late] = stores.queues.receive("q", 1, MINUTE, T0 + MINUTE)
        assert stores.queues.ack([early.receipt]) == [False]
        assert self._bodies(stores, now=T0 + 2 * MINUTE - 1) == []
        assert stores.queues.ack([late.receipt]) == [True]
        self._send(stores, "b")
        [slow] = stores.queues.receive("q", 1, MINUTE, T0)
        assert stores.queues.ack([slow.receipt]) == [True], "its time is up, but nobody else received it"

    def test_a_receipt_never_fits_another_message(self, stores: Stores) -> None:
        self._send(stores, "a")
        [first] = stores.queues.receive("q", 1, MINUTE, T0)
        stores.queues.ack([first.receipt])
        self._send(stores, "b")
        stores.queues.receive("q", 1, MINUTE, T0)
        assert stores.queues.ack([first.receipt]) == [False]
        assert stores.queues.sizes() == {"q": 1}

    def test_a_run_is_in_a_queue_once(self, stores: Stores) -> None:
        one = NewMessage("q", b'"first"', T0, "s@1")
        stores.queues.send([one, NewMessage("q", b'"twin"', T0, "s@1"), NewMessage("q", b'"next"', T0, "s@2")], T0)
        stores.queues.send([NewMessage("q", b'"again"', T0, "s@1"), NewMessage("other", b'"other"', T0, "s@1")], T0)
        assert stores.queues.sizes() == {"q": 2, "other": 1}
        first, _ = stores.queues.receive("q", 10, MINUTE, T0)
        assert first.body == b'"first"'
        stores.queues.send([NewMessage("q", b'"hidden"', T0, "s@1")], T0)
        assert stores.queues.sizes()["q"] == 2
        stores.queues.ack([first.receipt])
        stores.queues.send([NewMessage("q", b'"later"', T0, "s@1")], T0)
        assert self._bodies(stores) == ['"later"']

    def test_messages_without_a_run_are_all_kept(self, stores: Stores) -> None:
        self._send(stores, "same", "same")
        self._send(stores, "same")
        assert self._bodies(stores) == ["same"] * 3

    def test_thousands_in_one_call(self, stores: Stores) -> None:
        self._send(stores, *(f"{n}" for n in range(3000)))
        messages = stores.queues.receive("q", 5000, MINUTE, T0)
        assert [message.body for message in messages] == [b"%d" % n for n in range(3000)]
        assert all(stores.queues.ack([message.receipt for message in messages]))
        assert stores.queues.sizes().get("q", 0) == 0
