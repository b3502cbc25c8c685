"""Random histories with several workers: whoever is never deleted has the same events and the same progress as with one.

Visitors merge while they go on, users are deleted and return. What is read close to a deletion may count or not (docs/scaling.md).
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from bytewax.testing import cluster_main

from flows.onboarding import FlowParts, SideChannels, build
from operators.timer_registry import TimerRegistry
from sources.local_log.log import EventLog, Record
from sources.local_log.source import LocalLogSource
from state.catalog.by_tenant import ByTenant
from state.duration import HOUR, MINUTE
from state.records.facts import EventFact, PersonFact, ProgressFact
from tests.support.memory_job import KEYS, PLAN, Job, not_erased
from tests.support.stories import MONDAY, Log, MemoryRedis, MemorySink, rfc3339

USERS = [f"user-{number}" for number in range(60)]


def history(seed: int) -> tuple[Log, set[str]]:
    """A log, and the names of its users who stay, with those of their visitors."""
    random, sent, stay = Random(seed), list[tuple[int, str, str, dict[str, Any]]](), set[str]()
    for user in USERS:
        begun = 8 * HOUR + random.randrange(HOUR)
        sent.append((begun, user, "signup", {"traits": {"persona": random.choice(["analyst", "engineer"]), "useCase": "reporting"}}))
        visitors = [f"visitor-{number}-of-{user}" for number in range(random.randrange(3))]
        for visitor in visitors:
            merged = begun + random.randrange(30 * MINUTE)
            sent.append((merged, user, "identity_merged", {"previousId": visitor}))
            for _ in range(random.randrange(9)):
                sent.append((merged + random.randrange(-HOUR, 2 * HOUR), visitor, "track", _what(random)))
        for _ in range(random.randrange(12)):
            sent.append((begun + random.randrange(6 * HOUR), user, "track", _what(random)))
        if random.random() < 0.4:
            deleted = begun + random.randrange(5 * HOUR)
            sent.append((deleted, user, "user_deleted", {}))
            if random.random() < 0.5:
                sent.append((deleted + random.randrange(HOUR), user, "signup", {"traits": {"persona": "analyst"}}))
        else:
            stay |= {user, *visitors}
    log = Log()
    for number, (at, who, kind, payload) in enumerate(sorted(sent, key=lambda each: each[0])):
        log.send(at, who, kind, id=f"e{number}", visitor=who.startswith("visitor"), **payload)
    return log, stay


def _what(random: Random) -> dict[str, Any]:
    return {"name": random.choice(["source_connected", "query_ran"]), "status": "connected", "result": {"status": "ok", "rows": 3}}


def told(job: Job, who: set[str]) -> tuple[Counter[Any], dict[Any, Any]]:
    """What became of the events of ``who``, and when they completed the steps of the path that they are on."""
    rows = job.facts.items
    path = {row.user_id: row.path_id for row in sorted((row for row in rows if isinstance(row, PersonFact)), key=lambda row: row.version)}
    progress = sorted((row for row in rows if isinstance(row, ProgressFact) and row.user_id in who), key=lambda row: row.version)
    return (
        Counter((row.user_id, row.event_id, row.status) for row in rows if isinstance(row, EventFact) and row.user_id in who),
        {
            (row.user_id, row.path_id, row.step_id): row.completed_at
            for row in progress
            if row.status == "completed" and row.path_id == path[row.user_id]
        },
    )


@pytest.mark.parametrize(("seed", "batch_size", "workers"), [(3, 1_000, 2), (4, 20, 3), (5, 300, 4)])
def test_users_who_stay_have_the_same_events_and_progress(tmp_path: Path, seed: int, batch_size: int, workers: int) -> None:
    log, stay = history(seed)
    alone = Job(log.items, tmp_path / "alone", batch_size=1_000)
    alone.run(epoch=timedelta(hours=1))
    together = Job(log.items, tmp_path / "together", partitions=4, batch_size=batch_size)
    together.run(workers=workers, epoch=timedelta(milliseconds=20))
    events, progress = told(alone, stay)
    assert min(len(events), len(progress)) > len(stay) // 2, "else the comparison says little"
    assert told(together, stay) == (events, progress)


def sign_ins(directory: Path) -> int:
    """A log of several partitions in which visitors sign in and go on at once. Each user begins with the merge. Return the events."""
    sent, random = list[tuple[int, str, dict[str, Any]]](), Random(3)
    for number in range(400):
        at, visitor, user = number * 1_200 + random.randrange(MINUTE), f"visitor-{number}", f"user-{number}"
        done = {"eventType": "track", "name": "source_connected", "payload": {"status": "connected"}}
        sent += [
            (at, visitor, {"anonymousId": visitor, "eventType": "page_view", "payload": {"path": "/a"}}),
            (at + 3 * MINUTE, user, {"userId": user, "eventType": "identity_merged", "payload": {"previousId": visitor}}),
            (at + 3 * MINUTE + 300, visitor, {"anonymousId": visitor, **done}),
            (at + 3 * MINUTE + 600, visitor, {"anonymousId": visitor, "eventType": "page_view", "payload": {"path": "/b"}}),
            (at + 3 * MINUTE + 900, user, {"userId": user, "eventType": "signup", "payload": {"traits": {"persona": "analyst"}}}),
        ]
    clock = 0
    with EventLog(directory, partitions=6, retention=None, now=lambda: clock) as log:
        for number, (at, who, event) in enumerate(sorted(sent, key=lambda each: each[0])):
            clock = MONDAY + at
            log.append([Record(who.encode(), json.dumps({"eventId": f"e{number}", "timestamp": rfc3339(clock), **event}).encode())])
    return len(sent)


@pytest.mark.parametrize("workers", [2, 3])
def test_no_event_of_a_visitor_who_has_just_signed_in_is_lost(workers: int, tmp_path: Path) -> None:
    """The visitor and the user are in different partitions, whose numbers have no order."""
    sent, facts = sign_ins(tmp_path / "log"), MemorySink()
    side = SideChannels(timers=TimerRegistry(one_worker=False))
    source = LocalLogSource(tmp_path / "log", side.batch_policy([PLAN], 1_000), now=lambda: MONDAY + 24 * HOUR, tail=False)
    flow = build(FlowParts(source, MemoryRedis(), facts, MemorySink(), ByTenant(PLAN), KEYS, side, workers=workers))
    cluster_main(flow, [], 0, epoch_interval=timedelta(seconds=5), worker_count_per_proc=workers)  # type: ignore[no-untyped-call]
    assert set(Counter(row.event_id for row in facts.items if isinstance(row, EventFact)).values()) == {1}
    assert len([row for row in facts.items if isinstance(row, EventFact)]) == sent
    done = {row.user_id for row in facts.items if isinstance(row, ProgressFact) and row.completed_at and row.user_id.startswith("user")}
    assert len(done) == 400


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("signed_in", [False, True], ids=["of a visitor", "of a user"])
def test_a_deletion_reaches_all_visitors_of_a_chain(signed_in: bool, workers: int, tmp_path: Path) -> None:
    """The merge and the deletion take ways of their own to the chains."""
    log = Log()
    for number in range(300):
        log.send(0, f"first-{number}", "page_view", visitor=True, path="/")
        log.send(MINUTE, f"second-{number}", "identity_merged", visitor=True, previousId=f"first-{number}")
        if signed_in:
            log.send(2 * MINUTE, f"user-{number}", "identity_merged", previousId=f"second-{number}")
        log.send(3 * MINUTE, f"{'user' if signed_in else 'second'}-{number}", "user_deleted", visitor=not signed_in)
    job = Job(log.items, tmp_path / "state", batch_size=1_000)
    job.run(workers=workers, epoch=timedelta(milliseconds=20))
    assert not_erased(job) == []


@pytest.mark.parametrize("workers", [2, 3])
def test_a_chain_belongs_as_a_whole_to_one_user_who_named_it(workers: int, tmp_path: Path) -> None:
    """To the first one with one worker; with more that is so only where no other user named it. Each row is that of somebody of the chain
    (docs/scaling.md).
    """
    log, chains = Log(), range(150)
    named_twice = {number for number in chains if number % 3 == 0}
    for number in chains:
        log.send(0, f"old-{number}", "page_view", visitor=True, path="/")
        log.send(0, f"new-{number}", "page_view", visitor=True, path="/")
    for number in chains:
        log.send(MINUTE, f"new-{number}", "identity_merged", visitor=True, previousId=f"old-{number}")
    for number in chains:
        log.send(10 * MINUTE, f"first-{number}", "identity_merged", previousId=f"new-{number}")
    for number in named_twice:
        log.send(HOUR, f"second-{number}", "identity_merged", previousId=f"old-{number}")
    for number in chains:
        log.send(2 * HOUR, f"old-{number}", "track", id=f"step-{number}", visitor=True, name="source_connected", status="connected")
        log.send(2 * HOUR, f"first-{number}", "signup", traits={"persona": "analyst"})
        log.send(2 * HOUR, f"second-{number}", "signup", traits={"persona": "analyst"})
    for count in (1, workers):
        job = Job(log.items, tmp_path / f"{count}", batch_size=1_000)
        job.run(workers=count, epoch=timedelta(milliseconds=20))
        done_by = {row.user_id for row in job.facts.items if isinstance(row, ProgressFact) and row.completed_at}
        may_have = set[tuple[str, str]]()
        for number in chains:
            users = {f"first-{number}", f"second-{number}"} & done_by
            assert users == {f"first-{number}"} or (count > 1 and number in named_twice and users == {f"second-{number}"})
            may_have |= {(f"step-{number}", who) for who in (f"old-{number}", f"new-{number}", *users)}
        events = [row for row in job.facts.items if isinstance(row, EventFact)]
        assert set(Counter(row.event_id for row in events).values()) == {1}
        steps = {(row.event_id, row.user_id) for row in events if row.event_id.startswith("step")}
        assert len(steps) == len(chains)
        assert steps <= may_have
