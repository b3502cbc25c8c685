"""The graph with Bytewax's testing source and sinks in memory: a crash anywhere changes nothing, nor do more workers."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from bytewax.testing import TestingSource

from state.duration import HOUR, MINUTE
from state.messages import Message, Tick
from state.records.facts import DecisionFact, EventFact, OutcomeFact, PersonFact, ProgressFact, SignalFact
from state.records.recommendation import Erase, Publish
from tests.support.memory_job import EACH_ACTIVATION, LOG, VISITORS, Job, named_in, newest_snapshots
from tests.support.stories import LEAVING, STAYING, Log, visitors_log, visitors_of

GONE = tuple(name for user in LEAVING for name in (user, *visitors_of(user)))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    job = Job(LOG, tmp_path_factory.mktemp("uninterrupted") / "state")
    job.run()
    return job.left()


def test_the_story_has_everything_that_a_crash_could_spoil(uninterrupted: dict[str, Any]) -> None:
    facts, counted = uninterrupted["facts"], uninterrupted["counters"]
    kinds = {fact.kind for fact in facts if isinstance(fact, OutcomeFact)}
    assert {"shown", "clicked", "dismissed", "success", "failure", "expired", "withdrawn"} <= kinds
    assert {fact.trigger for fact in facts if isinstance(fact, SignalFact)} >= {"stuck:errors", "stuck:rage_clicks", "stuck:inactive"}
    assert {letter.reason for letter in uninterrupted["letters"]} == {"not_json", "unknown_event_type", "timestamp_out_of_range"}
    assert counted["events_duplicate"] == 1
    assert counted["events_ignored|late"] == 1
    assert counted["events_ignored|deleted"] == 1
    assert counted["messages_read"] == sum(isinstance(item, Message) for item in LOG)
    assert any(isinstance(fact, Erase) for fact in facts)
    assert sum(isinstance(item, Tick) for item in LOG) > 10


@pytest.mark.parametrize(
    ("epoch", "every"),
    [
        pytest.param(EACH_ACTIVATION, 1, marks=pytest.mark.slow),
        (EACH_ACTIVATION, 7),
        (timedelta(milliseconds=5), 8),
        (timedelta(hours=1), 16),
    ],
    ids=["a snapshot after every item", "the same, at some items", "after some items", "none"],
)
def test_a_crash_before_any_item_changes_nothing(uninterrupted: dict[str, Any], tmp_path: Path, epoch: timedelta, every: int) -> None:
    for index in range(0, len(LOG) + 1, every):
        job = Job([*LOG[:index], TestingSource.ABORT(), *LOG[index:]], tmp_path / f"at-{index}")
        job.run(epoch=epoch)
        job.run(epoch=epoch)
        assert job.left() == uninterrupted, f"crash before item {index}"


def test_a_crash_before_every_item_changes_nothing(uninterrupted: dict[str, Any], tmp_path: Path) -> None:
    job = Job(LOG, tmp_path / "state")
    for index in range(len(LOG)):
        job.items = [*LOG[:index], TestingSource.ABORT(), *LOG[index:]]  # one only: the testing source miscounts after several
        job.run()
    job.items = list(LOG)
    job.run()
    assert job.left() == uninterrupted


def test_stopping_in_order_after_any_item_changes_nothing(uninterrupted: dict[str, Any], tmp_path: Path) -> None:
    for index in range(0, len(LOG), 12):
        job = Job([*LOG[:index], TestingSource.EOF(), *LOG[index:]], tmp_path / f"at-{index}")
        job.run()
        job.run()
        assert job.left() == uninterrupted, f"stop before item {index}"


COUNTED = ("messages_read", "events_applied", "events_duplicate", "people", "people_activated")


class Told(NamedTuple):
    """What may not depend on how many workers there are."""

    events: Counter[Any]
    progress: Counter[Any]
    letters: Counter[Any]
    counts: dict[str, int]


def told(job: Job) -> Told:
    rows = job.facts.items
    return Told(
        Counter((row.user_id, row.event_id, row.status) for row in rows if isinstance(row, EventFact)),
        Counter(
            (row.user_id, row.path_id, row.step_id, row.attempts, row.errors, row.completed_at)
            for row in rows
            if isinstance(row, ProgressFact) and row.status == "completed"
        ),
        Counter((letter.reason, letter.offset) for letter in job.letters.items),
        {name: job.counters.total.get(name, 0) for name in COUNTED},
    )


@pytest.mark.parametrize("workers", [2, 3])
def test_more_workers_give_the_same_progress_and_lose_or_double_nothing(tmp_path: Path, workers: int) -> None:
    alone = Job(LOG, tmp_path / "alone")
    alone.run()
    together = Job(LOG, tmp_path / "together", partitions=4)
    together.run(workers=workers)
    assert told(together) == told(alone)
    assert {person: type(effect) for person, effect in together.redis.newest.items()} == {
        person: type(effect) for person, effect in alone.redis.newest.items()
    }


@pytest.mark.parametrize(
    ("first", "then"),
    [(1, 2), pytest.param(2, 1, marks=pytest.mark.slow), pytest.param(2, 3, marks=pytest.mark.slow)],
)
def test_another_number_of_workers_resumes_what_the_first_began(tmp_path: Path, first: int, then: int) -> None:
    alone = Job(LOG, tmp_path / "alone")
    alone.run()
    half = len(LOG) // 2
    job = Job([*LOG[:half], TestingSource.EOF(), *LOG[half:]], tmp_path / "resumed", partitions=4)
    job.run(workers=first)
    job.run(workers=then)
    assert told(job) == told(alone)


# visitors and deletions


def test_with_more_workers_a_deletion_does_not_overtake_the_events_of_its_batch(tmp_path: Path) -> None:
    """The batch is larger than what the engine hands on at once."""
    log, users = Log(), [f"u{number}" for number in range(1_500)]
    for hour, kind in ((8, "signup"), (9, "user_deleted")):
        for number, user in enumerate(users):
            log.send(hour * HOUR + number, user, kind)
    job = Job(log.items, tmp_path / "state", partitions=4, batch_size=len(log.items))
    job.run(workers=2, epoch=timedelta(hours=1))
    assert Counter(row.status for row in job.facts.items if isinstance(row, EventFact)) == {"applied": len(users)}


def test_a_crash_before_every_item_of_visitors_changes_nothing(tmp_path: Path) -> None:
    log = visitors_log(STAYING[:1], LEAVING[:1]).items
    alone = Job(log, tmp_path / "alone")
    alone.run()
    job = Job(log, tmp_path / "state")
    for index in range(len(log)):
        job.items = [*log[:index], TestingSource.ABORT(), *log[index:]]
        job.run()
    job.items = list(log)
    job.run()
    assert job.left() == alone.left()


@pytest.mark.parametrize(("batch_size", "crash"), [(5, None), (8, None), (1, 6), (1, 7), (1, 3)])
def test_the_id_of_an_event_that_is_too_old_counts_nowhere_or_everywhere(tmp_path: Path, batch_size: int, crash: int | None) -> None:
    """The user sent it, and as two visitors again; they hand it on when the user's own has become too old for a snapshot."""
    log = Log()
    log.send(25 * HOUR, "other", "page_view", path="/")
    log.send(0, "u", "signup", traits={"persona": "analyst", "useCase": "reporting"})
    log.send(1 * HOUR, "u", "track", name="source_connected", id="shared", status="connected")
    log.send(25 * HOUR + 5 * MINUTE, "u", "page_view", path="/")
    for visitor in ("v", "w"):
        log.send(1 * HOUR, visitor, "track", visitor=True, name="source_connected", id="shared", status="connected")
    for minute, visitor in ((6, "v"), (7, "w")):
        log.send(25 * HOUR + minute * MINUTE, "u", "identity_merged", previousId=visitor)
    items = [item for item in log.items if isinstance(item, Message)]
    whole = Job(items, tmp_path / "whole")
    whole.run()
    assert whole.counters.total["events_duplicate"] == 1, "what the second visitor hands on"
    other = Job(
        items if crash is None else [*items[:crash], TestingSource.ABORT(), *items[crash:]], tmp_path / "other", batch_size=batch_size
    )
    other.run()
    if crash is not None:
        other.items = list(items)
        other.run()
    assert other.counters.total == whole.counters.total
    assert sorted(map(repr, other.left()["facts"])) == sorted(map(repr, whole.left()["facts"]))
    assert of_track(newest_snapshots(other.store)) == of_track(newest_snapshots(whole.store))


