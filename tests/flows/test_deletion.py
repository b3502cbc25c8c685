"""After a deletion no table, record or file of the whole job holds the user's id or that of a visitor who was merged into them."""

from __future__ import annotations

import json
from pathlib import Path

from state.duration import DAY, HOUR, MINUTE
from state.messages import Message
from tests.support.job_runs import finish
from tests.support.stories import Log

USER, VISITORS = "ana-who-leaves", ("cookie-of-her-phone", "cookie-of-her-laptop")
EARLIER = ("first-cookie-of-her-phone", "second-cookie-of-her-phone")
"""Ids that visitors named: each by the next, the last by the first of ``VISITORS``."""
STAYS = "ben-who-stays"


def story() -> bytes:
    """A user with merged visitors, one of them with earlier ids, and a rejected message is deleted; others go on for two days."""
    log = Log()
    for number, visitor in enumerate(EARLIER):
        log.send(7 * HOUR + number * MINUTE, visitor, "page_view", visitor=True, path="/sources/new")
    log.send(7 * HOUR + 2 * MINUTE, EARLIER[1], "identity_merged", visitor=True, previousId=EARLIER[0])
    log.send(7 * HOUR + 3 * MINUTE, EARLIER[0], "form_submit", visitor=True, form="workspace")
    for number, visitor in enumerate(VISITORS):
        log.send(8 * HOUR + number * MINUTE, visitor, "page_view", visitor=True, path="/sources/new")
    log.send(9 * HOUR, USER, "signup", traits={"persona": "analyst", "firstName": "Ana"})
    log.send(9 * HOUR, STAYS, "signup", traits={"persona": "engineer"})
    for number, visitor in enumerate(VISITORS):
        log.send(9 * HOUR + number * MINUTE, USER, "identity_merged", previousId=visitor)
    log.send(9 * HOUR + MINUTE, VISITORS[0], "identity_merged", visitor=True, previousId=EARLIER[1])
    log.raw(json.dumps({"eventId": "odd", "userId": USER, "eventType": "no_such_type"}).encode(), 9 * HOUR + 2 * MINUTE)
    late = {"eventType": "no_such_type", "payload": {"email": "x" * 5_000}, "eventId": "odd2", "userId": USER}
    log.raw(json.dumps(late).encode(), 9 * HOUR + 2 * MINUTE)
    log.send(9 * HOUR + 3 * MINUTE, USER, "recommendation_shown")
    log.send(9 * HOUR + 4 * MINUTE, VISITORS[0], "page_view", visitor=True, path="/sources")
    log.send(10 * HOUR, USER, "user_deleted")
    log.send(10 * HOUR + MINUTE, VISITORS[1], "page_view", visitor=True, path="/sources")
    log.send(10 * HOUR + MINUTE, EARLIER[0], "page_view", visitor=True, path="/sources")
    for hour in range(11, 48, 6):
        log.send(hour * HOUR, STAYS, "page_view", path="/")
    log.send(2 * DAY, STAYS, "page_view", path="/end")
    return b"\n".join(item.value for item in log.items if isinstance(item, Message)) + b"\n"


def test_nothing_that_the_job_keeps_names_a_deleted_user_or_their_visitors(tmp_path: Path) -> None:
    source = tmp_path / "events.jsonl"
    source.write_bytes(story())
    left = finish(tmp_path / "data", source)
    tables = {name: "\n".join(rows) for name, rows in left.items() if name not in ("redis", "dead_letter_file")}
    for name in (USER, *VISITORS, *EARLIER):
        assert [table for table, rows in tables.items() if name in rows] == [], name
        # Only the key of a tombstone names them, for ten minutes.
        records = [json.loads(row) for row in left["redis"] if name in row]
        assert all(record == {"key": record["key"], "deleted": True, "version": record["version"]} for record in records)
    assert "no_such_type" not in tables["dead_letters"], "one of them names the user only behind what its row shows"
    assert STAYS in tables["events"]
    assert USER in "\n".join(left["dead_letter_file"]), "the operator's own file keeps rejected messages whole"
