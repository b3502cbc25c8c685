"""The input of the benchmarks: seeded, valid, and with visitors who sign in later."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from benchmarks.generate import lines
from flows.catalogs import load_catalog
from state.catalog.plan import Plan
from state.decode import decode
from state.event import Event
from state.event_time import peek_timestamp
from state.messages import Message


@pytest.fixture(scope="module")
def made() -> list[bytes]:
    return list(lines(users=120, days=5, seed=3, visitors=0.4))


@pytest.fixture(scope="module")
def sent(made: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in made]


def test_the_same_seed_gives_the_same_bytes(made: list[bytes]) -> None:
    assert list(lines(users=120, days=5, seed=3, visitors=0.4)) == made
    assert list(lines(users=120, days=5, seed=4, visitors=0.4)) != made


def test_every_line_is_an_event(made: list[bytes]) -> None:
    for number, line in enumerate(made):
        at = peek_timestamp(line) or 0
        assert isinstance(decode(Message(line, None, "test", 0, number, at, at, number)), Event)


def test_visitors_have_an_anonymous_id_until_they_sign_in(sent: list[dict[str, Any]]) -> None:
    merges = {event["payload"]["previousId"]: event for event in sent if event["eventType"] == "identity_merged"}
    before = {event["anonymousId"] for event in sent if "anonymousId" in event}
    assert len(merges) > 20
    assert merges.keys() < before, "some visitors never sign in"
    for visitor, merge in merges.items():
        own = [event["timestamp"] for event in sent if event.get("anonymousId") == visitor]
        assert min(own) < merge["timestamp"]
        assert merge["userId"] not in merges


def test_without_a_share_of_visitors_there_are_none() -> None:
    assert not [line for line in lines(users=30, days=3, seed=1, visitors=0.0) if b"anonymousId" in line or b"identity_merged" in line]


def test_some_events_arrive_twice_and_some_late(sent: list[dict[str, Any]]) -> None:
    ids = [event["eventId"] for event in sent]
    assert 0 < len(ids) - len(set(ids)) < 0.03 * len(ids)
    times = [event["timestamp"] for event in sent]
    assert 0 < sum(now < before for before, now in pairwise(times)) < 0.1 * len(times)


def test_people_complete_every_step_of_the_catalog() -> None:
    catalog = load_catalog("saas")
    plan, completed = Plan(catalog), set[str]()
    for number, line in enumerate(lines(users=400, days=14, seed=1)):
        event = decode(Message(line, None, "test", 0, number, 0, 2_000_000_000_000, number))
        assert isinstance(event, Event)
        completed |= {rule.step for rule in plan.rules(event.type, event.name, event.payload) if rule.completes}
    assert completed == {step.id for step in catalog.steps}
