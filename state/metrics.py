"""The catalogue of metrics: what ``GET /metrics`` of a running job shows. ``docs/metrics.md`` is written from it.

Each counter of ``state/counters.py`` is a metric. The others are levels and times that the process reads when it is scraped.
Labels have few values, which come from the code, the catalog, the topic or the schema: never a user, a tenant, an id or a text.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from state.counters import COUNTERS, Counter

PREFIX: Final = "onramp_"


class Metric(msgspec.Struct, frozen=True):
    """One metric, under the name by which Prometheus knows it. ``buckets`` are the bounds of a histogram without the infinite one."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def metric_of(counter: Counter) -> Metric:
    """The metric of a counter of the job: ``onramp_…_total``, or ``onramp_…`` for one that may decrease."""
    name = f"{PREFIX}{counter.name}{'_total' if counter.kind == 'counter' else ''}"
    return Metric(name, counter.kind, counter.unit, counter.meaning, (counter.label,) if counter.label else ())


def _gauge(name: str, unit: str, meaning: str, *labels: str) -> Metric:
    return Metric(name, "gauge", unit, meaning, labels)


def _counter(name: str, unit: str, meaning: str, *labels: str) -> Metric:
    return Metric(name, "counter", unit, meaning, labels)


# Names that the wider system uses.
LATENCY: Final = Metric(
    "ai_onboarding_latency_seconds",
    "histogram",
    "seconds",
    "from the append of the event that caused a recommendation, or from the deadline of the timer, until Redis has the recommendation",
    ("trigger",),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0),
)
ARM_RATE: Final = _gauge(
    "bandit_arm_selection_rate", "share", "share of the decisions of the last ten minutes for which this arm was drawn", "arm"
)
RATE_LIMIT_HITS: Final = _counter(
    "llm_rate_limit_hits_total",
    "requests",
    "requests for a model's text that a rate limit stopped: `own` (ONRAMP_LLM_CALLS_PER_SECOND) or `server` (HTTP 429)",
    "limit",
)

