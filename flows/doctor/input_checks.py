"""Checks of the input: the brokers and their topics, or the local event log; retention, and what was not read yet."""

from __future__ import annotations

import math
from typing import Any, Final

from flows.doctor.finding import Finding
from flows.inputs import kafka_cluster
from flows.lag import Lag, measure_lag, thresholds_of
from flows.settings import Settings
from sources.backlog import Thresholds, colour
from sources.errors import SourceError
from sources.kafka.backlog import topic_config
from sources.kafka.client import Cluster, ErrorHandler, request
from sources.kafka.error_codes import CORRECT_SETTINGS
from sources.local_log.reader import LogReader
from state.never import never
from state.quantity import count

_REQUEST_SECONDS: Final = 5.0
_DAY: Final = 86_400
_SHORT_RETENTION: Final = 2 * _DAY
"""A shorter retention is a warning: a job may be down over a weekend."""


def check_broker(settings: Settings) -> list[Finding]:
    """Whether a broker answers, and both topics exist, with enough replicas and retention."""
    cluster = kafka_cluster(settings, timeout_s=_REQUEST_SECONDS)
    try:
        metadata = _metadata(cluster)
    except SourceError as error:
        what, _, advice = str(error).partition("; ")
        return [Finding("broker", "fail", what.removesuffix("."), _sentence(advice.removesuffix(".") or CORRECT_SETTINGS))]
    found = [Finding("broker", "ok", f"{cluster.brokers}, {count(len(metadata.brokers), 'broker')}")]
    for name, setting in (
        (settings.kafka_topic, "ONRAMP_KAFKA_TOPIC"),
        (settings.kafka_dead_letter_topic, "ONRAMP_KAFKA_DEAD_LETTER_TOPIC"),
    ):
        topic = metadata.topics.get(name)
        check = f"topic {name}"
        if topic is None or topic.error is not None or not topic.partitions:
            found.append(Finding(check, "fail", "it does not exist, or may not be seen", f"Create it, or set {setting} to another one."))
        else:
            is_input = name == settings.kafka_topic
            config = topic_config(cluster) if is_input else {}
            found += topic_findings(check, topic.partitions, len(metadata.brokers), config, is_input=is_input)
    return found


def _metadata(cluster: Cluster) -> Any:
    errors = ErrorHandler(cluster)
    consumer = cluster.connect(errors)
    try:
        return request(lambda: consumer.list_topics(timeout=_REQUEST_SECONDS / 2), consumer, errors, never)
    finally:
        consumer.close()


def topic_findings(check: str, partitions: dict[int, Any], brokers: int, config: dict[str, str], *, is_input: bool) -> list[Finding]:
    """Judge the partitions of a topic of a cluster of so many ``brokers``, by its metadata and its configuration."""
    copies = min(len(partition.replicas) for partition in partitions.values())
    leaderless = [index for index, partition in partitions.items() if partition.leader < 0]
    said = f"{count(len(partitions), 'partition')}, {count(copies, 'copy', 'copies')} of each"
    if leaderless:
        found = [Finding(check, "fail", f"partition {leaderless[0]} has no leader", "Start the broker that holds it again.")]
    elif copies < 2 and brokers > 1:
        found = [Finding(check, "warn", said, "Raise its replication factor: the loss of one disk would lose its messages.")]
    else:
        found = [Finding(check, "ok", said)]
    if not is_input:
        return found
    if "compact" in config.get("cleanup.policy", "") and "delete" not in config.get("cleanup.policy", ""):
        advice = "Set cleanup.policy=delete: compaction removes all but the newest event of each user."
        found.append(Finding(check, "fail", "it is compacted", advice))
    return [*found, *retention_findings(check, config)]


def retention_findings(check: str, config: dict[str, str]) -> list[Finding]:
    """Judge the retention in the configuration of the topic of ``check``."""
    name = check.replace("topic", "retention of")
    if "retention.ms" not in config:
        return [
            Finding(name, "warn", "the broker does not tell it", "Look it up with the cluster's tools: it limits how long a job may rest.")
        ]
    seconds = int(config["retention.ms"]) / 1000
    if int(config.get("retention.bytes", -1)) >= 0:
        advice = "Set retention.bytes=-1, or make sure that it holds the messages of retention.ms: a limit by size ignores what was read."
        return [Finding(name, "warn", f"limited by size ({config['retention.bytes']} bytes for each partition)", advice)]
    return [_days(name, math.inf if seconds < 0 else seconds, "retention.ms of the topic")]