def of_track(snapshots: dict[tuple[str, str], bytes]) -> dict[str, bytes]:
    """What the people of a job are: key → snapshot."""
    return {key: each for (step, key), each in snapshots.items() if ".track." in step}


def test_after_a_deletion_no_snapshot_holds_an_id_of_the_user_or_of_their_visitors(tmp_path: Path) -> None:
    deleted = next(at for at, item in enumerate(VISITORS) if isinstance(item, Message) and b"user_deleted" in item.value)
    job = Job([*VISITORS[:deleted], TestingSource.EOF(), *VISITORS[deleted:]], tmp_path / "state")
    job.run()
    before = named_in(newest_snapshots(job.store), GONE)
    assert {name for _, name in before} == set(GONE), "else the search finds nothing anywhere"
    assert {step.partition(".")[2].partition(".")[0] for step, _ in before} >= {"stitch", "identify", "track"}
    job.run()
    after = newest_snapshots(job.store)
    assert {name for _, name in named_in(after, STAYING)} == set(STAYING)
    assert named_in(after, GONE) == set()


def test_a_deletion_erases_the_user_and_every_visitor_and_nothing_brings_them_back(tmp_path: Path) -> None:
    job = Job(VISITORS, tmp_path / "state")
    job.run()
    rows = job.facts.items
    for name in GONE:
        assert isinstance(job.redis.newest["default", name], Erase)
        erased = [at for at, row in enumerate(rows) if isinstance(row, Erase) and row.user_id == name]
        assert len(erased) == 1, name
        others = [row for row in rows if not isinstance(row, Erase) and getattr(row, "user_id", "") == name]
        assert others, name
        assert all(row.version < rows[erased[0]].version for row in others), name
        assert {type(row) for row in others if rows.index(row) > erased[0]} <= {OutcomeFact}, "they come by way of the learner"
    assert not [row for row in rows if getattr(row, "user_id", None) == ""]
    kept = {name for user in STAYING for name in (user, *visitors_of(user))}
    assert not [row for row in rows if isinstance(row, Erase) and row.user_id in kept]
    assert {user for _, user in job.redis.newest} >= set(STAYING)
    assert all(isinstance(job.redis.newest["default", user], Publish) for user in STAYING)
    assert job.counters.total["people"] == len(STAYING)


