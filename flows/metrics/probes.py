"""What is measured beside the job: how far it is behind, its files, whether its stores answer, how fresh the tables are."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from flows.inputs import LiveSource
from operators.counters import CounterView
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.read_only_query import query_values
from sinks.clickhouse.spool import Spool
from sinks.redis.client import RedisServers
from sources.backlog import Backlog
from sources.kafka.backlog import KafkaBacklog
from sources.kafka.source import KafkaSource
from sources.local_log.backlog import LocalBacklog
from sources.local_log.retention import Retention
from state import counters
from state.counters import CounterTotals
from system.wall_clock import wall_clock

ANSWER_SECONDS: Final = 5.0
"""How long to wait for a broker. The job itself waits longer; whoever watches it wants to know soon."""
_PING_KEY: Final = b"onramp:ping"
_PING_MS: Final = 60_000
_RATE_SECONDS: Final = 600.0
_FRESHNESS: Final = "SELECT table_name, lag_seconds FROM freshness WHERE lag_seconds IS NOT NULL"


class Measured(NamedTuple):
    """The backlogs of the partitions that this process reads, and when they were measured (ms)."""

    backlogs: list[Backlog]
    at: int


class BacklogProbe:
    """Measures the input over a connection of its own. For one thread."""

    def __init__(self, source: LiveSource, retention: Retention) -> None:
        """Connect with the first measurement. ``retention`` is that of the local log."""
        self._source = source
        self._retention = retention
        self._log: KafkaBacklog | LocalBacklog | None = None

    def measure(self) -> Measured:
        """Return the backlogs of now. Raises ``SourceError`` if the input does not answer."""
        if self._log is None:
            source = self._source
            if isinstance(source, KafkaSource):
                self._log = KafkaBacklog(dataclasses.replace(source.cluster, timeout_s=ANSWER_SECONDS))
            else:
                self._log = LocalBacklog(source.directory, self._retention)
        positions = dict(self._source.positions.of)
        ours = {*positions, *self._source.lag}  # a partition that nobody reads has a lag and no position
        now = wall_clock()
        found = self._log.measure(positions) if isinstance(self._log, KafkaBacklog) else self._log.measure(positions, now)
        return Measured([each for each in found if each.partition in ours], now)

    def close(self) -> None:
        """Close the connection."""
        if self._log is not None:
            self._log.close()


class Files(NamedTuple):
    """Sizes in bytes; ``spool_oldest`` is the age of the oldest file of the spool in seconds, 0 where it is empty."""

    recovery: int
    free: int
    spool_oldest: float


def measure_files(state: Path, spool: Spool) -> Files:
    """Look at the files of the job. Raises ``OSError``."""
    size = 0
    for file in state.iterdir():
        try:
            size += file.stat().st_size
        except FileNotFoundError:  # the engine has removed a journal meanwhile
            continue
    oldest = spool.oldest()
    return Files(size, shutil.disk_usage(state).free, 0.0 if oldest is None else max(0.0, time.time() - oldest))


class RedisProbe:
    """Writes a small value, as a server that is full, a replica or cannot save refuses it and answers everything else. For one thread."""

    def __init__(self, url: str) -> None:
        """Open no connection yet. Raises ``StoreRefusedError`` if ``url`` is not valid."""
        self._servers = RedisServers(url)

    def measure(self) -> bool:
        """Return true. Raises the error of a server that does not answer, or takes no writes."""
        try:
            for client, _ in self._servers.routes([_PING_KEY]):
                client.set(_PING_KEY, b"", px=_PING_MS)
        except Exception:
            self._servers.refresh()
            raise
        return True

    def close(self) -> None:
        """Close the connections."""
        self._servers.close()


def freshness(store: ClickHouse) -> dict[str, float]:
    """Return table → age of its newest row in seconds, empty tables left out. Raises ``StoreError``."""
    return {str(row["table_name"]): float(row["lag_seconds"]) for row in query_values(store, _FRESHNESS, {}).records()}


class ArmShares:
    """The share of each arm in the decisions of the last ten minutes. One thread calls ``look``, any thread reads ``shares``."""

    def __init__(self, view: CounterView, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` is in seconds."""
        self._view = view
        self._clock = clock
        self._seen: deque[tuple[float, dict[str, int]]] = deque()
        self.shares: dict[str, float] = {}

    def look(self) -> None:
        """Note the counts of now, and update ``shares``. Decisions of earlier runs do not count."""
        now, totals, resumed = self._clock(), self._view.total, self._view.resumed  # the counting step sets ``resumed`` first
        earlier = _arms(resumed)
        if not self._seen:
            self._seen.append((now, {}))
        self._seen.append((now, {arm: count - earlier.get(arm, 0) for arm, count in _arms(totals).items()}))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _RATE_SECONDS:
            self._seen.popleft()
        before, after = self._seen[0][1], self._seen[-1][1]
        drawn = {arm: count - before.get(arm, 0) for arm, count in after.items()}
        total = sum(drawn.values())
        self.shares = {arm: count / total for arm, count in drawn.items()} if total > 0 else {}


def _arms(totals: CounterTotals) -> dict[str, int]:
    return counters.ARMS_CHOSEN.by_label(totals)
