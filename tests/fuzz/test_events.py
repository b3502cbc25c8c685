"""A structure-aware fuzzer of events: whatever an app sends is accepted or a dead letter with a reason, and is folded, kept and shown.

``FUZZ`` multiplies the number of events: ``FUZZ=50`` sends 100,000. A failure names the seed and the message; the same seed sends it again.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import msgspec
import pytest

from operators.decode import Decoder
from reports.timeline import as_records
from state import counters
from state.catalog.plan import Plan
from state.catalog.template import render
from state.event_contract import MAX_AHEAD, MIN_TIMESTAMP, REJECTIONS
from state.event_fields import read_preferences
from state.event_time import peek_timestamp
from state.events import Event, peek
from state.messages import Message
from state.person import snapshot
from state.person.arrivals import TimerDue
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person
from state.person.visitor import VISITOR_CODEC, Stitcher, Visitor
from state.records.facts import EventFact
from state.vocabulary import EVENT_TYPES
from tests.state.lives import KEYS, START, catalog

EVENTS: Final = 2_000 * int(os.environ.get("FUZZ", "1"))
SEEDS: Final = 4
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
COUNTERS: Final = {counter.name for counter in counters.COUNTERS}


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


class Engine:
    """Everything in process that an event passes and that shows it."""

    def __init__(self) -> None:
        self.plan = Plan(catalog(cooldown="1m", cap=50))
        self.decode = Decoder(KEYS)
        self.fold = Fold(self.plan, KEYS)
        self.stitcher = Stitcher(self.plan)
        self.people: dict[tuple[str, str], Person] = {}
        self.visitors: dict[tuple[str, str], Visitor] = {}
        self.reasons: dict[str, int] = {}
        self.accepted = 0
        self.issued: list[str] = []

    def take(self, data: bytes, number: int) -> None:
        """Take one message through decode, the visitors, the fold, a snapshot, and the words of ``onramp explain``."""
        now = START + number * 40_000
        peeked = peek(data)
        assert peeked.at == peek_timestamp(data)
        message = Message(data, None, "fuzz", 0, number, now, now, 2 * number, "00-nonsense")
        (out,) = self.decode([message])
        (known,) = self.decode([msgspec.structs.replace(message, peeked=peeked)])
        assert (known.events, known.identity, known.rejected) == (out.events, out.identity, out.rejected), (
            "what was read before is the same"
        )
        if out.rejected:
            (letter,) = out.rejected
            assert letter.reason in REJECTIONS
            assert letter.raw == data
            assert 0 < len(letter.detail) < 600
            assert json.dumps(letter.detail).isascii()
            self.reasons[letter.reason] = self.reasons.get(letter.reason, 0) + 1
            assert not out.events
            assert not out.identity
            return
        self.accepted += 1
        for _, event in [*out.events, *out.identity]:
            if isinstance(event, Event):
                self.follow(event, number)

    def follow(self, event: Event, number: int) -> None:
        """The accepted event in the life of its person."""
        assert event.user.strip()
        assert event.traceparent == ""
        assert MIN_TIMESTAMP <= event.timestamp <= event.log_time + MAX_AHEAD
        place = event.tenant, event.user
        if event.anonymous:
            kept = self.visitors.setdefault(place, Visitor())
            self.stitcher.keep(kept, event)
            self.visitors[place] = VISITOR_CODEC.decode(VISITOR_CODEC.encode(kept))
        out = Collector("key")
        out.begin(number, event.traceparent)
        person = self.fold.apply(self.people.get(place), event, out)
        if number % 7 == 0:
            self.fold.due(person, TimerDue(event.partition, event.log_time, number), out)
        self.people[place] = snapshot.decode(snapshot.encode(person))
        assert msgspec.structs.replace(self.people[place], seen={}) == msgspec.structs.replace(person, seen={})  # old ids are left out
        assert {name.partition("|")[0] for name in out.counts} <= COUNTERS
        self.opt_outs(event, person)
        for request in out.requests:
            self.issued.append(KEYS.recommendation_id(request.decision, request.arms[0]))
            text = render(self.plan.template(request.trigger, request.step, request.arms[0]), self.plan.catalog, "a step", request.traits)
            assert not any(bad in text.lower() for bad in ("null", "undefined", "object", "%", "{", "nan,"))
        shown = as_records([row_of(fact) for fact in out.rows if isinstance(fact, EventFact)])
        assert all(json.loads(json.dumps(entry, allow_nan=False))["inWords"] for entry in shown)

    @staticmethod
    def opt_outs(event: Event, person: Person) -> None:
        """No accepted preference leaves a person guided who refused at that moment."""
        if event.type == "preferences_changed" and person.guidance_at == event.timestamp and person.version:
            told = read_preferences(event.payload)
            assert told.guidance is not False or not person.guidance
        if event.type == "preferences_changed" and "guidance" in event.payload:
            assert read_preferences(event.payload).guidance is not None


def row_of(fact: EventFact) -> dict[str, Any]:
    """The row of ``person_timeline`` for an event."""
    blank = dict.fromkeys(("path_id", "step_id", "trigger", "arm", "propensity", "decision_id"), "")
    status = "" if fact.status == "applied" else fact.status
    return {**blank, "at": 0, "kind": "event", "what": f"{fact.event_type} {fact.name}".strip(), "reason": status, "detail": fact.payload}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_event_is_accepted_or_a_dead_letter_with_a_reason(seed: int) -> None:
    sender, engine = Sender(seed), Engine()
    for number in range(EVENTS // SEEDS):
        data = sender.message()
        try:
            engine.take(data, number)
        except Exception as error:
            raise AssertionError(f"seed {seed}, event {number}: {data[:3_000]!r}") from error
        sender.issued = engine.issued
    assert engine.accepted + sum(engine.reasons.values()) == EVENTS // SEEDS
    assert engine.accepted > EVENTS // SEEDS // 4, engine.reasons
    assert len(engine.reasons) >= 12, engine.reasons
    assert engine.issued
