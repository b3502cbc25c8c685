"""A job that is watched: its endpoint while it lives, and ``onramp lag`` and ``doctor`` beside it and after it."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sinks.otlp.tracer import WRITE
from sources.local_log.log import EventLog, Record
from state.metrics import METRICS
from tests.cli.command import onramp, start
from tests.support.ports import port_of, reserve
from tests.support.span_collector import collector
from tests.support.waiting import PATIENCE, running, wait_until

LONG = 180.0
TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NEEDS_MORE = frozenset(
    {
        "onramp_stuck_precision",  # some hundred episodes
        "onramp_events_ignored_total",
        "onramp_exposures_ignored_total",
        "onramp_values_unread_total",
        "onramp_traits_not_kept_total",
        "onramp_outcomes_total",
        "onramp_stuck_signals_total",
    }
)
"""Metrics without a figure here; besides them those of the model."""


def signups(first: int, count: int) -> list[Record]:
    now = datetime.now(UTC).isoformat()
    events = [
        {"eventId": f"e{number}", "userId": f"user-{number}", "eventType": "signup", "timestamp": now}
        for number in range(first, first + count)
    ]
    return [Record(event["userId"].encode(), json.dumps(event).encode(), (("traceparent", TRACEPARENT),)) for event in events]


@pytest.mark.slow
def test_a_job_shows_how_it_is_while_it_runs_and_the_commands_know_it_afterwards(tmp_path: Path) -> None:
    held = reserve()
    port = port_of(held)
    settings = {
        "ONRAMP_EVENT_LOG": str(tmp_path / "log"),
        "ONRAMP_CATALOG": "saas",
        "ONRAMP_SECRET": "a secret for the end-to-end tests",
        "ONRAMP_DATA_DIR": str(tmp_path / "data"),
        "ONRAMP_EPOCH_SECONDS": "0.5",
        "ONRAMP_RECOVERY_PARTITIONS": "2",
        "ONRAMP_METRICS_ADDRESS": f"127.0.0.1:{port}",
        "ONRAMP_LOG_JSON": "true",
        "ONRAMP_LAG_AMBER_SECONDS": "0",
        "ONRAMP_LAG_RED_SECONDS": "0.5",
    }

    def ask(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def figures() -> dict[str, float]:
        """The sum over all labels, by the name of the metric."""
        families = text_string_to_metric_families(ask("/metrics")[1])
        return {
            family.name: sum(each.value for each in family.samples if not each.name.endswith(("_bucket", "_sum", "_created")))
            for family in families
            if family.samples
        }

    with EventLog(tmp_path / "log", retention=None) as log, held, collector() as (url, traces):
        settings["ONRAMP_OTLP_URL"] = url
        log.append([*signups(0, 30), Record(b"x", b"no json")])
        with running(start("run", "--json", cwd=tmp_path, **settings)) as job:
            wait_until(lambda: ask("/ready")[0] == 200, "a job that is ready", within=LONG, process=job, every=0.2)
            log.append(signups(30, 10))
            wait_until(lambda: figures().get("onramp_people") == 40, "all users", within=LONG, process=job, every=0.2)
            wanted = {
                metric.name.removesuffix("_total") for metric in METRICS if "llm" not in metric.name and metric.name not in NEEDS_MORE
            }
            wait_until(
                lambda: wanted <= set(found := figures()) and not found["onramp_consumer_lag_messages"],
                "a figure for every metric",
                within=LONG,
                process=job,
                every=0.2,
            )
            wait_until(
                lambda: figures()["onramp_old_snapshots_removed"] > 0, "old snapshots are removed", within=LONG, process=job, every=0.2
            )
            found = figures()
            assert ask("/health") == (200, '{"status": "ok"}')
            job.send_signal(signal.SIGTERM)
            said, complained = job.communicate(timeout=PATIENCE)
        assert job.returncode == 0, complained
        summary = json.loads(said)
        assert found["onramp_messages_rejected"] == 1
        assert found["onramp_decisions"] == summary["decisions"] == found["onramp_arms_chosen"] == found["ai_onboarding_latency_seconds"]
        assert found["onramp_epoch_duration_seconds"] >= 1
        assert found["onramp_store_up"] == 3
        assert "user-" not in complained
        spans = [span for _, body in traces for span in body["resourceSpans"][0]["scopeSpans"][0]["spans"]]
        assert {span["traceId"] for span in spans} == {TRACEPARENT.split(b"-")[1].decode()}
        assert Counter(span["name"] for span in spans) == dict.fromkeys(("onramp decide", WRITE), summary["decisions"])
        assert "user-" not in json.dumps(spans)
        for line in complained.splitlines():
            if line.startswith("{"):
                assert {"time", "level", "logger", "message"} <= set(json.loads(line))
        log.append(signups(40, 3))

    fine = onramp("doctor", "--json", cwd=tmp_path, **{**settings, "ONRAMP_LAG_RED_SECONDS": "9000"})
    checks: dict[str, Any] = {each["check"]: each for each in fine.json["checks"]}
    assert (fine.code, {each["status"] for each in checks.values()} - {"ok", "warn"}) == (0, set())
    assert checks["tables of ClickHouse"]["status"] == "ok"
    assert checks["lag"]["says"].startswith("3 messages unread")
    behind = onramp("lag", "--json", cwd=tmp_path, **settings)
    assert (behind.code, behind.json["messages"], behind.json["colour"]) == (1, 3, "red")
    shown = onramp("lag", cwd=tmp_path, **settings)
    assert shown.out.startswith("red  the event log")
    assert "docs/runbook.md" in shown.out