def _days(name: str, seconds: float, setting: str) -> Finding:
    if math.isinf(seconds):
        return Finding(name, "ok", "everything is kept")
    if seconds < _SHORT_RETENTION:
        return Finding(name, "warn", f"{seconds / _DAY:.1f} d", f"Raise {setting}: a job that is down for longer loses events.")
    return Finding(name, "ok", f"{seconds / _DAY:.1f} d")


def check_event_log(settings: Settings) -> list[Finding]:
    """Whether the local log can be read, and what it keeps."""
    assert settings.event_log is not None, "the caller checks that the settings name an event log"
    if not settings.event_log.exists():
        return [Finding("event log", "ok", f"{settings.event_log} does not exist yet; whoever comes first creates it")]
    reader = LogReader(settings.event_log)
    try:
        used = reader.used_bytes() / 1024**2
        said = f"{settings.event_log}, {count(reader.identity.partitions, 'partition')}, {used:.0f} of {settings.event_log_max_mb} MiB"
    finally:
        reader.close()
    found = [Finding("event log", "ok", said)]
    return [*found, _days("retention of the event log", settings.event_log_max_days * _DAY, "ONRAMP_EVENT_LOG_MAX_DAYS")]


def check_lag(settings: Settings) -> list[Finding]:
    """What was not read yet, and whether it is in danger."""
    if settings.event_log is not None and not settings.event_log.exists():
        return [Finding("lag", "ok", "there is nothing to read yet")]
    return lag_findings(measure_lag(settings), thresholds_of(settings))


def lag_findings(lag: Lag, thresholds: Thresholds) -> list[Finding]:
    """Judge all partitions by the worst."""
    lost = [each for each in lag.backlogs if each.lost]
    if lost:
        advice = "Restore the messages, or go on without them: see docs/runbook.md, 'Unread messages are about to be deleted'."
        return [Finding("lag", "fail", f"the log deleted {count(sum(each.lost for each in lost), 'message')} unread", advice)]
    beyond = next((each for each in lag.backlogs if each.beyond), None)
    if beyond is not None:
        advice = "It was created again, or an older copy was put back: restore the newer one, or begin with another data directory."
        return [Finding("lag", "fail", f"partition {beyond.partition} ends before the position of the job", advice)]
    return [*_beginning_findings(lag), _worst_finding(lag, thresholds)]


def _beginning_findings(lag: Lag) -> list[Finding]:
    """Tell what the log deleted before the job read anything: of an imported history, Kafka deletes what is older than ``retention.ms``."""
    deleted = sum(each.low for each in lag.backlogs)
    if not deleted or any(each.offset is not None for each in lag.backlogs):
        return []
    says = f"the log deleted {count(deleted, 'message')} before the first start of the job"
    advice = (
        "If it was an imported history, set retention.ms=-1 and send it again: see docs/integrations.md, 'Into a live system'. Otherwise "
        "the job does not know the beginning of its users."
    )
    return [Finding("beginning of the log", "warn", says, advice)]


def _worst_finding(lag: Lag, thresholds: Thresholds) -> Finding:
    worst = max(lag.backlogs, key=lambda each: ("green", "amber", "red").index(colour(each, thresholds, lag.now)))
    waiting = sum(each.messages for each in lag.backlogs)
    said = f"{count(waiting, 'message')} unread" if waiting else "everything was read"
    named = colour(worst, thresholds, lag.now)
    if named == "green":
        return Finding("lag", "ok", said)
    advice = "Run `onramp lag` for each partition, and see docs/runbook.md, 'The lag grows'."
    return Finding("lag", "fail" if named == "red" else "warn", f"{said}, partition {worst.partition} is {named}", advice)


def _sentence(advice: str) -> str:
    return f"{advice[:1].upper()}{advice[1:]}."


def broker_advice(settings: Settings) -> str:
    """What to do where Kafka does not answer."""
    cluster: Cluster = kafka_cluster(settings)
    return _sentence(cluster.unreachable_advice())
