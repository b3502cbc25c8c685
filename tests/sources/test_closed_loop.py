"""What the engine accepts of a program that plays the people, and what it tells a population of a catalog."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping

import pytest

from benchmarks.replication import InProcessPopulation
from flows.catalogs import load_catalog
from sources.closed_loop import START, Begin, PopulationError, Program, Slot, describe, unguided
from state.catalog.model import Catalog
from state.catalog.parse import parse
from state.catalog.plan import Plan, Rule
from state.decode import decode
from state.duration import DAY
from state.event import Event
from state.messages import Message

BEGIN = Begin("baseline", 1, 1, 0, 86_400_000, {})
TOY = """
id: toy
version: 1
product: Toy
links: [/app/*]
arms: [{id: calm, tone: passive, component: tooltip}]
templates:
  signup: {passive: Hello.}
  step_completed: {passive: Next.}
  "stuck:inactive": {passive: Come back.}
  "stuck:errors": {passive: Try this.}
  "stuck:rage_clicks": {passive: Not there.}
  "stuck:looping": {passive: This way.}
  "stuck:slow_step": {passive: Take your time.}
steps:
  - {id: look, title: Look, link: /app/look, typical: 5m, complete: [{type: page_view, where: {path: {prefix: /app/look/, suffix: .html}}}]}
  - {id: profile, title: Profile, link: /app/me, complete: [{type: identify, where: {traits.companySize: {exists: true}}}]}
  - id: load
    title: Load
    link: /app/load
    typical: 20m
    requires: [look]
    complete:
      - {type: track, name: rows_loaded, where: {rows: {gte: 10, lt: 12}, kind: [csv, json], meta.source: {contains: own}}, times: 3}
      - {type: form_submit, where: {form: load, error: {exists: false}}}
    activity: [{type: button_click, where: {target: {prefix: load-}}}]
  - id: share
    title: Share
    link: /app/share
    requires: [load]
    complete: [{type: track, name: shared, where: {share: {gt: 0, lte: 0.5}}}]
paths:
  - {id: big, title: Big, match: {companySize: [51-200, 1000+], persona: admin}, steps: [look, load, share, profile], activated_by: [share]}
  - {id: small, title: Small, match: {useCase: {prefix: re}, tier: {not_in: [free]}}, steps: [profile, look]}
  - {id: rest, title: Rest, match: {persona: {exists: true}}, steps: [look, load]}
"""
"""Completion and paths by every kind of condition."""
READY = {"type": "ready", "protocol": 1, "name": "x", "slotMs": 300_000}


def program(*answers: object, timeout: float = 20.0) -> Program:
    """A program that answers each line with the next of ``answers``, whatever it was asked."""
    lines = [answer if isinstance(answer, str) else json.dumps(answer) for answer in answers]
    code = "import sys\nfor line in sys.argv[1:]:\n    sys.stdin.readline()\n    print(line, flush=True)\nsys.stdin.readline()"
    return Program([sys.executable, "-c", code, *lines], timeout)


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
        ({"type": "done"}, "answered 'done' instead of 'events'"),
        ("{", "a line that violates the protocol"),
        ('{"type": "events", "other": ' + "[" * 20_000 + "]" * 20_000 + "}", "a line that violates the protocol"),
        ('{"type": "events", "events": [{"at": "noon", "event": {}}]}', "a line that violates the protocol"),
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
    people = Program([sys.executable, "-c", "import sys; sys.stdin.read()"], timeout=0.3)
    with pytest.raises(PopulationError, match="said nothing for 0 seconds"):
        people.begin(BEGIN)
    people.close()


def test_a_program_that_ends_before_it_is_done_is_found_out() -> None:
    people = program(READY)
    people.begin(BEGIN)
    with pytest.raises(PopulationError, match="ended too early, with exit code 0"):
        list(people.finish())
    people.close()


@pytest.mark.parametrize("catalog", [load_catalog("saas"), load_catalog("recipes"), parse(TOY, "toy.yaml")], ids=lambda each: each.id)
def test_what_a_population_is_told_completes_every_step_and_leads_onto_every_path(catalog: Catalog) -> None:
    plan, told = Plan(catalog), describe(catalog)
    for path in told["paths"]:
        assert path["traits"]
        assert all(plan.path_for(traits) == path["id"] for traits in path["traits"])
    for step in told["steps"]:
        worked = [rule.step for each in step["activity"] for rule in plan.rules(each["eventType"], each.get("name", ""), each["payload"])]
        assert step["id"] in worked or not plan.steps[step["id"]].activity, "users who work on the step are not seen at it"
        for each in step["activity"]:
            assert not any(rule.completes for rule in plan.rules(each["eventType"], each.get("name", ""), each["payload"]))
        for way in step["complete"]:
            counted = Counter[Rule]()
            for number, each in enumerate(way["events"]):
                raw = {"eventId": f"e{number}", "userId": "u", "timestamp": "2026-01-05T00:00:00Z", "schemaVersion": 1, **each}
                event = decode(Message(json.dumps(raw).encode(), None, "t", 0, number, 1_767_571_200_000, 1_767_571_200_000, number))
                assert isinstance(event, Event)
                for rule in plan.rules(event.type, event.name, event.payload):
                    if rule.step == step["id"] and rule.completes:
                        counted[rule] += 1
            assert any(count >= rule.times for rule, count in counted.items())


def test_a_population_is_told_nothing_of_thresholds_and_words() -> None:
    catalog = load_catalog("saas")
    told = json.dumps(describe(catalog))
    assert "within" not in told
    assert "prior" not in told
    assert all(text not in told for texts in catalog.templates.values() for text in texts.values())


def test_a_step_that_no_event_can_complete_is_refused_by_name() -> None:
    broken = TOY.replace("share: {gt: 0, lte: 0.5}", "share: {gt: 2, lte: 0.5}")
    with pytest.raises(ValueError, match="the step 'share' cannot be completed"):
        describe(parse(broken, "toy.yaml"))


def test_without_guidance_everybody_who_reads_finds_nothing() -> None:
    asked: list[dict[str, bytes | None]] = []

    class Watched(InProcessPopulation):
        def advance(self, at: int, until: int, guidance: Mapping[str, bytes | None]) -> Slot:
            asked.append(dict(guidance))
            return super().advance(at, until, guidance)

    begin = Begin("baseline", 1, 12, START, START + 5 * DAY, describe(parse(TOY, "toy.yaml")))
    slots = list(unguided(Watched(), begin))
    assert set().union(*asked) == {f"p{number:06d}" for number in range(12)}
    assert all(record is None for guidance in asked for record in guidance.values())
    assert [set(guidance) for guidance in asked[1:]] == [set(slot.reads) for slot in slots[:-1]]
    times = [at for slot in slots for at, _ in slot.events]
    assert times == sorted(times)
    assert START <= times[0] < times[-1] < begin.end
