"""The graph with Bytewax's testing source and sinks in memory: a crash anywhere changes nothing, nor do more workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, cluster_main, run_main

from flows.catalogs import load_catalog
from flows.onboarding import FlowParts, build
from operators.counters import CounterView
from operators.timer_registry import TimerRegistry
from operators.timers import LANES
from state.catalog.plan import Plan
from state.ids import Keys
from state.messages import Message, Tick
from state.records.facts import EventFact, Fact, OutcomeFact, ProgressFact, SignalFact, StepMetricFact
from state.records.recommendation import Erase
from tests.support.stories import MemoryRedis, MemorySink, rich_log

PLAN = Plan(load_catalog("saas"))
KEYS = Keys(b"a secret for tests")
LOG = tuple(rich_log().items)

Item = Message | Tick | TestingSource.ABORT | TestingSource.EOF
EACH_ACTIVATION = timedelta(0)


class Job:
    """One job with sinks in memory and a recovery store on disk. ``run`` may be called again to resume."""

    def __init__(self, items: Iterable[Item], store: Path, *, lanes: int = 1, partitions: int = 1) -> None:
        self.items = list(items)
        self.facts, self.letters = MemorySink(partitions), MemorySink()
        self.redis = MemoryRedis(partitions)
        self.board = CounterView()
        self._lanes, self._partitions = lanes, partitions
        store.mkdir()
        init_db_dir(store, 1)  # type: ignore[no-untyped-call]
        self._recovery = RecoveryConfig(str(store))  # type: ignore[no-untyped-call]

    def run(self, *, workers: int = 1, epoch: timedelta = EACH_ACTIVATION) -> None:
        self.board = CounterView()
        parts = FlowParts(
            TestingSource(self.items), self.redis, self.facts, self.letters, PLAN, KEYS, TimerRegistry(), self.board,
            lanes=self._lanes, sink_partitions=self._partitions,
        )  # fmt: skip
        flow = build(parts)
        if workers == 1:
            run_main(flow, epoch_interval=epoch, recovery_config=self._recovery)  # type: ignore[no-untyped-call]
        else:
            cluster_main(  # type: ignore[no-untyped-call]
                flow, [], 0, epoch_interval=epoch, recovery_config=self._recovery, worker_count_per_proc=workers
            )

    def left(self) -> dict[str, Any]:
        """Everything that may not depend on crashes. Partials of metrics may be cut anywhere: their sums are the figures."""
        return {
            "facts": [fact for fact in self.facts.items if not isinstance(fact, StepMetricFact)],
            "metrics": metrics(self.facts.items),
            "letters": self.letters.items,
            "tally": self.board.total,
            "redis": self.redis.newest,
            "redis said otherwise before": self.redis.changed,
        }


def metrics(rows: Iterable[Fact | Erase]) -> Counter[tuple[Any, ...]]:
    sums: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        if isinstance(row, StepMetricFact):
            sums[row.tenant_id, row.minute, row.path_id, row.step_id, row.metric, row.label] += row.count
    return sums


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    job = Job(LOG, tmp_path_factory.mktemp("uninterrupted") / "state")
    job.run()
    return job.left()


def test_the_story_has_everything_that_a_crash_could_spoil(uninterrupted: dict[str, Any]) -> None:
    facts, tally = uninterrupted["facts"], uninterrupted["tally"]
    kinds = {fact.kind for fact in facts if isinstance(fact, OutcomeFact)}
    assert {"shown", "clicked", "dismissed", "success", "failure", "expired", "withdrawn"} <= kinds
    assert {fact.trigger for fact in facts if isinstance(fact, SignalFact)} >= {"stuck:errors", "stuck:rage_clicks", "stuck:inactive"}
    assert {letter.reason for letter in uninterrupted["letters"]} == {"not_json", "unknown_event_type", "timestamp_out_of_range"}
    assert tally["duplicates"] == 1
    assert tally["ignored|late"] == 1
    assert tally["ignored|deleted"] == 1
    assert tally["read"] == sum(isinstance(item, Message) for item in LOG)
    assert any(isinstance(fact, Erase) for fact in facts)
    assert sum(isinstance(item, Tick) for item in LOG) > 10


@pytest.mark.parametrize(
    ("epoch", "every"),
    [(EACH_ACTIVATION, 1), (timedelta(milliseconds=5), 4), (timedelta(hours=1), 8)],
    ids=["a snapshot after every item", "after some items", "none"],
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
    for index in range(0, len(LOG), 6):
        job = Job([*LOG[:index], TestingSource.EOF(), *LOG[index:]], tmp_path / f"at-{index}")
        job.run()
        job.run()
        assert job.left() == uninterrupted, f"stop before item {index}"


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
        {name: job.board.total.get(name, 0) for name in ("read", "accepted", "duplicates", "users", "activated")},
    )


@pytest.mark.parametrize("workers", [2, 3])
def test_more_workers_give_the_same_progress_and_lose_or_double_nothing(tmp_path: Path, workers: int) -> None:
    alone = Job(LOG, tmp_path / "alone")
    alone.run()
    together = Job(LOG, tmp_path / "together", lanes=LANES, partitions=4)
    together.run(workers=workers)
    assert told(together) == told(alone)
    assert {person: type(effect) for person, effect in together.redis.newest.items()} == {
        person: type(effect) for person, effect in alone.redis.newest.items()
    }


def test_another_number_of_workers_resumes_what_the_first_began(tmp_path: Path) -> None:
    alone = Job(LOG, tmp_path / "alone")
    alone.run()
    half = len(LOG) // 2
    job = Job([*LOG[:half], TestingSource.EOF(), *LOG[half:]], tmp_path / "grown", lanes=LANES, partitions=4)
    job.run(workers=1)
    job.run(workers=2)
    assert told(job) == told(alone)