# How far the job has read.
LAG_MESSAGES: Final = _gauge(
    "onramp_consumer_lag_messages",
    "messages",
    "messages of the partition that were not read yet; like all figures of the log, only while it answers",
    "partition",
)
LAG_SECONDS: Final = _gauge(
    "onramp_consumer_lag_seconds", "seconds", "age of the oldest message that was not read yet; 0 if all were read", "partition"
)
WATERMARK_AGE: Final = _gauge(
    "onramp_watermark_age_seconds", "seconds", "how far log time, by which timers run, is behind the clock", "partition"
)
RETENTION: Final = _gauge(
    "onramp_retention_seconds",
    "seconds",
    "how long the log keeps a message, at its rate of growth so far; +Inf if it keeps all",
    "partition",
)
TIME_TO_DATA_LOSS: Final = _gauge(
    "onramp_time_to_data_loss_seconds",
    "seconds",
    "time until the log deletes a message that was not read: retention minus lag, if the job reads nothing more",
    "partition",
)
EPOCH: Final = Metric(
    "onramp_epoch_duration_seconds",
    "histogram",
    "seconds",
    "from one snapshot to the next",
    (),
    (0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 30.0, 60.0),
)
SNAPSHOT_PAUSE: Final = Metric(
    "onramp_snapshot_pause_seconds",
    "histogram",
    "seconds",
    "for how long a snapshot kept the job from reading",
    (),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
RECOVERY_BYTES: Final = _gauge("onramp_recovery_store_bytes", "bytes", "size of the files of the recovery store")
OLD_SNAPSHOTS: Final = _counter(
    "onramp_old_snapshots_removed_total", "snapshots", "snapshots that newer ones replaced and that were removed from the recovery store"
)
DISK_FREE: Final = _gauge("onramp_data_dir_free_bytes", "bytes", "free space on the disk of the data directory")
TIMERS: Final = _gauge("onramp_timers_pending", "timers", "registered timers, stale ones included")

# Where results go.
SINK_ERRORS: Final = _counter(
    "onramp_sink_errors_total", "attempts", "writes that failed and were tried again: `redis` or `clickhouse`", "sink"
)
REDIS_WRITES: Final = _counter(
    "onramp_redis_writes_total",
    "effects",
    "effects that were sent to Redis, by result; `improved`: model texts that replaced the template, `refused`: those that came too late",
    "result",
)
ROWS_INSERTED: Final = _counter("onramp_clickhouse_rows_inserted_total", "rows", "rows that ClickHouse acknowledged")
SPOOL_BYTES: Final = _gauge("onramp_spool_bytes", "bytes", "size of the rows on disk that wait for ClickHouse")
SPOOL_LIMIT: Final = _gauge("onramp_spool_limit_bytes", "bytes", "size of the spool at which the job stops reading (ONRAMP_SPOOL_MAX_MB)")
SPOOL_BLOCKED: Final = _gauge(
    "onramp_spool_blocked_writers", "writers", "writers of rows that wait for space in the spool, and keep the job from reading"
)
SPOOL_SEGMENTS: Final = _gauge(
    "onramp_spool_segments",
    "segments",
    "files of the spool: `pending` (epoch not durable yet), `ready` (waiting for ClickHouse), `rejected` (refused, an operator must act), "
    "`unreadable` (damaged, and the deletions of users in it are unknown: an operator must act)",
    "stage",
)
SPOOL_AGE: Final = _gauge("onramp_spool_oldest_age_seconds", "seconds", "age of the oldest file of the spool; 0 if it is empty")
STORE_UP: Final = _gauge(
    "onramp_store_up",
    "0 or 1",
    "whether the store did what it was asked: `redis` (a small write), `clickhouse`, or `input` (the brokers, or the event log)",
    "store",
)
TABLE_AGE: Final = _gauge(
    "onramp_table_newest_row_age_seconds",
    "seconds",
    "age, by log time, of the newest row of a table in ClickHouse; it measures freshness only while events arrive",
    "table",
)

# The model.
LLM_REQUESTS: Final = _counter(
    "onramp_llm_requests_total",
    "requests",
    "requests for a model's text; `result` is the source of the text, or the reason why there is none",
    "result",
)
LLM_CACHE_LOOKUPS: Final = _counter(
    "onramp_llm_cache_lookups_total",
    "lookups",
    "lookups of a text in the cache, by where it was found: `process`, `redis` (where another process may have put it) or `nowhere`",
    "found",
)
LLM_CACHE_FAULTS: Final = _counter(
    "onramp_llm_cache_faults_total",
    "requests",
    "requests of the cache that Redis did not answer in time; after each one the cache leaves Redis alone for five seconds",
)
LLM_IN_FLIGHT: Final = _gauge("onramp_llm_calls_in_flight", "calls", "calls to model servers that are running")
LLM_PENDING: Final = _gauge("onramp_llm_requests_pending", "requests", "decisions that wait for a model's text")
LLM_BREAKER: Final = _gauge("onramp_llm_breaker_open", "0 or 1", "whether calls of a model are stopped because its server keeps failing")
LLM_BUDGET: Final = _gauge(
    "onramp_llm_budget_used_ratio",
    "share",
    "share of today's budget that the tenant with the highest use has used, as this process saw it",
    "scope",
)

# What is learned.
STUCK_PRECISION: Final = _gauge(
    "onramp_stuck_precision",
    "share",
    "precision of stuck alarms on past users, at the present thresholds; of the tenant that lacks most of what is asked",
)
STUCK_ASKED: Final = _gauge(
    "onramp_stuck_precision_asked", "share", "precision of stuck alarms that the catalog asks for; of the same tenant"
)

# The process.
INFO: Final = _gauge(
    "onramp_info",
    "1",
    "versions of Onramp and of the catalog, and whether the engine is compiled or interpreted; a series for each catalog",
    "version",
    "engine",
    "catalog",
)
READY: Final = _gauge("onramp_ready", "0 or 1", "whether /ready answers 200: caught up, and the stores answer")

# The gateway, which has a ``/metrics`` of its own.
ANSWER_SECONDS: Final = Metric(
    "onramp_gateway_answer_seconds",
    "histogram",
    "seconds",
    "of the gateway: from a request until the headers of its answer",
    (),
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
ANSWERS: Final = _counter(
    "onramp_gateway_answers_total", "answers", "of the gateway: answers, by the class of their status: `2xx`, …", "status"
)
REFUSALS: Final = _counter(
    "onramp_gateway_refusals_total",
    "refusals",
    "of the gateway: connections and requests that were refused before they were read: `not_http`, `headers_too_large`,"
    " `unanswered` (too many requests on one connection), `memory` (too much for all of them), `connections` (answered with 503 at the"
    " limit), `made_room` (closed for a new connection)",
    "reason",
)
GATEWAY_METRICS: Final = (ANSWER_SECONDS, ANSWERS, REFUSALS)

# The archive, which has a ``/metrics`` of its own. It shows ``RETENTION`` as well.
ARCHIVE_POSITION: Final = _gauge(
    "onramp_archive_position", "offset", "of the archive: the offset after the last message in a file", "partition"
)
ARCHIVE_LAG_MESSAGES: Final = _gauge(
    "onramp_archive_lag_messages", "messages", "of the archive: messages of the log that are in no file yet", "partition"
)
ARCHIVE_LAG_SECONDS: Final = _gauge(
    "onramp_archive_lag_seconds",
    "seconds",
    "of the archive: age of the oldest message that is in no file yet; usually up to ONRAMP_ARCHIVE_FILE_SECONDS, after which a file ends",
    "partition",
)
ARCHIVE_TIME_TO_DATA_LOSS: Final = _gauge(
    "onramp_archive_time_to_data_loss_seconds",
    "seconds",
    "of the archive: time until the log deletes a message that is in no file: retention minus lag, if nothing more is archived",
    "partition",
)
ARCHIVE_FILES: Final = _gauge("onramp_archive_files", "files", "of the archive: its files")
ARCHIVE_BYTES: Final = _gauge("onramp_archive_bytes", "bytes", "of the archive: size of its files")
ARCHIVE_WRITE_AGE: Final = _gauge(
    "onramp_archive_last_write_age_seconds", "seconds", "of the archive: time since this process wrote a file, or was started"
)
ARCHIVE_MESSAGES: Final = _counter("onramp_archive_messages_total", "messages", "of the archive: messages that this process wrote to files")
ARCHIVE_ERRORS: Final = _counter(
    "onramp_archive_errors_total",
    "errors",
    "of the archive: what failed and did not end the process: `join` (a damaged file keeps those beside it from being joined), `log` (the "
    "log could not be measured), `files` (the files could not be listed)",
    "at",
)
ARCHIVE_METRICS: Final = (
    ARCHIVE_POSITION,
    ARCHIVE_LAG_MESSAGES,
    ARCHIVE_LAG_SECONDS,
    ARCHIVE_TIME_TO_DATA_LOSS,
    ARCHIVE_FILES,
    ARCHIVE_BYTES,
    ARCHIVE_WRITE_AGE,
    ARCHIVE_MESSAGES,
    ARCHIVE_ERRORS,
)

METRICS: Final = (
    LATENCY,
    ARM_RATE,
    RATE_LIMIT_HITS,
    *(metric_of(counter) for counter in COUNTERS),
    LAG_MESSAGES,
    LAG_SECONDS,
    WATERMARK_AGE,
    RETENTION,
    TIME_TO_DATA_LOSS,
    EPOCH,
    SNAPSHOT_PAUSE,
    RECOVERY_BYTES,
    OLD_SNAPSHOTS,
    DISK_FREE,
    TIMERS,
    SINK_ERRORS,
    REDIS_WRITES,
    ROWS_INSERTED,
    SPOOL_BYTES,
    SPOOL_LIMIT,
    SPOOL_BLOCKED,
    SPOOL_SEGMENTS,
    SPOOL_AGE,
    STORE_UP,
    TABLE_AGE,
    LLM_REQUESTS,
    LLM_CACHE_LOOKUPS,
    LLM_CACHE_FAULTS,
    LLM_IN_FLIGHT,
    LLM_PENDING,
    LLM_BREAKER,
    LLM_BUDGET,
    STUCK_PRECISION,
    STUCK_ASKED,
    INFO,
    READY,
)
"""Every metric of the job, in the order in which its ``/metrics`` and ``docs/metrics.md`` show them."""

ALL_METRICS: Final = (*METRICS, *GATEWAY_METRICS, *ARCHIVE_METRICS)
"""Those of all processes, in the order of ``docs/metrics.md``."""


def as_table() -> str:
    """The table of ``docs/metrics.md``."""
    lines = ["| name | kind | unit | labels | meaning |", "|---|---|---|---|---|"]
    for metric in ALL_METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
        lines.append(f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {metric.meaning} |")
    return "\n".join(lines) + "\n"
