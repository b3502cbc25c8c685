"""A job goes on with another number of workers or processes: the same people, the same progress, nothing lost and nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.job_cluster import ClusterJob, differing, sent, stale, twice, undisturbed
from tests.support.job_state import rows
from tests.support.kafka_feed import Feed
from tests.support.populations import with_bad_lines
from tests.support.tansu import Tansu, tansu_fixture

broker = tansu_fixture

PARTITIONS = 6


@pytest.mark.slow
@pytest.mark.parametrize("counted", ["workers", "processes"])
def test_what_two_wrote_is_resumed_by_one_and_by_three(broker: Tansu, tmp_path: Path, counted: str) -> None:
    feed, said, lines = Feed(broker, broker.new_topic(PARTITIONS), PARTITIONS), list[str](), with_bad_lines(60, 7, seed=9)
    letters, third = broker.new_topic(), len(lines) // 3

    def job(number: int) -> ClusterJob:
        workers, processes = (number, 1) if counted == "workers" else (1, number)
        return ClusterJob(feed, letters, tmp_path / "rescaled", processes, said.append, group="rescaled", workers=workers)

    two = job(2).live(sent(lines[:third]))
    one = job(1).live(sent(lines[third : 2 * third]))
    job(3).live(sent(lines[2 * third :]))
    rescaled = job(3).live(undisturbed)
    alone = ClusterJob(feed, broker.new_topic(), tmp_path / "alone", 1, said.append, group="alone").live(undisturbed)
    assert said == []
    assert 0 < len(rows(two, "events")) < len(rows(one, "events")) < len(rows(rescaled, "events"))
    assert differing(rescaled, alone) == {}
    assert (twice(rescaled), stale(rescaled)) == (0, [])
