"""Identity through the whole graph: chains of visitors count for their user, and an id that is a user's is nobody's visitor."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from bytewax.testing import TestingSource

from state.duration import DAY, HOUR, MINUTE, SECOND
from state.messages import Message
from state.person.chains import MOST
from state.person.snapshot import decode
from state.records.facts import DecisionFact, EventFact, PersonFact, ProgressFact
from state.records.recommendation import Erase, Publish
from tests.support.memory_job import Job, named_in, newest_snapshots, not_erased
from tests.support.stories import Log

USER, CHAIN = "ursula-who-signs-in", ("cookie-first", "cookie-second", "cookie-third")
ANALYST = {"persona": "analyst", "useCase": "reporting"}
MERGES = ((CHAIN[0], CHAIN[1]), (CHAIN[1], CHAIN[2]), (CHAIN[2], USER))


def chain_log(order: Sequence[int] = (0, 1, 2), *, deleted: bool = False) -> Log:
    """The first id of a chain makes progress, before and after the merges, which come in ``order``; circles and repetitions too."""
    log = Log()
    log.send(8 * HOUR, CHAIN[0], "track", visitor=True, name="source_connected", status="connected")
    log.send(8 * HOUR + MINUTE, CHAIN[1], "page_view", visitor=True, path="/pricing")
    log.send(8 * HOUR + 2 * MINUTE, USER, "signup", traits=ANALYST)
    for number, merge in enumerate(order):
        named, namer = MERGES[merge]
        log.send(9 * HOUR + number * MINUTE, namer, "identity_merged", visitor=namer != USER, previousId=named)
        log.send(9 * HOUR + number * MINUTE, CHAIN[0], "page_view", visitor=True, path=f"/between/{number}")
    log.send(10 * HOUR, CHAIN[0], "identity_merged", visitor=True, previousId=CHAIN[1])
    log.send(10 * HOUR, CHAIN[0], "identity_merged", visitor=True, previousId=CHAIN[0])
    log.send(11 * HOUR, CHAIN[0], "track", visitor=True, name="query_ran", result={"status": "ok", "rows": 3})
    if deleted:
        log.send(12 * HOUR, USER, "user_deleted")
        log.send(12 * HOUR + MINUTE, CHAIN[0], "page_view", visitor=True, path="/after")
        log.send(12 * HOUR + 2 * MINUTE, USER, "identity_merged", previousId=CHAIN[1])
    log.send(2 * DAY, "somebody", "page_view", path="/home")
    return log


def ran(log: Log, store: Path, **how: Any) -> Job:
    job = Job(log.items, store, **how)
    job.run()
    return job


def messages(log: Log) -> Log:
    """The log without ticks, at which a source would end a batch."""
    log.items = [item for item in log.items if isinstance(item, Message)]
    return log


def completed(job: Job, user: str) -> dict[str, Any]:
    rows = sorted((row for row in job.facts.items if isinstance(row, ProgressFact) and row.user_id == user), key=lambda row: row.version)
    return {row.step_id: row.completed_at for row in rows if row.status == "completed"}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (2, 0, 1), (0, 2, 1)])
def test_what_the_first_of_a_chain_did_and_does_counts_for_the_user(order: tuple[int, ...], tmp_path: Path) -> None:
    job = ran(chain_log(order), tmp_path / "one by one")
    assert {"connect_source", "run_query"} <= completed(job, USER).keys()
    last = next(row for row in job.facts.items if isinstance(row, EventFact) and row.name == "query_ran")
    assert (last.user_id, last.status) == (USER, "applied")
    assert job.counters.total["people"] == 2
    assert job.counters.total["events_ignored|merge_circular"] == 1, "naming oneself; the circle repeats what is known"
    people = {row.user_id: row.experiment_group for row in sorted(_people(job), key=lambda row: row.version)}
    assert {people[name] for name in CHAIN if name in people} == {"merged"}
    assert people[USER] != "merged"


def _people(job: Job) -> list[PersonFact]:
    return [row for row in job.facts.items if isinstance(row, PersonFact)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_batches_change_nothing(order: tuple[int, ...], tmp_path: Path) -> None:
    alone = ran(messages(chain_log(order)), tmp_path / "one by one").left()
    for size in (3, 100):
        found = ran(messages(chain_log(order)), tmp_path / f"by {size}", batch_size=size).left()
        assert _unordered(found) == _unordered(alone), size


def _unordered(left: dict[str, Any]) -> dict[str, Any]:
    return left | {"facts": sorted(map(repr, left["facts"]))}


def test_a_crash_before_every_item_of_a_chain_changes_nothing(tmp_path: Path) -> None:
    log = chain_log((2, 0, 1), deleted=True).items
    alone = Job(log, tmp_path / "alone")
    alone.run()
    job = Job(log, tmp_path / "state")
    for index in range(len(log)):
        job.items = [*log[:index], TestingSource.ABORT(), *log[index:]]
        job.run()
    job.items = list(log)
    job.run()
    assert job.left() == alone.left()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_the_deletion_of_a_user_reaches_the_whole_chain(order: tuple[int, ...], tmp_path: Path) -> None:
    log, names = chain_log(order, deleted=True).items, (USER, *CHAIN)
    before = next(at for at, item in enumerate(log) if isinstance(item, Message) and b"user_deleted" in item.value)
    job = Job([*log[:before], TestingSource.EOF(), *log[before:]], tmp_path / "state")
    job.run()
    assert {name for _, name in named_in(newest_snapshots(job.store), names)} == set(names), "else the search finds nothing anywhere"
    job.run()
    assert named_in(newest_snapshots(job.store), names) == set()
    for name in names:
        assert isinstance(job.redis.newest["default", name], Erase)
        assert len([row for row in job.facts.items if isinstance(row, Erase) and row.user_id == name]) == 1


def test_with_more_workers_a_chain_arrives_once(tmp_path: Path) -> None:
    alone = ran(chain_log(), tmp_path / "alone")
    together = Job(chain_log().items, tmp_path / "together", partitions=4)
    together.run(workers=2)
    assert completed(together, USER) == completed(alone, USER)
    for counter in ("messages_read", "people", "events_applied", "events_ignored|merge_circular"):
        assert together.counters.total[counter] == alone.counters.total[counter], counter


@pytest.mark.parametrize("until", [12 * HOUR, 5 * DAY], ids=["known", "late"])
def test_repeating_a_history_adds_no_rows(until: int, tmp_path: Path) -> None:
    log = Log()
    for minute in range(3):
        log.send(8 * HOUR + minute * MINUTE, CHAIN[0], "page_view", visitor=True, path=f"/{minute}")
    log.send(9 * HOUR, USER, "signup", traits=ANALYST)
    log.send(9 * HOUR, CHAIN[0], "button_click", visitor=True, target="sign-in")  # at the time of the merge
    log.send(9 * HOUR, USER, "identity_merged", previousId=CHAIN[0])
    log.send(10 * HOUR, CHAIN[0], "page_view", visitor=True, path="/after")
    log.send(11 * HOUR, CHAIN[1], "identity_merged", visitor=True, previousId=CHAIN[0])  # becomes the user by itself
    log.send(until, USER, "page_view", path="/home")
    history = [item.value for item in log.items if isinstance(item, Message)]
    once = _events(ran(log, tmp_path / "once"))
    for value in history:
        log.raw(value, until + HOUR)
    assert _events(ran(log, tmp_path / "twice")) == once


def _events(job: Job) -> dict[tuple[str, str], str]:
    """The status of each event, by user and id, as the table has it in the end."""
    rows: dict[tuple[str, str], EventFact] = {}
    for row in job.facts.items:
        if isinstance(row, EventFact) and ((key := (row.user_id, row.event_id)) not in rows or rows[key].version <= row.version):
            rows[key] = row
    return {key: row.status for key, row in rows.items()}


# ids of users


def shared_log(*, named_first: bool) -> Log:
    """``greedy`` names ``other`` as an earlier id before or after that signs up; then somebody deletes ``greedy``."""
    log = Log()
    log.send(8 * HOUR, "other", "page_view", visitor=True, path="/pricing")
    log.send(8 * HOUR + MINUTE, "greedy", "signup", traits=ANALYST)
    sign_up = [("signup", {"traits": ANALYST}), ("track", {"name": "source_connected", "status": "connected"})]
    if named_first:
        log.send(8 * HOUR + 2 * MINUTE, "greedy", "identity_merged", previousId="other")
    for number, (kind, payload) in enumerate(sign_up):
        log.send(9 * HOUR + number * MINUTE, "other", kind, **payload)  # type: ignore[arg-type]
    if not named_first:
        log.send(9 * HOUR + 2 * MINUTE, "greedy", "identity_merged", previousId="other")
    log.send(9 * HOUR + 3 * MINUTE, "other", "page_view", visitor=True, path="/as/a/visitor")
    log.send(9 * HOUR + 4 * MINUTE, "greedy", "user_deleted")
    log.send(9 * HOUR + 5 * MINUTE, "other", "page_view", path="/still")
    log.send(9 * HOUR + 6 * MINUTE, "other", "page_view", visitor=True, path="/still/as/a/visitor")
    log.send(2 * DAY, "somebody", "page_view", path="/home")
    return log


@pytest.mark.parametrize("batch_size", [1, 100])
@pytest.mark.parametrize("named_first", [True, False])
def test_an_id_seen_as_a_user_is_nobodys_visitor_in_either_order(named_first: bool, batch_size: int, tmp_path: Path) -> None:
    job = ran(messages(shared_log(named_first=named_first)), tmp_path / "state", batch_size=batch_size)
    rows = job.facts.items
    assert "connect_source" in completed(job, "other")
    assert "connect_source" not in completed(job, "greedy")
    assert ("signup", "decided") in {(row.trigger, row.outcome) for row in rows if isinstance(row, DecisionFact) and row.user_id == "other"}
    assert not [row for row in rows if isinstance(row, Erase) and row.user_id == "other"]
    own = [row for row in rows if isinstance(row, EventFact) and row.user_id == "other"]
    assert len(own) == 6
    assert {row.status for row in own} == {"applied"}
    assert isinstance(job.redis.newest["default", "greedy"], Erase)
    assert job.counters.total.get("events_ignored|merge_refused", 0) == (not named_first)
    final = max((row for row in _people(job) if row.user_id == "other"), key=lambda row: row.version)
    assert final.experiment_group != "merged"


@pytest.mark.parametrize("deleted", [True, False])
def test_a_user_whose_id_was_merged_or_deleted_as_a_visitor_is_guided(deleted: bool, tmp_path: Path) -> None:
    log = Log()
    log.send(8 * HOUR, "greedy", "signup", traits=ANALYST)
    log.send(8 * HOUR + MINUTE, "other", "signup", visitor=True, traits=ANALYST)
    log.send(8 * HOUR + 2 * MINUTE, "greedy", "identity_merged", previousId="other")
    if deleted:
        log.send(8 * HOUR + 3 * MINUTE, "greedy", "user_deleted")
    log.send(9 * HOUR, "other", "signup", traits=ANALYST)
    job = ran(log, tmp_path / "state")
    record = job.redis.newest["default", "other"]
    assert isinstance(record, Publish)
    assert record.recommendation.ui_component != "none"
    assert job.counters.total["people"] == (1 if deleted else 2)


def chance_log(seed: int) -> Log:
    """Six ids are used as users' and visitors', activated, merged into each other, deleted, and come again, at random."""
    chance, log, at = Random(seed), Log(), 8 * HOUR
    ids = [f"id-{number}" for number in range(6)]
    for _ in range(80):
        at += chance.choice([SECOND, MINUTE, 10 * MINUTE, HOUR])
        who, visitor = chance.choice(ids), chance.random() < 0.5
        match chance.choices(["signup", "activation", "merge", "deletion"], [2, 3, 3, 2])[0]:
            case "signup":
                log.send(at, who, "signup", visitor=visitor, traits={"persona": "executive"})
            case "activation":
                log.send(at, who, "track", visitor=visitor, name="dashboard_followed")
            case "merge":
                log.send(at, who, "identity_merged", visitor=visitor, previousId=chance.choice(ids))
            case _:
                log.send(at, who, "user_deleted", visitor=visitor)
    log.send(at, "who-stays", "signup", traits={"persona": "executive"})
    log.send(at, "who-stays", "track", name="dashboard_followed")
    return log


@pytest.mark.parametrize("seed", range(6))
def test_the_gauges_of_users_are_what_the_state_holds(seed: int, tmp_path: Path) -> None:
    job = ran(chance_log(seed), tmp_path / "state", batch_size=20)
    people = [decode(pickle.loads(state)) for (step, _), state in newest_snapshots(job.store).items() if step.endswith(".track")]
    alive = [person for person in people if person.user and not (person.deleted_at or person.merged_into)]
    assert job.counters.total["people"] == len(alive)
    assert job.counters.total["people_activated"] == sum(person.activated_at > 0 for person in alive) > 0


def test_a_deleted_user_leaves_no_id_with_whoever_named_them_or_was_named_later(tmp_path: Path) -> None:
    log, named = Log(), "zoe-who-was-named"
    log.send(8 * HOUR, named, "signup", traits=ANALYST)
    log.send(8 * HOUR + MINUTE, "greedy", "identity_merged", previousId=named)
    log.send(8 * HOUR + MINUTE, "greedy", "identity_merged", previousId="cookie-x")
    log.send(8 * HOUR + 2 * MINUTE, named, "identity_merged", previousId="cookie-y")
    log.send(8 * HOUR + 3 * MINUTE, "cookie-x", "identity_merged", visitor=True, previousId=named)
    log.send(9 * HOUR, named, "user_deleted")
    log.send(9 * HOUR + MINUTE, named, "identity_merged", previousId="cookie-z")
    job = ran(log, tmp_path / "state")
    assert named_in(newest_snapshots(job.store), [named]) == set()


def test_a_deletion_under_an_anonymous_id_that_is_a_users_reaches_the_visitors_of_this_user(tmp_path: Path) -> None:
    log = Log()
    log.send(8 * HOUR, CHAIN[0], "track", visitor=True, name="source_connected", status="connected")
    log.send(9 * HOUR, USER, "signup", traits=ANALYST)
    log.send(9 * HOUR, USER, "identity_merged", previousId=CHAIN[0])
    log.send(10 * HOUR, USER, "user_deleted", visitor=True)
    job = ran(log, tmp_path / "state")
    assert named_in(newest_snapshots(job.store), [USER, CHAIN[0]]) == set()
    assert {row.user_id for row in job.facts.items if isinstance(row, Erase)} == {USER, CHAIN[0]}


def test_what_a_deleted_visitor_sends_late_after_a_merge_is_erased_with_the_user(tmp_path: Path) -> None:
    log = Log()
    log.send(8 * HOUR, CHAIN[0], "page_view", visitor=True, path="/pricing")
    log.send(8 * HOUR + MINUTE, CHAIN[0], "user_deleted", visitor=True)
    log.send(9 * HOUR, USER, "signup", traits=ANALYST)
    log.send(9 * HOUR + MINUTE, USER, "identity_merged", previousId=CHAIN[0])
    log.send(9 * HOUR + 2 * MINUTE, CHAIN[0], "page_view", visitor=True, timestamp=9 * HOUR, path="/late")
    log.send(10 * HOUR, USER, "user_deleted")
    assert not_erased(ran(log, tmp_path / "state")) == []


@pytest.mark.parametrize("batch_size", [1, 100])
@pytest.mark.parametrize("deleted", [0, 1], ids=["the older visitor", "the newer visitor"])
def test_a_deletion_that_either_visitor_of_a_chain_sends_forgets_what_both_did(deleted: int, batch_size: int, tmp_path: Path) -> None:
    log = Log()
    log.send(8 * HOUR, CHAIN[1], "signup", visitor=True, traits={**ANALYST, "firstName": "Secretia"})
    log.send(8 * HOUR + MINUTE, CHAIN[1], "track", visitor=True, name="source_connected", status="connected")
    log.send(8 * HOUR + 2 * MINUTE, CHAIN[1], "identity_merged", visitor=True, previousId=CHAIN[0])
    log.send(8 * HOUR + 3 * MINUTE, CHAIN[deleted], "user_deleted", visitor=True)
    job = ran(log, tmp_path / "deleted", batch_size=batch_size)
    assert not_erased(job) == []
    assert named_in(newest_snapshots(job.store), [*CHAIN, "Secretia"]) == set()
    log.send(9 * HOUR, USER, "signup", traits=ANALYST)
    log.send(9 * HOUR + MINUTE, USER, "identity_merged", previousId=CHAIN[1])
    job = ran(log, tmp_path / "signed in", batch_size=batch_size)
    assert completed(job, USER) == {}
    assert named_in(newest_snapshots(job.store), ["Secretia"]) == set()
    assert job.counters.total["people"] == 1


@pytest.mark.parametrize("visitor", [True, False])
def test_a_deletion_reaches_a_visitor_whose_merge_comes_late(visitor: bool, tmp_path: Path) -> None:
    """Whether a user is deleted or a visitor."""
    log, who = Log(), CHAIN[1] if visitor else USER
    log.send(8 * HOUR, CHAIN[0], "page_view", visitor=True, path="/pricing")
    log.send(8 * HOUR + MINUTE, who, "signup", visitor=visitor, traits=ANALYST)
    log.send(8 * HOUR + 9 * MINUTE, who, "user_deleted", visitor=visitor)
    log.send(8 * HOUR + 10 * MINUTE, who, "identity_merged", visitor=visitor, timestamp=8 * HOUR + 5 * MINUTE, previousId=CHAIN[0])
    job = ran(log, tmp_path / "state")
    assert not_erased(job) == []
    assert named_in(newest_snapshots(job.store), [who, *CHAIN]) == set()


def kiosk_log() -> Log:
    """One user id names more visitors than it may, some of them twice and the last ones first seen before; then it is deleted."""
    log = Log()
    for number in range(MOST + 3):
        log.send(8 * HOUR, f"cookie-{number}", "page_view", visitor=True, path="/before")
    log.send(8 * HOUR + MINUTE, USER, "signup", traits=ANALYST)
    for number in (*range(MOST + 3), 0, MOST - 1, MOST):
        log.send(9 * HOUR, USER, "identity_merged", previousId=f"cookie-{number}")
    log.send(10 * HOUR, "cookie-0", "page_view", visitor=True, path="/after")
    log.send(10 * HOUR, f"cookie-{MOST}", "page_view", visitor=True, path="/after")
    log.send(11 * HOUR, USER, "user_deleted")
    return log


def test_an_id_that_a_late_merge_of_a_deleted_visitor_names_may_still_be_a_users(tmp_path: Path) -> None:
    log = Log()
    log.send(0, "visitor", "page_view", visitor=True, path="/")
    log.send(9 * MINUTE, "visitor", "user_deleted", visitor=True)
    log.send(10 * MINUTE, "visitor", "identity_merged", visitor=True, timestamp=5 * MINUTE, previousId=USER)
    log.send(12 * MINUTE, USER, "page_view", path="/a")
    log.send(13 * MINUTE, USER, "track", name="source_connected", status="connected")
    job = ran(log, tmp_path / "state")
    assert [row.status for row in job.facts.items if isinstance(row, EventFact) and row.user_id == USER] == ["applied", "applied"]
    assert "connect_source" in completed(job, USER)


def test_a_visitor_who_named_another_after_its_deletion_is_not_deleted(tmp_path: Path) -> None:
    """Also where the deletion comes late."""
    log = Log()
    for name in CHAIN[:2]:
        log.send(0, name, "page_view", visitor=True, path="/")
    log.send(20 * MINUTE, CHAIN[1], "identity_merged", visitor=True, previousId=CHAIN[0])
    log.send(21 * MINUTE, CHAIN[0], "user_deleted", visitor=True, timestamp=9 * MINUTE)
    log.send(22 * MINUTE, CHAIN[1], "track", visitor=True, name="source_connected", status="connected")
    job = ran(log, tmp_path / "state")
    assert {row.user_id for row in job.facts.items if isinstance(row, Erase)} == {CHAIN[0]}
    assert "connect_source" in completed(job, CHAIN[1])


def test_a_user_who_names_too_many_visitors_gathers_no_more_and_each_is_counted(tmp_path: Path) -> None:
    job = ran(messages(kiosk_log()), tmp_path / "whole", batch_size=1_000)
    assert job.counters.total["events_ignored|merge_too_many"] == 4
    assert {row.user_id for row in job.facts.items if isinstance(row, EventFact) and row.payload == '{"path": "/after"}'} == {
        USER,
        f"cookie-{MOST}",
    }
    erased = {row.user_id for row in job.facts.items if isinstance(row, Erase)}
    assert erased == {USER, *(f"cookie-{number}" for number in range(MOST))}


def test_a_visitor_too_many_stays_its_own_also_where_it_sends_a_late_event(tmp_path: Path) -> None:
    log = Log()
    log.send(0, USER, "signup", traits=ANALYST)
    for number in range(MOST + 1):
        log.send(MINUTE, USER, "identity_merged", previousId=f"cookie-{number}")
    log.send(2 * MINUTE, f"cookie-{MOST}", "page_view", visitor=True, timestamp=30 * SECOND, path="/late")
    log.send(3 * MINUTE, f"cookie-{MOST}", "page_view", visitor=True, path="/after")
    job = ran(messages(log), tmp_path / "state", batch_size=1)
    rows = [(row.user_id, row.status) for row in job.facts.items if isinstance(row, EventFact) and row.event_type == "page_view"]
    assert rows == [(f"cookie-{MOST}", "applied")] * 2


def test_a_crash_while_a_user_names_too_many_visitors_changes_nothing(tmp_path: Path) -> None:
    log = messages(kiosk_log()).items
    alone = Job(log, tmp_path / "alone", batch_size=50)
    alone.run()
    job = Job(log, tmp_path / "state", batch_size=50)
    for index in range(MOST, len(log), 64):
        job.items = [*log[:index], TestingSource.ABORT(), *log[index:]]
        job.run()
    job.items = list(log)
    job.run()
    assert _unordered(job.left()) == _unordered(alone.left())


@pytest.mark.parametrize("visitor", [False, True], ids=["a user", "a visitor"])
def test_a_visitors_deletion_that_comes_again_changes_nothing_for_who_named_the_visitor_since(visitor: bool, tmp_path: Path) -> None:
    log = Log()
    log.send(0, "v", "page_view", visitor=True, path="/")
    log.send(9 * MINUTE, "v", "user_deleted", id="gone", visitor=True)
    log.send(20 * MINUTE, "ann", "signup", visitor=visitor)
    log.send(21 * MINUTE, "ann", "identity_merged", visitor=visitor, previousId="v")
    log.send(22 * MINUTE, "v", "track", id="late", visitor=True, timestamp=5 * MINUTE, name="source_connected", status="connected")
    log.send(HOUR, "v", "user_deleted", id="gone", visitor=True, timestamp=9 * MINUTE)
    log.send(2 * HOUR, "ann", "track", id="after", visitor=visitor, name="query_ran", result={"status": "ok", "rows": 3})
    job = Job(log.items, tmp_path / "state", batch_size=1)
    job.run()
    assert {each.user_id for each in job.facts.items if isinstance(each, Erase)} == {"v"}
    rows = {each.event_id: each.status for each in job.facts.items if isinstance(each, EventFact)}
    assert rows["after"] == "applied"
    assert "late" not in rows, "it is from before the deletion"


def test_a_later_deletion_of_a_chain_is_noted_of_who_was_deleted_before(tmp_path: Path) -> None:
    log = Log()
    log.send(0, "b", "identity_merged", visitor=True, previousId="a")
    log.send(10 * MINUTE, "a", "user_deleted", visitor=True)
    log.send(30 * MINUTE, "a", "user_deleted", visitor=True)
    log.send(31 * MINUTE, "b", "signup", visitor=True, timestamp=20 * MINUTE, traits=ANALYST)
    assert not_erased(ran(log, tmp_path / "state", batch_size=1)) == []


def test_a_merge_from_before_a_deletion_that_comes_again_deletes_nobody_of_the_life_since(tmp_path: Path) -> None:
    log = Log()
    log.send(0, "phone", "page_view", visitor=True, path="/")
    log.send(5 * MINUTE, "v", "identity_merged", id="named", visitor=True, previousId="phone")
    log.send(10 * MINUTE, USER, "user_deleted")
    log.send(20 * MINUTE, USER, "signup", traits=ANALYST)
    log.send(21 * MINUTE, USER, "identity_merged", previousId="v")
    log.send(40 * MINUTE, "v", "identity_merged", id="named", visitor=True, timestamp=5 * MINUTE, previousId="phone")
    job = ran(log, tmp_path / "state", batch_size=1)
    assert {each.user_id for each in job.facts.items if isinstance(each, Erase)} <= {USER}
