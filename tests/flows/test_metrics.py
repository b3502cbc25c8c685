"""The endpoint of a job: what it shows, when it says ready, and that nothing waits for it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis, RedisError

from flows.catalogs import load_catalog
from flows.listen_address import split_address
from flows.metrics import sampling
from flows.metrics.collector import JobCollector, Watched, prometheus_registry, render
from flows.metrics.probes import ArmShares, BacklogProbe, Measured, RedisProbe, measure_files
from flows.metrics.readiness import Readiness, hung, judge
from flows.metrics.sampling import Sample, Sampler
from flows.metrics.server import MetricsAddressError, MetricsServer
from operators.counters import CounterView
from sinks.clickhouse.spool import Spool
from sinks.redis.latency import WriteLatency
from sinks.redis.writer import WriteCounts
from sources.backlog import Backlog
from sources.batching import BatchPolicy
from sources.epoch_clock import EpochClock
from sources.errors import UnreachableError
from sources.kafka.client import Cluster
from sources.kafka.source import KafkaSource
from sources.local_log.log import EventLog, Record
from sources.local_log.retention import Retention
from sources.local_log.source import LocalLogSource
from sources.positions import Position
from state import counters, histogram
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.duration import SECOND
from state.metrics import LATENCY, METRICS
from state.records.recommendation import Erase, Publish
from state.times import rfc3339
from tests.sinks.recommendation_samples import publish
from tests.support.interleaving import beside, steps_of
from tests.support.metrics_sample import MetricsSample
from tests.support.tansu import run_tansu
from tests.support.valkey import run_valkey
from tests.support.waiting import ends_within, join, suspend, wait_until

NOW = 1_800_000_000_000


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(Name, labels) → value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def shown(watched: Watched, now: Callable[[], int] = lambda: NOW) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return samples(render(prometheus_registry([JobCollector(watched, now)])))


# what is shown


def test_a_process_that_does_not_keep_the_store_says_nothing_of_old_snapshots(tmp_path: Path) -> None:
    """An alert fires where their number stays the same."""
    job = MetricsSample(tmp_path)
    name = "onramp_old_snapshots_removed_total"
    assert name in {name for name, _ in shown(job.watched)}
    job.watched.old_snapshots.idle = True
    assert name not in {name for name, _ in shown(job.watched)}


def test_every_metric_of_the_catalogue_is_shown_and_no_other(tmp_path: Path) -> None:
    job = MetricsSample(tmp_path)
    job.work()
    text = render(prometheus_registry([JobCollector(job.watched)])).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    ours = {name: family for name, family in families.items() if not name.startswith("process_")}
    assert set(ours) == {metric.name.removesuffix("_total") for metric in METRICS}
    for metric in METRICS:
        family = ours[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.meaning)
        assert family.samples, metric.name
        assert {name for sample in family.samples for name in sample.labels} - {"le"} == set(metric.labels), metric.name


def test_figures_are_those_of_the_job(tmp_path: Path) -> None:
    job = MetricsSample(tmp_path)
    job.backlogs = [Backlog(partition, 90, 0, 100, NOW - 3000, NOW - 7000, 604_800.0) for partition in range(2)]
    job.work()
    job.source.positions.of[0] = Position(90, NOW - 8000)
    job.delivery.spool.blocked_writers = 2
    found = shown(job.watched)
    assert found["onramp_events_applied_total", ()] == 10
    assert found["onramp_messages_rejected_total", (("reason", "not_json"),)] == 10
    assert found["onramp_consumer_lag_messages", (("partition", "1"),)] == 10
    assert found["onramp_consumer_lag_seconds", (("partition", "1"),)] == 3
    assert found["onramp_time_to_data_loss_seconds", (("partition", "0"),)] == 604_797
    assert found["onramp_watermark_age_seconds", (("partition", "0"),)] == 8
    assert found["onramp_epoch_duration_seconds_sum", ()] == 5.0
    assert found["onramp_snapshot_pause_seconds_sum", ()] == 0.03
    assert found["bandit_arm_selection_rate", (("arm", "passive_sidebar"),)] == 0.5
    assert found["llm_rate_limit_hits_total", (("limit", "server"),)] == 2
    assert found["llm_rate_limit_hits_total", (("limit", "own"),)] == 1
    assert found["onramp_llm_cache_lookups_total", (("found", "redis"),)] == 2
    assert found["onramp_llm_cache_faults_total", ()] == 1
    assert found["onramp_spool_blocked_writers", ()] == 2
    assert found["onramp_llm_breaker_open", ()] == 0
    assert found["onramp_llm_calls_in_flight", ()] == 3, "of both models"
    assert found["onramp_stuck_precision", ()] == 0.87, "the lowest of all tenants"
    assert found["ai_onboarding_latency_seconds_bucket", (("le", "5.0"), ("trigger", "signup"))] == 1
    assert found["onramp_ready", ()] == 1


def test_of_several_catalogs_the_tenant_counts_that_lacks_most_of_what_its_catalog_asks(tmp_path: Path) -> None:
    job = MetricsSample(tmp_path)
    strict = load_catalog("saas")
    strict = strict.model_copy(update={"version": "2", "triggers": strict.triggers.model_copy(update={"precision": 0.99})})
    job.watched = replace(job.watched, plans=ByTenant(Plan(load_catalog("saas")), {"surer": Plan(strict)}))
    found = shown(job.watched)
    assert (found["onramp_stuck_precision", ()], found["onramp_stuck_precision_asked", ()]) == (0.93, 0.99)
    assert {dict(labels)["catalog"] for name, labels in found if name == "onramp_info"} == {"saas@1.0.0", "saas@2"}


def test_without_a_model_and_before_anything_was_measured_the_rest_is_shown(tmp_path: Path) -> None:
    found = shown(MetricsSample(tmp_path, model=False).watched)
    assert found["onramp_ready", ()] == 0
    assert found["onramp_store_up", (("store", "redis"),)] == 0
    assert not [name for name, _ in found if "llm" in name or "lag" in name]


def fails() -> bool:
    raise OSError("it is away")


def test_what_fails_is_counted_and_shown_and_old_measurements_get_older(tmp_path: Path) -> None:
    job = MetricsSample(tmp_path)
    job.work()
    now, answers = [0.0], iter(({"events": 3.0},))
    redis, clickhouse = Sampler("redis", 5, fails), Sampler("clickhouse", 5, lambda: next(answers), clock=lambda: now[0])
    clickhouse.once()
    now[0] = 20.0
    known = replace(job.watched, clickhouse=clickhouse)
    assert shown(known)["onramp_table_newest_row_age_seconds", (("table", "events"),)] == 23
    assert shown(known)["onramp_store_up", (("store", "clickhouse"),)] == 1
    now[0] = 61.0
    assert shown(known)["onramp_store_up", (("store", "clickhouse"),)] == 0, "it hangs"
    redis._value = True  # it answered once
    redis.once()
    clickhouse.once()
    job.watched.sink._counts.append(WriteCounts(retries=2))
    job.watched.delivery.drain.failures = 3
    job.watched.model.service.models[1].breaker.state = "open"  # type: ignore[union-attr]
    found = shown(replace(known, redis=redis))
    assert [found["onramp_store_up", (("store", store),)] for store in ("redis", "clickhouse")] == [0, 0]
    assert [found["onramp_sink_errors_total", (("sink", sink),)] for sink in ("redis", "clickhouse")] == [2, 3]
    assert found["onramp_llm_breaker_open", ()] == 1


def test_an_input_that_does_not_answer_is_a_store_that_is_down_and_no_lag_of_zero(tmp_path: Path) -> None:
    """Else no alert fires during an outage of the broker: what it last said was that everything was read."""
    job, now = MetricsSample(tmp_path), [0.0]
    job.work()
    answers = iter([Measured([Backlog(0, 100, 0, 100, None, NOW, 604_800.0)], NOW)])
    backlog = Sampler("input", 5, lambda: next(answers), clock=lambda: now[0])
    watched = replace(job.watched, backlog=backlog)
    up, lag = ("onramp_store_up", (("store", "input"),)), ("onramp_consumer_lag_seconds", (("partition", "0"),))
    assert shown(watched)[up] == 0, "it was not asked yet"
    backlog.once()
    assert (shown(watched)[up], shown(watched)[lag]) == (1, 0)
    now[0] = 10.0
    backlog.once()
    assert (shown(watched)[up], shown(watched)[lag]) == (0, 0), "one failure ends no alert on the lag"
    now[0] = 31.0
    backlog.once()
    found = shown(watched)
    assert (found[up], found["onramp_ready", ()]) == (0, 0)
    of_the_log = ("lag", "data_loss", "retention")
    assert not [name for name, _ in found if any(each in name for each in of_the_log)]


def test_a_job_on_a_file_has_no_input_that_could_be_down(tmp_path: Path) -> None:
    stores = {dict(labels)["store"] for name, labels in shown(replace(MetricsSample(tmp_path).watched, backlog=None)) if "store_up" in name}
    assert stores == {"redis", "clickhouse"}


def test_a_broker_that_hangs_is_known_to_hang_within_some_seconds() -> None:
    """The job itself tries for a minute, with each of several requests."""
    with run_tansu() as broker:
        source = KafkaSource(
            Cluster(broker.brokers, broker.new_topic(), "g"), BatchPolicy(lambda *_: None, lambda _: SECOND), now=lambda: NOW
        )
        probe = BacklogProbe(source, Retention())
        try:
            probe.measure()
            assert broker.process is not None
            suspend(broker.process.pid)
            with ends_within(25, "a measurement"), pytest.raises(UnreachableError):
                probe.measure()
            broker.process.send_signal(signal.SIGCONT)
            wait_until(lambda: probe.measure().backlogs == [], "an answer")
        finally:
            probe.close()


def test_a_process_shows_the_partitions_that_it_reads(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log", partitions=3, retention=None) as log:
        log.append([Record(b"u", b"x")])
    source = LocalLogSource(tmp_path / "log", BatchPolicy(lambda *_: None, lambda _: SECOND, 10), now=lambda: NOW)
    probe = BacklogProbe(source, Retention())
    try:
        assert probe.measure().backlogs == []
        source.positions.of[1] = Position(0, NOW)
        source.lag[2] = 5  # nobody reads it, which is said too
        assert [each.partition for each in probe.measure().backlogs] == [1, 2]
    finally:
        probe.close()


def test_shares_of_arms_are_those_of_ten_minutes() -> None:
    view, now = CounterView(), [0.0]
    arms = ArmShares(view, lambda: now[0])
    arms.look()
    assert arms.shares == {}, "the job has not resumed yet"
    view.resumed = {counters.ARMS_CHOSEN.key("a"): 100}
    for second, drawn in ((0, {"a": 100}), (10, {"a": 101, "b": 3}), (500, {"a": 101, "b": 3}), (620, {"a": 105, "b": 3})):
        now[0] = second
        view.total = {counters.ARMS_CHOSEN.key(arm): count for arm, count in drawn.items()}
        arms.look()
        if second == 10:
            assert arms.shares == {"a": 0.25, "b": 0.75}, "what was decided in earlier runs does not count"
    assert arms.shares == {"a": 1.0, "b": 0.0}


def test_latency_is_from_the_cause_to_the_write_and_ignores_what_takes_guidance_back() -> None:
    latency = WriteLatency(lambda: NOW)
    sample = publish("t", "u", 1).recommendation
    caused = msgspec.structs.replace(sample, trigger="signup", ui_component="modal", created_at=rfc3339(NOW - 1500))
    nothing = msgspec.structs.replace(caused, ui_component="none")
    latency.written([Publish(caused), Publish(nothing), Erase("t", "u", 1)])
    assert latency.by_trigger["signup"].sum == pytest.approx(1.5)
    assert sum(latency.by_trigger["signup"].counts) == 1
    assert latency.by_trigger["signup"].bounds == LATENCY.buckets


def test_of_partitions_that_write_at_once_none_is_lost() -> None:
    sample = msgspec.structs.replace(publish("t", "u", 1).recommendation, trigger="signup", ui_component="modal")
    written = [Publish(msgspec.structs.replace(sample, created_at=rfc3339(NOW - 1500)))]
    steps = steps_of(partial(WriteLatency(lambda: NOW).written, written), histogram)
    assert steps > 10
    for step in range(steps):
        latency = WriteLatency(lambda: NOW)
        beside(partial(latency.written, written), partial(latency.written, written), histogram, step)
        found = latency.by_trigger["signup"]
        assert sum(found.counts) == 2, step
        assert found.sum == pytest.approx(3.0), step


def test_files_are_measured(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "part-0.sqlite3").write_bytes(b"x" * 300)
    spool = Spool(tmp_path / "spool")
    files = measure_files(state, spool)
    assert (files.recovery, files.spool_oldest) == (300, 0.0)
    assert files.free > 0
    segment = tmp_path / "spool" / "0.000000000001.000000000001.ready"
    segment.write_bytes(b"")
    os.utime(segment, (1_000_000_000, 1_000_000_000))
    assert measure_files(state, spool).spool_oldest > 10**8


# measuring in a thread


def test_a_sampler_keeps_the_last_result_and_says_why_the_next_one_failed() -> None:
    now, results = [0.0], iter((3, ValueError("the server is away"), TimeoutError(), 4))

    def measure() -> int:
        found = next(results)
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, int)
        return found

    sampler = Sampler("test", 5, measure, clock=lambda: now[0])
    assert sampler.sample.value is None
    for at, expected in ((1.0, (3, "", 0.0)), (6.0, (3, "the server is away", 5.0)), (7.0, (3, "TimeoutError", 6.0)), (11.0, (4, "", 0.0))):
        now[0] = at
        sampler.once()
        assert sampler.sample == expected


@pytest.mark.timing
def test_after_a_failure_it_is_measured_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_AGAIN_SECONDS", 0.01)
    tried, done = [], threading.Event()

    def measure() -> bool:
        tried.append(1)
        if len(tried) < 3:
            raise OSError("it is away")
        done.set()
        return True

    sampler = Sampler("test", 3600, measure)
    sampler.start()
    assert done.wait(60)
    sampler.stop()
    join(sampler._thread, "the end of the sampler")


@pytest.mark.timing
def test_a_measurement_that_hangs_holds_up_neither_a_question_nor_the_end() -> None:
    hangs, ended = threading.Event(), threading.Event()
    closed: list[bool] = []

    def hang() -> bool:
        hangs.set()
        return ended.wait(60)

    sampler = Sampler("test", 5, hang, lambda: closed.append(True))
    sampler.start()
    assert hangs.wait(60)
    assert sampler.sample.value is None
    sampler.stop()
    assert not closed
    ended.set()
    join(sampler._thread, "the end of the measurement")
    assert closed == [True]


# readiness

FINE: Sample[bool] = Sample(True, "", 1.0)
TABLES: Sample[dict[str, float]] = Sample({}, "", 1.0)


def caught_up(seconds: float) -> Sample[Measured]:
    since = NOW - round(seconds * 1000)
    backlogs = [Backlog(1, 5, 0, 10, NOW, NOW, 1000.0), Backlog(0, 5, 0, 10, since, NOW, 1000.0), Backlog(2, 5, 0, 10, NOW, NOW, 1000.0)]
    return Sample(Measured(backlogs, NOW), "", 1.0)


@pytest.mark.parametrize(
    ("backlog", "redis", "clickhouse", "reason"),
    [
        (caught_up(60), FINE, TABLES, ""),
        (None, FINE, TABLES, ""),
        (
            caught_up(61),
            FINE,
            TABLES,
            "Partition 0 is 61 s and 5 messages behind, more than the 60 seconds of ONRAMP_LAG_RED_SECONDS.",
        ),
        (Sample(None, "", 1.0), FINE, TABLES, "The input was not asked yet."),
        (Sample(Measured([], NOW), "", 1.0), FINE, TABLES, "No partition was read yet."),
        (caught_up(0), Sample(True, "Connection refused.", 9.0), TABLES, "Redis cannot be used: Connection refused."),
        (caught_up(0), FINE, Sample({}, "", 61.0), "ClickHouse has not answered for 61 seconds."),
    ],
)
def test_a_job_is_ready_when_it_has_caught_up_and_its_stores_answer(
    backlog: Sample[Measured] | None, redis: Sample[bool], clickhouse: Sample[dict[str, float]], reason: str
) -> None:
    found = judge(backlog, redis, clickhouse, most_seconds=60)
    assert found.reasons == ([reason] if reason else [])
    assert found.ready == (not reason)


def test_a_redis_that_takes_no_writes_is_not_well(tmp_path: Path) -> None:
    """Full, a replica: it answers a PING and every read, and nothing that the job decides arrives."""
    with run_valkey(tmp_path) as server, Redis.from_url(server.url) as client:
        probe = RedisProbe(server.url)
        assert probe.measure()
        client.config_set("maxmemory", "1")
        with pytest.raises(RedisError, match="maxmemory"):
            probe.measure()
        client.config_set("maxmemory", "0")
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(RedisError):
            probe.measure()
        client.replicaof("NO", "ONE")
        assert probe.measure()
        assert 0 < client.pttl("onramp:ping") <= 60_000
        probe.close()


# over HTTP


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9464", ("127.0.0.1", 9464)), (":9464", ("0.0.0.0", 9464)), ("[::1]:0", ("::1", 0)), (" host:1 ", ("host", 1))],
)
def test_an_address_to_listen_on_is_read(text: str, address: tuple[str, int]) -> None:
    assert split_address(text) == address


@pytest.mark.parametrize("text", ["", "9464", "host", "host:", "host:x", "host:65536", "::1:9464", "host:٣"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address must"):
        split_address(text)


@contextmanager
def served(job: MetricsSample) -> Iterator[int]:
    registry = prometheus_registry([JobCollector(job.watched)])
    server = MetricsServer("127.0.0.1:0", metrics=partial(render, registry), readiness=job.watched.readiness, hung=job.watched.hung)
    server.start()
    try:
        yield server.port
    finally:
        server.close()


DOWN: Sample[bool] = Sample(True, "Connection refused.", 9.0)


@pytest.mark.parametrize(
    ("idle", "stores", "is_hung"),
    [
        (None, (FINE, TABLES), False),
        (129.0, (FINE, TABLES), False),
        (131.0, (FINE, TABLES), True),
        (131.0, (DOWN, TABLES), False),
        (131.0, (FINE, Sample(TABLES.value, "no answer", 1.0)), False),
    ],
)
def test_a_process_hangs_if_no_epoch_ends_although_the_stores_answer(
    idle: float | None, stores: tuple[Sample[Any], ...], *, is_hung: bool
) -> None:
    assert ("No epoch has ended for 131 seconds" in hung(idle, 5.0, *stores)) == is_hung


@pytest.mark.timing
def test_a_process_that_hangs_is_not_healthy_and_a_job_of_one_process_never_hangs(tmp_path: Path) -> None:
    job, now = MetricsSample(tmp_path), [0.0]
    clock = job.source.positions.clock = EpochClock(lambda: now[0])
    clock.snapshot(0)
    job.work()
    now[0] = 600.0
    with served(job) as port:
        assert get(port, "/health")[0] == 200
    job.watched = replace(job.watched, several=True)
    with served(job) as port:
        status, _, body = get(port, "/health")
        assert (status, json.loads(body)["status"]) == (503, "hung")
        clock.snapshot(0)
        assert get(port, "/health")[0] == 200


def get(port: int, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type", ""), answer.read()
    finally:
        connection.close()


@pytest.mark.timing
def test_the_endpoint_answers(tmp_path: Path) -> None:
    job = MetricsSample(tmp_path)
    with served(job) as port:
        assert get(port, "/health")[::2] == (200, b'{"status": "ok"}')
        status, kind, body = get(port, "/ready")
        assert (status, kind) == (503, "application/json")
        assert "Redis was not asked yet." in json.loads(body)["reasons"]
        job.work()
        assert get(port, "/ready?verbose")[0] == 200
        status, kind, body = get(port, "/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert samples(body)["onramp_people", ()] == 10
        assert get(port, "/metrics", "HEAD")[2] == b""
        assert get(port, "/../etc/passwd")[0] == 404
        assert get(port, "/metrics", "POST")[0] == 501
        with pytest.raises(MetricsAddressError, match=rf"cannot be served on 127.0.0.1:{port} \(Address already in use\)"):
            MetricsServer(f"127.0.0.1:{port}", metrics=lambda: b"", readiness=lambda: Readiness([]))


def test_a_client_that_goes_away_is_no_line_in_the_log_and_a_fault_is(caplog: pytest.LogCaptureFixture) -> None:
    server = MetricsServer("127.0.0.1:0", metrics=lambda: b"", readiness=lambda: Readiness([]))
    try:
        for error in (BrokenPipeError(), KeyError("x")):
            try:
                raise error
            except (OSError, KeyError):
                server._server.handle_error(None, None)
    finally:
        server.close()
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [KeyError]
