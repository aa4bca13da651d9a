"""Embedded queues in SQLite. A receipt is the message's id and how often it was received, so it is void after the
next receipt."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from rota.embedded.sqlite.connection import Database
from rota.ports.queues import Message, NewMessage


class SqliteQueues:
    """QueueStore on a Database."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def send(self, messages: Sequence[NewMessage], now: int) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR IGNORE INTO messages (queue, visible_at, body, sent, run_id) VALUES (?, ?, ?, ?, ?)",
                [(message.queue, message.visible_at, message.body, now, message.run_id) for message in messages],
            )

        self._db.write(work)

    def receive(self, queue: str, limit: int, visibility: int, now: int) -> list[Message]:
        if not self._db.read("SELECT 1 FROM messages WHERE queue = ? AND visible_at <= ? LIMIT 1", (queue, now)):
            return []

        def work(connection: sqlite3.Connection) -> list[Message]:
            rows = connection.execute(
                "SELECT id, body, sent, received + 1, run_id FROM messages WHERE queue = ? AND visible_at <= ? ORDER BY visible_at, id LIMIT ?",
                (queue, now, limit),
            ).fetchall()
            connection.executemany(
                "UPDATE messages SET visible_at = ?, received = received + 1 WHERE id = ?",
                [(now + visibility, row[0]) for row in rows],
            )
            return [
                Message(queue, id, body, sent, received, f"{id}-{received}", run)
                for id, body, sent, received, run in rows
            ]

        return self._db.write(work)

    def ack(self, receipts: Sequence[str]) -> list[bool]:
        def work(connection: sqlite3.Connection) -> list[bool]:
            answers = []
            for receipt in receipts:
                id, _, received = receipt.partition("-")
                known = id.isdigit() and received.isdigit()
                sql = "DELETE FROM messages WHERE id = ? AND received = ?"
                answers.append(known and connection.execute(sql, (int(id), int(received))).rowcount == 1)
            return answers

        return self._db.write(work)

    def sizes(self) -> dict[str, int]:
        return dict(self._db.read("SELECT queue, count(*) FROM messages GROUP BY queue ORDER BY queue"))
