"""Short versions of the long rounds: ``make chaos``, ``make chaos-fuzz`` and ``make chaos-outage`` run more of the same.

The default run kills jobs in tests/e2e/test_kafka_job.py, on the same stores, and in tests/flows/test_resume.py, compared row by row.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.fuzz import fuzz
from tests.chaos.outage import measure
from tests.chaos.schedule import ALL, KILLS, schedule
from tests.chaos.world import Input, run
from tests.support.job_state import differences

pytestmark = [pytest.mark.timing, pytest.mark.slow]


@pytest.mark.parametrize(
    ("seed", "rounds", "kinds", "users", "days"),
    [
        pytest.param(11, 1, KILLS, 20, 3, id="a kill"),
        pytest.param(9, 20, KILLS, 60, 8, id="more kills"),
        pytest.param(9, 16, ALL, 60, 8, id="all faults"),
    ],
)
def test_a_run_under_faults_leaves_what_a_run_without_leaves(
    tmp_path: Path, seed: int, rounds: int, kinds: tuple[str, ...], users: int, days: int
) -> None:
    source = Input(seed, users, days)
    calm = run(tmp_path / "calm", source)
    found = run(tmp_path / "chaos", source, schedule(seed, rounds, kinds))
    assert found.starts > 1, "the job was never killed"
    assert found.applied.total() >= max(rounds // 2, 1), "most faults must meet a process at work"
    assert not differences(calm.state, found.state)
    assert len(calm.state["events"]) > 200
    assert calm.applied == Counter()


def test_fuzzed_messages_are_accepted_or_dead_letters_with_a_reason(tmp_path: Path) -> None:
    found = fuzz(tmp_path / "world", 5_000, 3, lambda _: None)
    assert not found.faults()
    assert len(set(found.letters.values())) >= 12
    assert found.memory[-1] < 1.5 * found.memory[2], found.memory


def test_after_an_outage_of_each_store_and_of_both_nothing_is_missing(tmp_path: Path) -> None:
    found = measure(tmp_path / "world", 5.0, 200.0, 3, lambda _: None)
    assert not found.missing
    assert all(outage.resumed < 30 for outage in found.outages)  # `make chaos-outage` asks for 5 s, on a quiet machine
