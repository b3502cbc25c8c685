"""What tests of the spool share: rows, and a drain that runs once."""

from __future__ import annotations

from sinks.clickhouse.drain import Drain
from sinks.clickhouse.fake import FakeInserter
from sinks.clickhouse.sink import Batch, FactPartition
from sinks.clickhouse.spool import Spool
from state.records.facts import DeadLetterFact
from tests.support.facts import make

SECONDS = 30.0
"""How long a test waits for another thread before it is called hung."""


def letter(name: str) -> DeadLetterFact:
    return make(DeadLetterFact, dead_letter_id=name)


def batch(*names: str) -> Batch:
    return [letter(name) for name in names]


def names(inserter: FakeInserter) -> list[str]:
    return [str(row[0]) for row in inserter.rows("dead_letters")]


def drain(spool: Spool, inserter: FakeInserter) -> bool:
    return Drain(spool, inserter, pause=lambda _: None).drain_once()


def put(spool: Spool, *segments: Batch) -> None:
    """Write each batch as a segment of its own and let it be delivered."""
    partition = FactPartition(spool, "p", None)
    for rows in segments:
        partition.write_batch([rows])
        partition.snapshot()
    partition.flush()
