"""What the engine accepts of a program that plays the people, and what it tells a population of a catalog."""

from __future__ import annotations

import json
import sys

import pytest

from flows.catalogs import load_catalog
from sources.closed_loop import Begin, PopulationError, Program, describe
from state.catalog.plan import Plan
from state.events import Event, decode
from state.messages import Message

BEGIN = Begin("baseline", 1, 1, 0, 86_400_000, {})
READY = {"type": "ready", "protocol": 1, "name": "x", "slotMs": 300_000}


def program(*answers: object, patience: float = 20.0) -> Program:
    """A program that answers each line with the next of ``answers``, whatever it was asked."""
    lines = [answer if isinstance(answer, str) else json.dumps(answer) for answer in answers]
    code = "import sys\nfor line in sys.argv[1:]:\n    sys.stdin.readline()\n    print(line, flush=True)\nsys.stdin.readline()"
    return Program([sys.executable, "-c", code, *lines], patience)


def slot(*times: int, following: int | None = 300_000) -> dict[str, object]:
    return {"type": "events", "events": [{"at": at, "event": {"n": at}} for at in times], "reads": ["u"], "next": following}


def test_a_slot_comes_back_as_it_was_said() -> None:
    people = program(READY, slot(0, 0, 299_999))
    assert people.begin(BEGIN) == 300_000
    answer = people.advance(0, 300_000, {"u": None, "v": b'{"version":1}'})
    assert answer.events == [(0, b'{"n": 0}'), (0, b'{"n": 0}'), (299_999, b'{"n": 299999}')]
    assert (answer.reads, answer.next) == (["u"], 300_000)
    people.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (slot(5, 4), "out of order or outside its slot"),
        (slot(300_000), "out of order or outside its slot"),
        (slot(-1), "out of order or outside its slot"),
        (slot(1, following=299_999), "before the slot that ends at 300000"),
        ({"type": "error", "message": "no such arm"}, "says: no such arm"),
        ({"type": "done"}, "answered 'done' where 'events' was due"),
        ("{", "a line that is not of the protocol"),
        ('{"type": "events", "events": [{"at": "noon", "event": {}}]}', "a line that is not of the protocol"),
    ],
)
def test_an_answer_that_breaks_the_protocol_is_one_sentence(answer: object, said: str) -> None:
    people = program(READY, answer)
    people.begin(BEGIN)
    with pytest.raises(PopulationError, match=said):
        people.advance(0, 300_000, {})
    people.close()


@pytest.mark.parametrize(
    ("ready", "said"),
    [
        ({**READY, "protocol": 2}, "speaks protocol 2, not 1"),
        ({**READY, "slotMs": 700_000}, "wants slots of 700000 ms"),
        ({**READY, "slotMs": 0}, "wants slots of 0 ms"),
    ],
)
def test_a_world_that_cannot_be_played_is_refused_at_once(ready: object, said: str) -> None:
    people = program(ready)
    with pytest.raises(PopulationError, match=said):
        people.begin(BEGIN)
    people.close()


def test_a_program_that_says_nothing_is_not_waited_for_without_end() -> None:
    people = Program([sys.executable, "-c", "import sys; sys.stdin.read()"], patience=0.3)
    with pytest.raises(PopulationError, match="said nothing for 0 seconds"):
        people.begin(BEGIN)
    people.close()


def test_a_program_that_ends_before_it_is_done_is_found_out() -> None:
    people = program(READY)
    people.begin(BEGIN)
    with pytest.raises(PopulationError, match="ended too early, with exit code 0"):
        list(people.finish())
    people.close()


@pytest.mark.parametrize("name", ["saas", "recipes"])
def test_what_a_population_is_told_completes_every_step_and_leads_onto_every_path(name: str) -> None:
    catalog = load_catalog(name)
    plan, told = Plan(catalog), describe(catalog)
    for path in told["paths"]:
        assert all(plan.path_for(traits) == path["id"] for traits in path["traits"])
    for step in told["steps"]:
        for way in step["complete"]:
            counted: dict[int, int] = {}
            for number, each in enumerate(way["events"]):
                raw = {"eventId": f"e{number}", "userId": "u", "timestamp": "2026-01-05T00:00:00Z", "schemaVersion": 1, **each}
                event = decode(Message(json.dumps(raw).encode(), None, "t", 0, number, 1_767_571_200_000, 1_767_571_200_000, number))
                assert isinstance(event, Event)
                for rule in plan.rules(event.type, event.name, event.payload):
                    if rule.step == step["id"] and rule.completion >= 0:
                        counted[rule.completion] = counted.get(rule.completion, 0) + 1
            times = {index: completion.times for index, completion in enumerate(plan.steps[step["id"]].complete)}
            assert any(count >= times[index] for index, count in counted.items())


def test_a_population_is_told_nothing_of_thresholds_and_words() -> None:
    catalog = load_catalog("saas")
    told = json.dumps(describe(catalog))
    assert "within" not in told
    assert "prior" not in told
    assert all(text not in told for texts in catalog.templates.values() for text in texts.values())
