"""Switches of guidance in the whole job: neither a crash, nor the batches, nor the workers change what they do."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bytewax.testing import TestingSource, run_main

from benchmarks.replication import InProcessPopulation, ReplicationConfig
from evaluation.offline_runner import OfflineRunner, run_closed_loop
from flows.onboarding import FlowParts, SideChannels, build
from local.secret import DEVELOPMENT_SECRET
from sources.batching import BatchPolicy
from sources.closed_loop import START, Begin, PeopleSource, describe
from sources.closed_loop.protocol import Slot
from sources.files.source import JsonlSource
from sources.files.switch_file import append_switch
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.decode import peek, peek_person
from state.duration import DAY, HOUR, MINUTE
from state.ids import Keys
from state.messages import Message
from state.records.facts import DecisionFact, Fact, OutcomeFact, PersonFact, RecommendationFact, SwitchFact
from state.records.recommendation import Publish, Recommendation, encode
from tests.support.memory_job import KEYS, PLAN, Job
from tests.support.stories import MONDAY, Log, MemoryRedis, MemorySink, rfc3339

EARLY = tuple(f"early-{number}" for number in range(8))
PAUSED = tuple(f"paused-{number}" for number in range(8))
LATER = tuple(f"later-{number}" for number in range(24))


def switch(log: Log, at: int, action: str, **more: Any) -> None:
    log.send(at, "boss", "guidance_switched", id=f"switch-{action}-{at}", action=action, because="a test", **more)


def story() -> Log:
    """Guidance is paused at ten, resumed at 14, given to half of the people at 20, and paused again at 24."""
    log = Log()
    for number, user in enumerate(EARLY):
        log.send(9 * HOUR + number * MINUTE, user, "signup", traits={"persona": "analyst"})
    log.send(9 * HOUR + 9 * MINUTE, EARLY[0], "recommendation_shown")
    switch(log, 10 * HOUR, "pause")
    for number, user in enumerate(PAUSED):
        log.send(10 * HOUR + number * MINUTE, user, "signup", traits={"persona": "analyst"})
    log.send(12 * HOUR, EARLY[0], "track", name="source_connected", status="connected")
    switch(log, 14 * HOUR, "resume")
    for number, user in enumerate(LATER[:12]):
        log.send(15 * HOUR + number * MINUTE, user, "signup", traits={"persona": "analyst"})
    switch(log, 20 * HOUR, "ramp", share=0.5)
    for number, user in enumerate(LATER[12:]):
        log.send(21 * HOUR + number * MINUTE, user, "signup", traits={"persona": "analyst"})
    switch(log, 24 * HOUR, "pause")
    for hour in (25, 26, 27):
        log.send(hour * HOUR, "somebody", "page_view", path="/")
    return log


STORY = tuple(story().items)


def shown(redis: MemoryRedis, users: tuple[str, ...]) -> dict[str, Recommendation]:
    found = {user: redis.newest.get(("default", user)) for user in users}
    return {user: effect.recommendation for user, effect in found.items() if isinstance(effect, Publish)}


def decisions(facts: list[Any], users: tuple[str, ...]) -> list[DecisionFact]:
    return [row for row in facts if isinstance(row, DecisionFact) and row.user_id in users]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = Job(STORY, tmp_path_factory.mktemp("switches") / "state")
    job.run()
    return job


def test_while_paused_nobody_gets_guidance_and_what_was_shown_is_taken_back(uninterrupted: Job) -> None:
    facts, redis = uninterrupted.facts.items, uninterrupted.redis
    assert "decided" in {row.outcome for row in decisions(facts, EARLY) if row.decided_at < MONDAY + 10 * HOUR}
    under = [row for row in decisions(facts, PAUSED) if row.decided_at <= MONDAY + 14 * HOUR]
    assert {(row.outcome, row.reason) for row in under} == {("declined", "guidance_paused")}
    assert {row.experiment_group for row in under} == {"adaptive", "rules"}, "the reason does not depend on the group"
    last = shown(redis, EARLY)
    assert last
    assert {each.ui_component for each in last.values()} == {"none"}, "it is paused at the end"
    withdrawn = [row for row in facts if isinstance(row, RecommendationFact) and row.user_id in EARLY and row.reason == "guidance_paused"]
    assert {row.created_at - MONDAY for row in withdrawn} == {10 * HOUR + 1, 24 * HOUR + 1}


def test_a_ramp_leaves_some_inside_and_the_others_without_guidance(uninterrupted: Job) -> None:
    facts = uninterrupted.facts.items
    people = {row.user_id: row for row in facts if isinstance(row, PersonFact)}
    assert {people[user].guidance_at_signup for user in (*EARLY, *LATER[:12])} == {"on"}
    assert {people[user].guidance_at_signup for user in PAUSED} == {"guidance_paused"}
    assert Counter(people[user].guidance_at_signup for user in LATER[12:]).keys() == {"on", "outside_ramp"}
    reasons = {row.user_id: row.reason for row in decisions(facts, LATER[12:]) if row.trigger == "signup"}
    assert {user for user, reason in reasons.items() if reason == "outside_ramp"} == {
        user for user in LATER[12:] if people[user].guidance_at_signup == "outside_ramp"
    }


def test_every_switch_is_recorded_once_and_is_nobodys_event(uninterrupted: Job) -> None:
    rows = [row for row in uninterrupted.facts.items if isinstance(row, SwitchFact)]
    assert [(row.action, row.share, row.switched_by, row.because) for row in rows] == [
        ("pause", 1.0, "boss", "a test"),
        ("resume", 1.0, "boss", "a test"),
        ("ramp", 0.5, "boss", "a test"),
        ("pause", 1.0, "boss", "a test"),
    ]
    assert [row.in_force_at - MONDAY for row in rows] == [hour * HOUR for hour in (10, 14, 20, 24)]
    assert "boss" not in {getattr(row, "user_id", "") for row in uninterrupted.facts.items}
    assert uninterrupted.counters.total["messages_read"] == sum(isinstance(item, Message) for item in STORY) - 4


def test_a_crash_around_a_switch_changes_nothing(uninterrupted: Job, tmp_path: Path) -> None:
    expected = uninterrupted.left()
    pause, _, ramp, _ = (at for at, item in enumerate(STORY) if isinstance(item, Message) and b"guidance_switched" in item.value)
    withdrawal = next(at for at, item in enumerate(STORY) if at > pause and not isinstance(item, Message))
    for index in (pause, pause + 1, withdrawal + 1, ramp + 1):
        job = Job([*STORY[:index], TestingSource.ABORT(), *STORY[index:]], tmp_path / f"at-{index}")
        job.run()
        job.run()
        assert job.left() == expected, f"crash before item {index}"


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1), (3, 3)])
def test_a_pause_outlasts_a_restart_with_another_number_of_workers(tmp_path: Path, first: int, then: int) -> None:
    """What each worker knows and wakes: nobody is guided under the pause, whoever had guidance lost it."""
    paused = next(at for at, item in enumerate(STORY) if isinstance(item, Message) and PAUSED[0].encode() in item.value)
    resumed = next(at for at, item in enumerate(STORY) if isinstance(item, Message) and b'"resume"' in item.value)
    items = [*STORY[:paused], TestingSource.EOF(), *STORY[paused:resumed]]
    job = Job(items, tmp_path / "state", partitions=2)
    job.run(workers=first)
    job.run(workers=then)
    assert {row.reason for row in decisions(job.facts.items, PAUSED)} == {"guidance_paused"}
    assert {each.ui_component for each in shown(job.redis, EARLY).values()} == {"none"}
    assert len({row.switch_id for row in job.facts.items if isinstance(row, SwitchFact)}) == 1


# a file


def on_a_file(path: Path, batch_size: int, switches: Path | None = None) -> tuple[Any, ...]:
    side, redis, facts = SideChannels(), MemoryRedis(), MemorySink()
    policy = BatchPolicy(side.timers.peek, partial(side.parameters.lookahead, (PLAN,)), batch_size)
    source = JsonlSource(path, peek, policy, now=lambda: MONDAY + 365 * DAY, peek_person=peek_person, switches=switches)
    flow = build(FlowParts(source, redis, facts, MemorySink(), ByTenant(PLAN), KEYS, side))
    run_main(flow)  # type: ignore[no-untyped-call]
    kinds = (DecisionFact, OutcomeFact, PersonFact, RecommendationFact, SwitchFact)
    rows = sorted((type(row).__name__, msgspec.json.encode(row)) for row in facts.items if isinstance(row, kinds))
    return rows, redis.newest


def test_no_division_into_batches_changes_what_a_switch_does(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(item.value + b"\n" for item in STORY if isinstance(item, Message)))
    found = [on_a_file(path, batch_size) for batch_size in (1, 7, 1000)]
    assert found[0] == found[1] == found[2]
    withdrawn = [row for row in found[0][0] if row[0] == "RecommendationFact" and b'"reason":"guidance_paused"' in row[1]]
    assert len(withdrawn) > 5


def test_a_run_on_a_file_takes_the_switches_of_its_directory_first(tmp_path: Path) -> None:
    path, switches = tmp_path / "events.jsonl", tmp_path / "guidance.jsonl"
    lines = [item.value for item in STORY if isinstance(item, Message) and b"guidance_switched" not in item.value]
    path.write_bytes(b"\n".join(lines))
    event = {
        "eventId": "s1", "userId": "boss", "eventType": "guidance_switched", "timestamp": rfc3339(MONDAY), "payload": {"action": "pause"}
    }  # fmt: skip
    append_switch(switches, msgspec.json.encode(event))
    rows, newest = on_a_file(path, 1000, switches)
    assert not any(isinstance(effect, Publish) for effect in newest.values())
    reasons = {msgspec.json.decode(row)["reason"] for kind, row in rows if kind == "DecisionFact"}
    assert "guidance_paused" in reasons
    assert reasons <= {"guidance_paused", "no_path"}


# the runner without the engine


class SwitchedPopulation(InProcessPopulation):
    """Simulated people, and an operator who switches at the first slot of some hours."""

    TURNS = (
        (30, {"action": "pause"}),
        (55, {"action": "resume"}),
        (80, {"action": "ramp", "share": 0.4}),
        (120, {"action": "ramp", "share": 0.8}),
    )

    def __init__(self) -> None:
        super().__init__()
        self._left = list(self.TURNS)

    def advance(self, at: int, until: int, guidance: Any) -> Slot:
        slot = super().advance(at, until, guidance)
        events = list(slot.events)
        due = [turn for turn in self._left if at >= START + turn[0] * HOUR] if events else []
        self._left = self._left[len(due) :]
        for hour, payload in due:
            middle = len(events) // 2
            arrived = events[middle][0]
            event = {
                "eventId": f"s{hour}", "userId": "boss", "eventType": "guidance_switched", "timestamp": rfc3339(arrived), "payload": payload
            }  # fmt: skip
            events.insert(middle, (arrived, msgspec.json.encode(event)))
        return slot._replace(events=events)


def test_the_runner_without_the_engine_decides_alike_under_switches(tmp_path: Path) -> None:
    world = ReplicationConfig("baseline", seed=1, users=60, days=6, holdout=0.2, rules=0.1)
    catalog = world.scenario_catalog()
    begin = Begin(world.scenario, world.seed, world.users, START, world.end, describe(catalog))

    alone, people = OfflineRunner(Plan(catalog), Keys(DEVELOPMENT_SECRET)), SwitchedPopulation()
    run_closed_loop(alone, people, people.begin(begin), START, world.end)

    plan, side, redis, facts = Plan(catalog), SideChannels(), MemoryRedis(), MemorySink()

    def read(users: list[str]) -> list[bytes | None]:
        found = [redis.newest.get(("default", user)) for user in users]
        return [encode(each.recommendation) if isinstance(each, Publish) else None for each in found]

    source = PeopleSource(SwitchedPopulation(), begin, read, tmp_path / "truth.jsonl", side.timers.peek)
    run_main(build(FlowParts(source, redis, facts, MemorySink(), ByTenant(plan), Keys(DEVELOPMENT_SECRET), side)))  # type: ignore[no-untyped-call]
    kinds: tuple[type[Fact], ...] = (DecisionFact, OutcomeFact, PersonFact, RecommendationFact)
    for kind in kinds:
        newest: dict[Any, Any] = {}
        for row in facts.items:
            if isinstance(row, kind):
                key = tuple(getattr(row, name) for name in kind.KEY)
                if key not in newest or newest[key].version <= row.version:  # type: ignore[attr-defined]
                    newest[key] = row
        assert newest == {tuple(getattr(row, name) for name in kind.KEY): row for row in alone.facts(kind)}
    reasons = Counter(row.reason for row in alone.facts(DecisionFact))
    assert reasons["guidance_paused"] > 10
    assert reasons["outside_ramp"] > 10
    assert {row.reason for row in alone.facts(RecommendationFact)} >= {"guidance_paused", "outside_ramp"}
