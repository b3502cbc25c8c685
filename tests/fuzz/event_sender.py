"""Makes events, sound and odd ones, and the rows of ``person_timeline`` for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from state.records.facts import EventFact
from state.vocabulary import EVENT_TYPES

RARELY: Final = 0.02
FIRST: Final = datetime(2026, 3, 2, tzinfo=UTC)
STEP: Final = 40
"""Seconds between two events."""
TEXTS: Final = [
    *"a Ana null undefined NaN None %FNAME% {{first_name}} N/A 12345 true false off no on 0 1 opt_out none all email in_app".split(),
    *"22:00 07:00 9:00 22:00:00 24:00 10pm 25:00 Europe/Berlin europe/berlin +02:00 GMT+99 ../../etc/passwd localtime".split(),
    *"/connect connect source_x analyst u1 u2 c1 {} [] \\ud83d 2026-03-02T09:00:00Z 2026-06-30T23:59:60Z 2026-03-02 99999999999".split(),
    *("", " ", "[object Object]", "25:61 am", "W. Europe Standard Time", "'; DROP TABLE x", "x" * 129, "x" * 300),
    *("\x00", "\x1b[31m", "\x85", "\u202eevil", "\ud83d", "\udc00\ud83d", "\U0001f600", "é", "\ufeff"),
]
NUMBERS: Final = [0, 1, -1, 2, 22, 120, 0.5, 1e308, -0.0, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30]
RAW: Final = [
    "1e400",
    "-1e999",
    "NaN",
    "Infinity",
    "1" + "0" * 400,
    "1" + "0" * 5_000,
    '"\\ud800"',
    '"\\udc00x"',
    "[1,]",
    "01",
    "tru",
    '"\\x"',
    "'a'",
    "{}",
]
FIELDS: Final = "eventId userId anonymousId tenantId sessionId eventType name payload timestamp schemaVersion context".split()
PAYLOAD: Final = (
    "path title target label form code message recommendationId guidance modelText channels quietHours quiet_hours previousId traits"
    " text comment query public status".split()
)
TRAITS: Final = "persona useCase companySize signupSource tier locale timezone firstName pro other".split()
NEEDS: Final[dict[str, dict[str, Any]]] = {
    "page_view": {"path": "/connect"},
    "button_click": {"target": "invite"},
    "form_submit": {"form": "connect"},
    "error": {"code": "source_x"},
    "step_completed": {"step": "invite"},
    "identity_merged": {"previousId": "c1"},
    "signup": {"traits": {"persona": "analyst"}},
}


class Sender:
    """Makes events: sound ones, in which a few values are replaced by others of any type, and whose bytes are damaged now and then."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.issued: list[str] = []
        self.sent = 0

    def message(self) -> bytes:
        """The next message."""
        rng = self.random
        self.sent += 1
        kind = rng.choice(sorted(EVENT_TYPES))
        payload: Any = dict(NEEDS.get(kind, {}))
        for _ in range(rng.randrange(4)):
            payload[rng.choice(PAYLOAD)] = self.value()
        if kind in ("signup", "identify") and rng.random() < 0.7:
            payload["traits"] = {rng.choice(TRAITS): self.value() for _ in range(rng.randrange(5))}
        if kind == "preferences_changed" and rng.random() < 0.7:
            payload["quietHours"] = {rng.choice(["start", "end", "enabled", "from"]): self.value(1) for _ in range(rng.randrange(4))}
        if self.issued and rng.random() < 0.3:
            payload["recommendationId"] = rng.choice(self.issued[-20:])
        moment = FIRST + timedelta(seconds=self.sent * STEP)
        event: dict[str, Any] = {
            "eventId": f"e{rng.randrange(self.sent + 1)}",
            rng.choice(["userId", "userId", "anonymousId"]): rng.choice(["u1", "u2", "u3", "c1", "c2"]),
            "eventType": kind,
            "timestamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "payload": payload,
        }
        if kind == "track":
            event["name"] = rng.choice(["connected", "explored", "shared", "other"])
        for _ in range(rng.choice([0, 0, 1, 1, 2])):
            event[rng.choice(FIELDS)] = self.value()
        if rng.random() < RARELY:
            event.pop(rng.choice(list(event)))
        return self.written(event)

    def value(self, depth: int = 3) -> Any:
        """A value of any type; ``__raw…`` stands for what no library would write."""
        rng = self.random
        turn = rng.random()
        if turn < 0.4:
            return rng.choice(TEXTS)
        if turn < 0.6:
            return rng.choice(NUMBERS)
        if turn < 0.75 or not depth:
            return rng.choice([None, True, False])
        if turn < 0.78:
            return f"__raw{rng.randrange(len(RAW))}__"
        if turn < 0.9:
            return [self.value(depth - 1) for _ in range(rng.randrange(3))]
        if turn < 0.91:
            return self.nested(rng.choice([30, 31, 32, 33, 200]))
        return {rng.choice([*TEXTS, *PAYLOAD, "enabled"]): self.value(depth - 1) for _ in range(rng.randrange(3))}

    def nested(self, levels: int) -> Any:
        """A value so deep."""
        value: Any = 1
        for _ in range(levels):
            value = [value] if self.random.random() < 0.5 else {"a": value}
        return value

    def written(self, event: dict[str, Any]) -> bytes:
        """``event`` as bytes."""
        rng = self.random
        text = json.dumps(event, ensure_ascii=rng.random() < 0.5)
        for number, raw in enumerate(RAW):
            text = text.replace(f'"__raw{number}__"', raw)
        data = text.encode("utf-8", "surrogatepass")
        if rng.random() < RARELY:
            data = b"\xef\xbb\xbf" + data
        if rng.random() < RARELY:
            data = data[: rng.randrange(len(data))]
        if rng.random() < RARELY:
            place = rng.randrange(len(data) or 1)
            data = data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]
        if rng.random() < RARELY / 10:
            data = data.replace(b'"payload": {', b'"payload": {"big": "' + b"x" * rng.choice([32_700, 32_768, 1_100_000]) + b'", ', 1)
        return data


def row_of(fact: EventFact) -> dict[str, Any]:
    """The row of ``person_timeline`` for an event."""
    blank = dict.fromkeys(("path_id", "step_id", "trigger", "arm", "propensity", "decision_id"), "")
    status = "" if fact.status == "applied" else fact.status
    return {**blank, "at": 0, "kind": "event", "what": f"{fact.event_type} {fact.name}".strip(), "reason": status, "detail": fact.payload}
