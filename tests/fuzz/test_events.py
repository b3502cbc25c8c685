"""A structure-aware fuzzer of events: whatever an app sends is accepted or a dead letter with a reason, and is folded, kept and shown.

``FUZZ`` multiplies the number of events: ``FUZZ=50`` sends 100,000. A failure names the seed and the message; the same seed sends it again.
"""

from __future__ import annotations

import json
import os
from typing import Final

import msgspec
import pytest

from operators.decode import Decoder
from reports.timeline import as_records
from state import counters
from state.catalog.plan import Plan
from state.catalog.template import render
from state.decode import peek
from state.event import Event
from state.event_contract import MAX_AHEAD, MIN_TIMESTAMP, REJECTIONS
from state.event_fields import read_preferences
from state.event_time import peek_timestamp
from state.messages import Message
from state.person import snapshot
from state.person.arrivals import TimerDue
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person
from state.person.visitor import VISITOR_CODEC, Stitcher, Visitor
from state.records.facts import EventFact
from tests.fuzz.event_sender import Sender, row_of
from tests.state.lives import KEYS, START, catalog

EVENTS: Final = 2_000 * int(os.environ.get("FUZZ", "1"))
SEEDS: Final = 4

COUNTERS: Final = {counter.name for counter in counters.COUNTERS}


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
