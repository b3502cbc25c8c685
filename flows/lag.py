"""How far the job of the settings is behind its input, whether it runs or not."""

from __future__ import annotations

import dataclasses
from typing import Final, NamedTuple

import polars as pl

from flows.archive import open_archive
from flows.inputs import kafka_cluster
from flows.open_event_log import retention_of
from flows.settings import Settings, SettingsError
from local.data_dir import DataDir, DataDirError
from local.durable_epoch import part_files
from local.recovery_fault import check_store
from local.recovery_positions import saved_positions
from sources.backlog import Backlog, Thresholds
from sources.errors import OffsetGapError
from sources.kafka.backlog import KafkaBacklog
from sources.kafka.client import another_topic
from sources.kafka.partition import ACCEPT_GAP_SETTING
from sources.local_log.backlog import id_of, measure_once
from sources.local_log.source import NAME
from sources.log_ids import is_another
from sources.positions import Position
from state.never import never
from system.wall_clock import wall_clock

_ANSWER_SECONDS: Final = 8.0


class Lag(NamedTuple):
    """The backlogs of all partitions at the time ``now`` (ms). ``where`` names the input, ``positions`` the origin of the positions."""

    where: str
    positions: str
    backlogs: list[Backlog]
    now: int


def thresholds_of(settings: Settings) -> Thresholds:
    """From where on a backlog is amber or red."""
    return Thresholds(settings.lag_amber_seconds, settings.lag_red_seconds, settings.data_loss_red_share)


def measure_lag(settings: Settings) -> Lag:
    """Measure all partitions. Positions are those of the newest snapshot, or without a recovery store those that the group committed.

    Blocks for some seconds on Kafka. Raises ``SettingsError`` where the settings name no live input, ``SourceError``, ``DataDirError``,
    also where the job would not start: for positions in another log, and for a recovery store that is gone or has not all of its files.
    """
    if settings.event_log is not None:
        positions, log = _saved(settings, NAME)
        now = wall_clock()
        backlogs = measure_once(settings.event_log, retention_of(settings), positions or {}, now)
        if is_another(log, id_of(settings.event_log)):
            raise OffsetGapError(
                f"The event log {settings.event_log} is not the one that this data directory has read: it was removed and created again, "
                "or the setting names another one. Name the right one, or see docs/runbook.md, 'Lost volume'."
            )
        return Lag(f"the event log {settings.event_log}", "the newest snapshot", backlogs, now)
    if settings.kafka_brokers is None:
        raise SettingsError(
            "there is no input to be behind: set ONRAMP_KAFKA_BROKERS or ONRAMP_EVENT_LOG as for the job, or name the directory of "
            "`onramp up` with --data-dir."
        )
    saved, log = _saved(settings, settings.kafka_topic)
    cluster = kafka_cluster(settings, timeout_s=_ANSWER_SECONDS)
    topic = KafkaBacklog(cluster)
    try:
        if log and is_another(log, present := cluster.topic_id(never)):
            raise another_topic(cluster, log, present, ACCEPT_GAP_SETTING)
        backlogs = topic.measure(saved)
    finally:
        topic.close()
    positions_from = "the newest snapshot" if saved is not None else f"the consumer group {settings.kafka_group}"
    return Lag(f"the topic {settings.kafka_topic}", positions_from, backlogs, wall_clock())


def measure_archive_lag(settings: Settings) -> Lag | None:
    """Measure what is not in the archive yet, None where there is no archive. Blocks and raises as ``measure_lag``.

    Raises ``ArchiveError`` also where `onramp archive` would not start: for an archive of another log.
    """
    archive = open_archive(settings)
    if archive is None:
        return None
    positions = {}
    for partition, chain in archive.chains().items():
        newest = archive.read(chain.spans[-1].file).select(pl.col("append_time").max().cast(pl.Int64())).item()
        positions[partition] = Position(chain.spans[-1].file.next_offset, newest or 0)
    where, now = f"the archive {archive.place}", wall_clock()
    if settings.event_log is not None:
        archive.check_log(NAME, id_of(settings.event_log))
        return Lag(where, "its newest files", measure_once(settings.event_log, retention_of(settings), positions, now), now)
    cluster = dataclasses.replace(kafka_cluster(settings, timeout_s=_ANSWER_SECONDS), group=settings.archive_group)
    topic = KafkaBacklog(cluster)
    try:
        archive.check_log(cluster.topic, cluster.topic_id(never))
        return Lag(where, "its newest files", topic.measure(positions), wall_clock())
    finally:
        topic.close()


def archive_thresholds_of(settings: Settings) -> Thresholds:
    """From where on the backlog of the archive is amber or red: a message waits for the end of its file besides."""
    usual = thresholds_of(settings)
    wait = settings.archive_file_seconds
    return usual._replace(amber_seconds=usual.amber_seconds + wait, red_seconds=usual.red_seconds + wait)


def _saved(settings: Settings, source: str) -> tuple[dict[int, Position] | None, str]:
    """The saved positions in ``source``, and the id of the log that they are in. None where this machine has no recovery store."""
    try:
        data_dir = DataDir.open(settings.data_dir)
    except DataDirError:
        return None, ""
    if settings.processes().keeps:
        check_store(data_dir)
    if not part_files(data_dir.state):
        return None, ""
    saved = saved_positions(data_dir.state, source)
    positions = {partition: Position(each.offset, each.log_time) for partition, each in saved.items()}
    return positions, next((each.log for each in saved.values() if each.log), "")
