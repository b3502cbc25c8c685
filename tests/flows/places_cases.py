"""Messages of users of whom one is deleted, for tests of the places that hold them."""

from __future__ import annotations

import json
from typing import Any

from state.decode import decode
from state.event import Event
from state.messages import Message
from state.records.subject import Subject

NOW = 1_767_600_000_000
ANN = Subject("default", ("ann-who-leaves", "cookie-of-ann"))


def event(user: str, kind: str = "page_view", *, tenant: str = "default", **payload: Any) -> bytes:
    fields = {"eventId": f"e-{user}-{kind}", "userId": user, "tenantId": tenant, "eventType": kind, "timestamp": "2026-01-05T08:00:00Z"}
    return json.dumps({**fields, "payload": {"path": "/"} | payload}).encode()


def deletion(user: str, **more: Any) -> bytes:
    fields = json.loads(event(user, "user_deleted"))
    return json.dumps({**fields, "payload": {}, **more}).encode()


WITH_CONTENT = deletion("ann-who-leaves", payload={"email": "ann@home.example"}, traits={"name": "Ann"}, name="Ann")
HEADERS = (("x-mail", b"ann@home.example"), ("traceparent", b"00-1"))
MESSAGES = [
    event("ann-who-leaves"), event("cookie-of-ann"), event("ben-who-stays"), event("ann-who-leaves", tenant="other"),
    event("ben-who-stays", "identity_merged", previousId="cookie-of-ann"), deletion("ann-who-leaves"),
    event("ben-who-stays", text="ann-who-leaves"),
]  # fmt: skip
OF_ANN = (0, 1, 4)
"""Those about her. The deletion stays; a text of somebody else's that mentions her is theirs."""


def bare(value: bytes) -> bool:
    fields = json.loads(value)
    return fields == json.loads(deletion("ann-who-leaves")) and isinstance(decode(Message(value, None, "", 0, 0, NOW, NOW, 0)), Event)
