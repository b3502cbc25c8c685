"""The sink that puts recommendations where the app reads them. Items are ``(key, [effect, …])``: one item a batch costs least.

All effects of one person must travel under one key, so that they stay in order: partitions are written by different workers.
"""

from __future__ import annotations

from dataclasses import asdict

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from sinks.recommendation_writer import RecommendationWriter, WriteCounts, WritePolicy
from state.recommendation import Effect


class RecommendationSink(FixedPartitionedSink[list[Effect], None]):
    """Writes at least once, and idempotently: after a crash at any point Redis ends in the state it would have had without.

    A batch is in Redis when ``write_batch`` returns, so the snapshot, which ends the epoch, has nothing to wait for.
    """

    def __init__(self, url: str, policy: WritePolicy, partitions: int = 1) -> None:
        """Keep the configuration. ``partitions`` is how many workers can write at once; changing it between runs is safe."""
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
        return RecommendationPartition(writer)


class RecommendationPartition(StatefulSinkPartition[list[Effect], None]):
    """One writer."""

    def __init__(self, writer: RecommendationWriter) -> None:
        """Take over ``writer``."""
        self._writer = writer

    def write_batch(self, values: list[list[Effect]]) -> None:
        """Return when all of it is in Redis.

        Blocks while Redis is away, which holds back the source. Raises ``RecommendationStoreError``.
        """
        self._writer.write([effect for effects in values for effect in effects])

    def snapshot(self) -> None:
        """Nothing is pending between two batches."""

    def close(self) -> None:
        """Close the connection, at the end of the input."""
        self._writer.close()
