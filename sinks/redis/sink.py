"""The sink that puts recommendations where the app reads them. Items are ``(key, [effect, …])``: one item a batch costs least.

All effects of one person must travel under one key, so that they stay in order: partitions are written by different workers.
"""

from __future__ import annotations

from dataclasses import asdict

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from sinks.redis.writer import RecommendationWriter, WriteCounts, WritePolicy
from state.records.recommendation import Effect


class RecommendationSink(FixedPartitionedSink[list[Effect], None]):
    """Writes at least once, and idempotently: after a crash at any point Redis ends in the state it would have had without.

    What was given is in Redis at the end of the epoch at the latest, with ``min_effects`` 1 when ``write_batch`` returns.
    """

    def __init__(self, url: str, policy: WritePolicy, partitions: int = 1, min_effects: int = 1) -> None:
        """Keep the configuration. ``partitions`` is how many workers can write at once; changing it between runs is safe.

        ``min_effects`` effects are gathered before they are sent: 1 for a live job; more for a file, where nobody waits for one person's.
        """
        self._min_effects = min_effects
        self._url = url
        self._policy = policy
        self._partitions = [str(number) for number in range(partitions)]
        self._counts: list[WriteCounts] = []

    @property
    def counts(self) -> WriteCounts:
        """What the partitions of this process have done so far, added up."""
        total = WriteCounts()
        for counts in self._counts:
            for name, value in asdict(counts).items():
                setattr(total, name, getattr(total, name) + value)
        return total

    def list_parts(self) -> list[str]:
        """Every worker can write every partition; the engine gives each to one."""
        return self._partitions

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> RecommendationPartition:  # noqa: ARG002 - the engine's signature
        """Open one partition. Raises ``StoreRefusedError`` when the address makes no sense."""
        writer = RecommendationWriter(self._url, self._policy)
        self._counts.append(writer.counts)
        return RecommendationPartition(writer, self._min_effects)


class RecommendationPartition(StatefulSinkPartition[list[Effect], None]):
    """One writer."""

    def __init__(self, writer: RecommendationWriter, min_effects: int = 1) -> None:
        """Take over ``writer``."""
        self._writer = writer
        self._min_effects = min_effects
        self._buffer: list[Effect] = []

    def write_batch(self, values: list[list[Effect]]) -> None:
        """Return when all of it is in Redis, or fewer than ``min_effects`` effects wait for the end of the epoch.

        Blocks while Redis is away, which holds back the source. Raises ``RecommendationStoreError``.
        """
        self._buffer += [effect for effects in values for effect in effects]
        if len(self._buffer) >= self._min_effects:
            self.snapshot()

    def snapshot(self) -> None:
        """Send what is left: the barrier at the end of the epoch. Blocks and raises like ``write_batch``."""
        if self._buffer:
            self._writer.write(self._buffer)
            self._buffer = []

    def close(self) -> None:
        """Close the connection, at the end of the input."""
        self._writer.close()
