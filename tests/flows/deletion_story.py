"""A user with visitors who is deleted, and one who stays."""

from __future__ import annotations

import json

from state.duration import DAY, HOUR, MINUTE
from state.messages import Message
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
