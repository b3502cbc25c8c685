"""Measures how many model calls the cache and coalescing save: ``python -m benchmarks.model_cache --users 20000``.

The demo's people run against the job without Bytewax. Every request for a model's text then goes, in order and together with those of the
same slot, to the real service with a real Valkey and a fake model server. Shared requests are counted; personal ones are listed separately.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

from typing_extensions import override

from benchmarks.replication import ReplicationConfig, replicate
from evaluation.offline_runner import OfflineRunner
from flows.model_service import open_model
from flows.settings import load_settings
from llm.answer import Answer
from local.data_dir import DataDir
from local.redis_access import redis_for_job
from operators.async_map import run_in_background
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.decision.messages import Decision
from state.decision.wording_request import WordingRequest, WordingSkipped, cache_key, consider
from state.ids import Keys
from state.records.recommendation import Recommendation
from tests.support.model_server import ModelServer, good, slow

PARTS = 10


class WordingRequests(OfflineRunner):
    """The job; records for every decision the request for a model's text, or the reason why there is none."""

    def __init__(self, plan: Plan, keys: Keys) -> None:
        super().__init__(Plan(plan.catalog, wording=True), keys)
        self.considered: list[WordingRequest | WordingSkipped] = []

    @override
    def _compose(self, decision: Decision) -> Recommendation:
        record, asked = super()._compose(decision), decision.request
        self.considered.append(consider(self.plan, record, context=asked.context, traits=asked.traits, group=asked.group, at=asked.at))
        return record


def ask(plan: Plan, requests: list[WordingRequest]) -> list[Answer]:
    """Send ``requests`` to the service, those of the same time together; return the answers in their order."""
    with (
        tempfile.TemporaryDirectory() as directory,
        ModelServer(slow(0.05, good())) as server,
    ):
        data_dir = DataDir.create(Path(directory) / "data")
        settings = load_settings(
            data_dir=data_dir.path, llm_url=server.url, llm_calls_per_second=10_000.0, llm_in_flight=500, llm_daily_tokens=10**11,
        )  # fmt: skip
        with redis_for_job(None, data_dir) as redis_url, open_model(settings, ByTenant(plan), redis_url, stopping=lambda: False) as model:
            assert model is not None
            answer = model.service.answer

            async def together(some: list[WordingRequest]) -> list[Answer]:
                return list(await asyncio.gather(*map(answer, some)))

            answers: list[Answer] = []
            for _, group in itertools.groupby(requests, key=lambda request: request.at):
                answers += run_in_background(together(list(group)), 120)
            return answers


def share(count: int, of: int) -> float | None:
    return round(count / of, 4) if of else None


def summarize(considered: list[WordingRequest | WordingSkipped], answers: list[Answer]) -> dict[str, Any]:
    """Return the numbers of calls and hits, and the hit rate in each of ``PARTS`` equal parts of the run."""
    requests = [each for each in considered if isinstance(each, WordingRequest)]
    shared = [(request, answer) for request, answer in zip(requests, answers, strict=True) if not request.personal]
    sources = [answer.source for _, answer in shared]
    parts = [sources[len(sources) * part // PARTS : len(sources) * (part + 1) // PARTS] for part in range(PARTS)]
    kept: dict[str, int] = {}
    for each in considered:
        if isinstance(each, WordingSkipped):
            kept[each.reason] = kept.get(each.reason, 0) + 1
    calls = sources.count("call")
    warm = sources[len(sources) // 2 :]
    return {
        "decisions": len(considered), "keptTemplate": kept, "personal": len(requests) - len(shared), "shared": len(shared),
        "calls": calls, "cache": sources.count("cache"), "coalesced": sources.count("coalesced"),
        "distinctKeys": len({cache_key(request) for request, _ in shared}), "callsSaved": share(len(sources) - calls, len(sources)),
        "hitRateWarm": share(len(warm) - warm.count("call"), len(warm)),
        "hitRateByTenth": [share(len(part) - part.count("call"), len(part)) for part in parts],
        "accepted": share(sum(not answer.reason for answer in answers), len(answers)),
    }  # fmt: skip


def main() -> None:
    """Run the replication, send the requests and print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.model_cache", description="Measure how many calls cache and coalescing save."
    )
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    run = replicate(ReplicationConfig("baseline", arguments.seed, arguments.users, arguments.days), make_runner=WordingRequests)
    assert isinstance(run.job, WordingRequests)
    requests = [each for each in run.job.considered if isinstance(each, WordingRequest)]
    found = summarize(run.job.considered, ask(run.job.plan, requests))
    if arguments.json:
        print(json.dumps({"benchmark": "model_cache", "users": arguments.users, "days": arguments.days, "seed": arguments.seed, **found}))
        return
    for name, value in found.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
