"""Measures whether pending model calls delay template recommendations: ``python -m benchmarks.model_latency``.

Sign-ups and other events arrive in real time. The latency of a sign-up runs from its scheduled time (not from when the dataflow reads it)
to the moment when its template recommendation is in Redis. Rounds with and without a model alternate in one run, each in its own process.
The model answers after 1.8 seconds. Every decision calls it: the prompt contains the person's own words, so that no answer is cached.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.run import cli_main

from benchmarks.run_file import DiscardingSink
from flows.catalogs import load_catalog
from flows.model_service import open_model
from flows.onboarding import FlowParts, build
from flows.recovery import recovery_config
from flows.settings import load_settings
from local.data_dir import DataDir
from local.old_snapshots_process import OldSnapshotsProcess
from local.redis_access import redis_for_job
from sinks.redis.sink import RecommendationSink
from sinks.redis.writer import WritePolicy
from state.catalog.by_tenant import ByTenant
from state.catalog.model import Catalog
from state.catalog.plan import Plan
from state.ids import Keys
from state.messages import Message, Tick
from state.records.recommendation import Effect, Publish, ReplaceText

ROOT: Final = Path(__file__).resolve().parent.parent
MODEL_SECONDS: Final = 1.8
WARM_SECONDS: Final = 8.0
"""Time at the start that is not counted: connections are opened and the first calls return."""


def product() -> Catalog:
    """Return the catalog ``saas`` without holdout, with a personal model call for every sign-up."""
    catalog = load_catalog("saas")
    assert catalog.wording is not None
    wording = catalog.wording.model_copy(update={"cold_events": 0, "template_share": 0.0, "personal": ["signup"]})
    return catalog.model_copy(update={"holdout": 0.0, "rules": 0.0, "wording": wording})


class RealTimeSource(DynamicSource[Message | Tick]):
    """Emits sign-ups and other events in real time. ``entered``: user -> scheduled time of the sign-up."""

    def __init__(self, signups: float, others: float, seconds: float) -> None:
        self.signups, self.others, self.seconds = signups, others, seconds
        self.entered: dict[str, float] = {}

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _RealTimePartition:  # noqa: ARG002 -- the engine's signature
        return _RealTimePartition(self)


class _RealTimePartition(StatelessSourcePartition[Message | Tick]):
    def __init__(self, source: RealTimeSource) -> None:
        self._source = source
        self._began = time.perf_counter()
        self._sent = [0, 0]
        self._seq = 0

    def next_batch(self) -> list[Message | Tick]:
        source = self._source
        elapsed = time.perf_counter() - self._began
        if elapsed > source.seconds:
            raise StopIteration
        batch: list[Message | Tick] = []
        while self._sent[0] < elapsed * source.signups:
            user = f"new{self._sent[0]}"
            batch.append(self._message(user, "form_submit", {"form": "hello", "comment": f"my own words number {user} about the set-up"}))
            batch.append(self._message(user, "signup", {"traits": {"persona": "engineer", "locale": "en"}}))
            source.entered[user] = self._began + self._sent[0] / source.signups
            self._sent[0] += 1
        while self._sent[1] < elapsed * source.others:
            batch.append(self._message(f"old{self._sent[1] % 2000}", "page_view", {"path": f"/page/{self._sent[1] % 50}"}))
            self._sent[1] += 1
        return batch

    def _message(self, user: str, kind: str, payload: dict[str, Any]) -> Message:
        self._seq += 1
        now = time.time_ns() // 1_000_000
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now / 1000)) + f".{now % 1000:03d}Z"
        event = {"eventId": str(self._seq), "userId": user, "eventType": kind, "timestamp": when, "payload": payload}
        return Message(msgspec.json.encode(event), None, "bench", 0, self._seq, now, now, self._seq)


class TimedSink(FixedPartitionedSink[list[Effect], None]):
    """The real sink; records when each person's template recommendation is in Redis."""

    def __init__(self, inner: RecommendationSink, entered: dict[str, float]) -> None:
        self.inner, self.entered = inner, entered
        self.took: list[tuple[float, float]] = []
        self.improved = 0

    def list_parts(self) -> list[str]:
        return self.inner.list_parts()

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _TimedPartition:
        return _TimedPartition(self, self.inner.build_part(step_id, for_part, resume_state))


