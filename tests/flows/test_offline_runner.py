"""The runner without the engine decides as the job does, in every scenario: else its replications would prove nothing about the job."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bytewax.testing import run_main

from benchmarks.replication import InProcessPopulation, ReplicationConfig, replicate
from evaluation.scenarios import SCENARIOS
from flows.onboarding import FlowParts, SideChannels, build
from local.secret import DEVELOPMENT_SECRET
from sources.closed_loop import START, Begin, PeopleSource, describe
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.ids import Keys
from state.records.facts import (
    ArmStopFact,
    DecisionFact,
    Fact,
    OutcomeFact,
    PersonFact,
    RecommendationFact,
    SignalFact,
    StepStatisticFact,
)
from state.records.recommendation import Publish, encode
from tests.support.stories import MemoryRedis, MemorySink

COMPARED = (DecisionFact, OutcomeFact, SignalFact, RecommendationFact, PersonFact, StepStatisticFact)


def in_the_engine(world: ReplicationConfig, truth: Path) -> tuple[dict[type[Fact], dict[tuple[Any, ...], Fact]], list[bytes]]:
    """Facts by kind and key, and the truth, of a run on Bytewax, whose people read what the sink for Redis was given."""
    catalog = world.scenario_catalog()
    plan, side, redis, facts = Plan(catalog), SideChannels(), MemoryRedis(), MemorySink()

    def read(users: list[str]) -> list[bytes | None]:
        found = [redis.newest.get(("default", user)) for user in users]
        return [encode(each.recommendation) if isinstance(each, Publish) else None for each in found]

    begin = Begin(world.scenario, world.seed, world.users, START, world.end, describe(catalog))
    source = PeopleSource(InProcessPopulation(), begin, read, truth, side.timers.peek)
    flow = build(FlowParts(source, redis, facts, MemorySink(), ByTenant(plan), Keys(DEVELOPMENT_SECRET), side))
    run_main(flow, epoch_interval=timedelta(seconds=10))  # type: ignore[no-untyped-call]
    assert source.progress.done
    rows: dict[type[Fact], dict[tuple[Any, ...], Fact]] = {kind: {} for kind in (*COMPARED, ArmStopFact)}
    for fact in facts.items:
        if type(fact) in rows:
            key = tuple(getattr(fact, name) for name in fact.KEY)
            known = rows[type(fact)].get(key)
            if known is None or known.version <= fact.version:  # type: ignore[attr-defined]
                rows[type(fact)][key] = fact
    return rows, truth.read_bytes().splitlines()


IN_EVERY_RUN = ("baseline", "messy")


@pytest.mark.parametrize("scenario", [each if each in IN_EVERY_RUN else pytest.param(each, marks=pytest.mark.slow) for each in SCENARIOS])
def test_the_job_and_the_runner_without_the_engine_decide_alike(scenario: str, tmp_path: Path) -> None:
    world = ReplicationConfig(scenario, seed=1, users=80, days=8, holdout=0.2, rules=0.1)
    rows, truth = in_the_engine(world, tmp_path / "truth.jsonl")
    alone = replicate(world)
    for kind in COMPARED:
        expected = {tuple(getattr(fact, name) for name in kind.KEY): fact for fact in alone.job.facts(kind)}
        assert rows[kind] == expected
    assert len(rows[DecisionFact]) > 90
    assert len(truth) == len(alone.truth.people) + 2
