"""A transactional outbox: events are written in the transaction of your app, and a relay sends them to Onramp's gateway.

An app that changes its database and then sends an event does two things. If it dies between them, the event is missing, or tells of a
change that never happened. Here the event is a row of the same transaction, so both happen or neither does::

    with connection:  # one transaction
        connection.execute("INSERT INTO invoices ...")
        outbox.put(connection, {"userId": "u-17", "eventType": "track", "name": "invoice_created", "payload": {}})

The relay, a process of its own, sends the rows in their order, and marks a row when the gateway has answered that it is stored. If it dies
before that, it sends the row again with the same ``eventId``, which counts once. So nothing is lost, and nothing counts twice.

    GATEWAY_KEY=sk_... python examples/outbox.py --database app.db --url http://127.0.0.1:8080

It needs Python alone. Any DB-API connection will do; for PostgreSQL pass ``mark="%s"`` and write the table with an identity column.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sqlite3
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

TABLE = """
CREATE TABLE IF NOT EXISTS onramp_outbox (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order
    event_id TEXT NOT NULL UNIQUE,
    body     TEXT NOT NULL,                      -- the event as JSON
    sent_at  TEXT,                               -- when the gateway had it, or refused it for good
    refused  TEXT                                -- why it was refused; look at these rows
)
"""
AT_ONCE = 500
MOST_BYTES = 900_000
"""The gateway takes at most 1,000 events, and 1 MiB, in a request."""
LONGEST_WAIT_S = 60.0


class Answer(NamedTuple):
    """What the gateway said. ``status`` is 0 if it could not be reached."""

    status: int
    body: dict[str, Any]
    retry_after: float = 0.0


class RelayError(Exception):
    """The gateway refuses everything, so somebody must act. The rows stay as they are."""


Post = Callable[[bytes], Answer]


def put(connection: Any, event: dict[str, Any], *, mark: str = "?") -> str:
    """Write an event as part of the transaction of ``connection``, and return its id. You commit. Raises ``ValueError`` for NaN."""
    whole = {"eventId": uuid.uuid4().hex, "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"), "payload": {}, **event}
    sql = f"INSERT INTO onramp_outbox (event_id, body) VALUES ({mark}, {mark})"  # noqa: S608 - a constant of the driver
    connection.cursor().execute(sql, (whole["eventId"], json.dumps(whole, allow_nan=False)))
    return str(whole["eventId"])


class Relay:
    """Sends what is in the outbox, in its order. One at a time is enough; a second one does no harm but to the order."""

    def __init__(self, connection: Any, post: Post, *, mark: str = "?", sleep: Callable[[float], None] = time.sleep) -> None:
        self._connection = connection
        self._post = post
        self._mark = mark
        self._sleep = sleep
        self._at_once = AT_ONCE
        self._failures = 0

    def run(self, *, once: bool = False, idle_s: float = 0.5) -> None:
        """Send until the process ends; with ``once`` until nothing is left. Raises ``RelayError``."""
        while True:
            if not self.step():
                if once:
                    return
                self._sleep(idle_s)

    def step(self) -> bool:
        """Send the oldest rows. Return whether there were any."""
        cursor = self._connection.cursor()
        cursor.execute(f"SELECT event_id, body FROM onramp_outbox WHERE sent_at IS NULL ORDER BY id LIMIT {self._at_once:d}")  # noqa: S608
        rows = cursor.fetchall()
        self._connection.rollback()  # a read may have begun a transaction; do not hold it while the gateway answers
        if not rows:
            return False
        ids: list[str] = []
        bodies: list[bytes] = []
        size = 0
        for event_id, body in rows:
            size += len(body.encode()) + 1
            if ids and size > MOST_BYTES:
                break
            ids.append(event_id)
            bodies.append(body.encode())
        self._take(self._post(b"[" + b",".join(bodies) + b"]"), ids)
        return True

    def _take(self, answer: Answer, ids: list[str]) -> None:
        rejected = answer.body.get("rejected", [])
        if answer.status == 202:
            self._settle(dict.fromkeys(ids))
        elif rejected:  # 400, 403 or 413: these events will never be taken; the others are stored
            refused = {ids[each["index"]]: json.dumps(each.get("faults", answer.body.get("code"))) for each in rejected}
            stored = set(answer.body.get("stored", []))
            self._settle({each: refused.get(each) for each in ids if each in refused or each in stored})
        elif answer.status in {400, 408, 413} and len(ids) > 1:  # one row may be at fault, or all of them are too much
            self._at_once = len(ids) // 2
        elif answer.status == 413 or (answer.status == 400 and "code" in answer.body):  # a 400 without it is not the gateway's
            self._settle({ids[0]: json.dumps({"status": answer.status, **answer.body})})
        elif answer.status in {0, 408, 429} or answer.status >= 500:
            self._failures += 1
            self._sleep(min(LONGEST_WAIT_S, max(answer.retry_after, 0.1 * 2 ** min(self._failures, 10))))
        else:
            raise RelayError(f"the gateway answered {answer.status}: {answer.body.get('message', answer.body.get('code', 'no reason'))}")

    def _settle(self, events: dict[str, str | None]) -> None:
        """Mark events as done, with the reason where they were refused."""
        self._failures, self._at_once = 0, min(AT_ONCE, 2 * self._at_once)  # of many bad rows each costs two requests
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        sql = f"UPDATE onramp_outbox SET sent_at = {self._mark}, refused = {self._mark} WHERE event_id = {self._mark}"  # noqa: S608
        self._connection.cursor().executemany(sql, [(now, reason, event_id) for event_id, reason in events.items()])
        self._connection.commit()


def gateway(url: str, key: str, *, timeout_s: float = 30.0) -> Post:
    """Return what posts to the gateway at ``url`` with a server key."""

    def post(body: bytes) -> Answer:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        request = urllib.request.Request(f"{url.rstrip('/')}/v1/events", body, headers)  # noqa: S310 - the operator's address
        try:
            try:
                response = urllib.request.urlopen(request, timeout=timeout_s)  # noqa: S310 - the same
            except urllib.error.HTTPError as refusal:
                response = refusal  # an answer as well, which may be cut off as well
            with response:
                text = response.read()
        except (OSError, ValueError, http.client.HTTPException):  # not reached, or cut off: it may be stored or not
            return Answer(0, {})
        try:
            found = json.loads(text)
        except ValueError:  # from something between here and the gateway
            if response.status < 400:
                return Answer(0, {})
            found = {}
        wait = response.headers.get("retry-after", "")
        return Answer(response.status, found if isinstance(found, dict) else {}, float(wait) if wait.isdigit() else 0.0)

    return post


def main() -> None:
    """Run the relay on an SQLite database."""
    parser = argparse.ArgumentParser(description="Send the events of an outbox to Onramp's gateway. The key is in GATEWAY_KEY.")
    parser.add_argument("--database", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--once", action="store_true", help="end when nothing is left")
    given = parser.parse_args()
    connection = sqlite3.connect(given.database, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(TABLE)
    connection.commit()
    try:
        Relay(connection, gateway(given.url, os.environ["GATEWAY_KEY"])).run(once=given.once)
    except RelayError as error:
        sys.exit(f"outbox: {error}.")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