class _TimedPartition(StatefulSinkPartition[list[Effect], None]):
    def __init__(self, sink: TimedSink, inner: Any) -> None:
        self._sink, self._inner = sink, inner

    def write_batch(self, values: list[list[Effect]]) -> None:
        self._inner.write_batch(values)
        now = time.perf_counter()
        for effect in (each for effects in values for each in effects):
            if isinstance(effect, ReplaceText):
                self._sink.improved += 1
            elif isinstance(effect, Publish) and (entered := self._sink.entered.get(effect.recommendation.user_id)):
                self._sink.took.append((entered, now - entered))

    def snapshot(self) -> None:
        self._inner.snapshot()

    def close(self) -> None:
        self._inner.close()


def one_round(url: str, signups: float, others: float, seconds: float) -> dict[str, Any]:
    """Run the job for ``seconds``, with the model at ``url`` or without one; return latencies in milliseconds."""
    with tempfile.TemporaryDirectory() as directory:
        data_dir = DataDir.create(Path(directory) / "data")
        settings = load_settings(
            data_dir=data_dir.path, llm_url=url or None, llm_calls_per_second=1_000.0, llm_in_flight=1_000, llm_daily_tokens=10**9,
            llm_personal_share=1.0,
        )  # fmt: skip
        plans, source = ByTenant(Plan(product(), wording=bool(url))), RealTimeSource(signups, others, seconds)
        with redis_for_job(None, data_dir) as redis_url, open_model(settings, plans, redis_url, stopping=lambda: False) as model:
            sink = TimedSink(RecommendationSink(redis_url, WritePolicy()), source.entered)
            flow = build(
                FlowParts(
                    source=source,
                    recommendations=sink,
                    facts=DiscardingSink(),
                    dead_letters=DiscardingSink(),
                    plans=plans,
                    keys=Keys(b"benchmark"),
                    wording=model.wording if model is not None else None,
                )
            )
            recovery = recovery_config(data_dir, settings.recovery_partitions)
            began = time.perf_counter()
            with OldSnapshotsProcess(data_dir.state):
                cli_main(flow, epoch_interval=timedelta(seconds=settings.epoch_seconds), recovery_config=recovery)  # type: ignore[no-untyped-call]
            asked = dict(model.service.counts) if model is not None else {}
    took = np.array([1000 * took for entered, took in sink.took if entered > began + WARM_SECONDS])
    return {
        "model": bool(url), "decisions": int(took.size), "improved": sink.improved, "answers": asked,
        **{f"p{share}": round(float(np.percentile(took, share)), 3) for share in (50, 95, 99)}, "max": round(float(took.max()), 3),
    }  # fmt: skip


def main() -> None:
    """Run alternating rounds and print the ratio of the p99 latencies."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_latency", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a round (default: 20)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds with and without a model (default: 3)")
    parser.add_argument("--calls", type=float, default=50.0, help="decisions and calls per second (default: 50)")
    parser.add_argument("--others", type=float, default=500.0, help="other events per second (default: 500)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--round", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.round is not None:
        print(json.dumps(one_round(arguments.round, arguments.calls, arguments.others, arguments.seconds)))
        return
    rounds: list[dict[str, Any]] = []
    server = [sys.executable, "-m", "benchmarks.model_server", "--seconds", str(MODEL_SECONDS)]
    with subprocess.Popen(server, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        for _ in range(arguments.rounds):
            for address in ("", url):
                rounds.append(_run_in_subprocess(address, arguments))
                if not arguments.json:
                    print(json.dumps(rounds[-1]), flush=True)
        process.communicate()
    without, with_model = ([each["p99"] for each in rounds if each["model"] is kind] for kind in (False, True))
    ratio = statistics.median(with_model) / statistics.median(without)
    if arguments.json:
        print(json.dumps({"benchmark": "model_latency", "rounds": rounds, "p99Ratio": round(ratio, 3)}, indent=2))
    else:
        print(f"p99 with the model / without: {ratio:.2f} (medians of {arguments.rounds} rounds)")


def _run_in_subprocess(url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONRAMP_")}
    command = [
        sys.executable, "-m", "benchmarks.model_latency", "--round", url, "--seconds", str(arguments.seconds),
        "--calls", str(arguments.calls), "--others", str(arguments.others),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
