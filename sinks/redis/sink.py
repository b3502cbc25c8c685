"""The Bytewax sink for recommendations. Items are ``(key, [effect, …])``; one item for each batch costs least.

All effects of one user must have the same key, so that they stay in order: different workers write the partitions.
"""

from __future__ import annotations

import time
from dataclasses import asdict

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from sinks.otlp.tracer import Tracer
from sinks.redis.latency import WriteLatency
from sinks.redis.writer import RecommendationWriter, WriteCounts, WritePolicy
from state.records.recommendation import Effect


class RecommendationSink(FixedPartitionedSink[list[Effect], None]):
    """Writes at least once, and idempotently: after a crash at any point Redis reaches the same state as without it.

    Effects are in Redis at the end of their epoch at the latest; with ``min_effects`` 1 when ``write_batch`` returns.
    """

    def __init__(
        self,
        url: str,
        policy: WritePolicy,
        *,
        partitions: int = 1,
        min_effects: int = 1,
        latency: WriteLatency | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """Keep the configuration. ``partitions`` is the number of workers that can write at once; it must not be lower than in
        an earlier run with the same recovery store.

        The sink collects ``min_effects`` effects before it sends them: 1 for a live job, more for a file, where no app waits. ``latency``
        and ``tracer`` hear of all that is in Redis.
        """
        self._tracer = tracer
        self.latency = latency
        self._min_effects = min_effects
        self._url = url
        self._policy = policy
        self._partitions = [str(number) for number in range(partitions)]
        self._counts: list[WriteCounts] = []

    @property
    def counts(self) -> WriteCounts:
        """The sum of the counts of all partitions of this process."""
        total = WriteCounts()
        for counts in self._counts:
            for name, value in asdict(counts).items():
                setattr(total, name, getattr(total, name) + value)
        return total

    def list_parts(self) -> list[str]:
        """Return the partitions. Any worker can write any of them; the engine assigns each to one."""
        return self._partitions

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> RecommendationPartition:  # noqa: ARG002 - the engine's signature
        """Open one partition. Raises ``StoreRefusedError`` if the address is not valid."""
        writer = RecommendationWriter(self._url, self._policy)
        self._counts.append(writer.counts)
        return RecommendationPartition(writer, self._min_effects, self.latency, self._tracer)


class RecommendationPartition(StatefulSinkPartition[list[Effect], None]):
    """One partition with its writer."""

    def __init__(
        self, writer: RecommendationWriter, min_effects: int = 1, latency: WriteLatency | None = None, tracer: Tracer | None = None
    ) -> None:
        """Take over ``writer``."""
        self._tracer = tracer
        self._latency = latency
        self._writer = writer
        self._min_effects = min_effects
        self._buffer: list[Effect] = []

    def write_batch(self, values: list[list[Effect]]) -> None:
        """Return when all effects are in Redis, or fewer than ``min_effects`` wait for the end of the epoch.

        Blocks while Redis is unavailable, which stops the source too (backpressure). Raises ``RecommendationStoreError``.
        """
        self._buffer += [effect for effects in values for effect in effects]
        if len(self._buffer) >= self._min_effects:
            self.snapshot()

    def snapshot(self) -> None:
        """Flush the remaining effects at the end of the epoch. Blocks and raises like ``write_batch``."""
        if self._buffer:
            began = time.time_ns() if self._tracer is not None else 0
            self._writer.write(self._buffer)
            if self._tracer is not None:
                self._tracer.written(self._buffer, began, time.time_ns())
            if self._latency is not None:
                self._latency.written(self._buffer)
            self._buffer = []

    def close(self) -> None:
        """Close the connection, at the end of the input."""
        self._writer.close()
