"""A job of two processes on a broker and ClickHouse over HTTP: one is killed, a supervisor brings the job back, nothing is lost."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.job_cluster import ClusterJob, Story, differing, killed_in_the_middle, stale, twice, undisturbed
from tests.support.job_state import rows
from tests.support.kafka_feed import Feed
from tests.support.populations import with_bad_lines
from tests.support.tansu import Tansu, tansu_fixture

broker = tansu_fixture

PARTITIONS = 6


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1], ids=["the-process-that-keeps-the-store", "the-other-process"])
def test_two_processes_of_which_one_is_killed_leave_what_one_process_leaves(broker: Tansu, tmp_path: Path, killed: int) -> None:
    feed, said = Feed(broker, broker.new_topic(PARTITIONS), PARTITIONS), list[str]()
    story = killed_in_the_middle(with_bad_lines(60, 7, seed=8), killed, said.append)
    two = ClusterJob(feed, broker.new_topic(), tmp_path / "two", 2, said.append, group="two").live(story)
    one = ClusterJob(feed, broker.new_topic(), tmp_path / "one", 1, said.append, group="one").live(undisturbed)
    assert f"process {killed} was ended by signal 9" in "\n".join(said)
    assert f"process {1 - killed} ended with exit code 1" in "\n".join(said)
    assert "Another process of the job has ended" in (tmp_path / "two" / f"process-{1 - killed}.log").read_text()
    assert differing(two, one) == {}
    assert (twice(two), stale(two)) == (0, [])
    assert len(rows(two, "people")) > 50
    assert len(rows(two, "decisions")) > 50


@pytest.mark.slow
def test_a_process_that_is_asked_to_stop_ends_all_in_order(broker: Tansu, tmp_path: Path) -> None:
    feed, said, lines = Feed(broker, broker.new_topic(PARTITIONS), PARTITIONS), list[str](), with_bad_lines(40, 5, seed=5)

    def story(job: ClusterJob) -> Story:
        feed.produce(lines[: len(lines) // 2])
        yield "the first half", job.caught_up
        job.signal(1, signal.SIGTERM)
        ended = [f"process {number} ended with exit code 0; it starts again in" for number in (0, 1)]
        yield "the end of both", lambda: all(any(each.startswith(end) for each in said) for end in ended)
        feed.produce(lines[len(lines) // 2 :])
        yield "everything", job.caught_up
        yield "rest", job.at_rest()

    state = ClusterJob(feed, broker.new_topic(), tmp_path / "job", 2, said.append).live(story)
    assert [each for each in said if "exit code 1" in each or "signal" in each] == []
    assert len(rows(state, "events")) == len({row["event_id"] for row in rows(state, "events")}) > 300
    assert (twice(state), stale(state)) == (0, [])