def test_a_user_is_in_the_experiment_group_of_the_visitor_they_were_whatever_the_visitor_did_before(tmp_path: Path) -> None:
    """The group is drawn from the visitor's id, which must be known before what the visitor did is handed on and leads to a decision."""
    log, pairs = Log(), [(f"cookie-{number}", f"user-{number}") for number in range(40)]
    for number, (cookie, _) in enumerate(pairs):
        log.send(8 * HOUR + number * MINUTE, cookie, "signup", visitor=True, traits={"persona": "analyst", "useCase": "reporting"})
        log.send(8 * HOUR + number * MINUTE, cookie, "track", visitor=True, name="source_connected", status="connected")
    for number, (cookie, user) in enumerate(pairs):
        log.send(10 * HOUR + number * MINUTE, user, "identity_merged", previousId=cookie)
    job = Job(log.items, tmp_path / "state")
    job.run()
    people = sorted((row for row in job.facts.items if isinstance(row, PersonFact)), key=lambda row: row.version)
    as_visitor = {row.user_id: row.experiment_group for row in people if row.experiment_group != "merged"}
    assert len({as_visitor[cookie] for cookie, _ in pairs}) >= 2
    assert [as_visitor[user] for _, user in pairs] == [as_visitor[cookie] for cookie, _ in pairs]
    for row in job.facts.items:
        if isinstance(row, DecisionFact) and row.user_id.startswith("user-"):
            assert row.experiment_group == as_visitor[row.user_id]


def visits(job: Job) -> tuple[Counter[Any], dict[Any, Any], dict[str, int]]:
    """What may not depend on how many workers there are, of users who stay and their visitors."""
    rows = job.facts.items
    kept = {name for user in STAYING for name in (user, *visitors_of(user))}
    progress = sorted((row for row in rows if isinstance(row, ProgressFact) and row.user_id in kept), key=lambda row: row.version)
    return (
        Counter((row.user_id, row.event_id, row.status) for row in rows if isinstance(row, EventFact) and row.user_id in kept),
        {(row.user_id, row.step_id): (row.path_id, row.status, row.completed_at, row.attempts) for row in progress},
        {name: job.counters.total[name] for name in ("messages_read", "people", "steps_completed")},
    )


@pytest.mark.parametrize("workers", [2, 3])
def test_with_more_workers_visitors_and_others_arrive_once_and_deletions_everywhere(tmp_path: Path, workers: int) -> None:
    alone = Job(VISITORS, tmp_path / "alone")
    alone.run()
    together = Job(VISITORS, tmp_path / "together", partitions=4)
    together.run(workers=workers)
    assert visits(together) == visits(alone)
    assert sum(visits(alone)[0].values()) == 7 * len(STAYING) + 1 + len(STAYING)
    assert all(isinstance(together.redis.newest["default", name], Erase) for name in GONE)
    assert named_in(newest_snapshots(together.store), GONE) == set()
