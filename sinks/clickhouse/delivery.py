"""All of fact delivery in one handle: what the flow writes to, what the runner starts, settles and closes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.drain import Drain
from sinks.clickhouse.inserter import ClickHouseInserter, Inserter
from sinks.clickhouse.sink import FactSink
from sinks.clickhouse.spool import DEFAULT_MAX_BYTES, Spool


class DeliveryResult(NamedTuple):
    """How a settle ended. ``left`` segments stay in the spool and are delivered by the next run; ``rejected`` ones need a person."""

    complete: bool
    rows_inserted: int
    left: int
    rejected: int
    last_error: str


class FactDelivery:
    """Spool, sink and drain of one process.

    Order of use: ``migrate(store)``, build this, give ``sink`` to the flow, ``start()``, run the dataflow; then ``settle()`` if and only
    if it returned normally, and ``close()`` in every case. Without ``flush`` what is pending stays pending for the next run.
    """

    def __init__(
        self,
        store: ClickHouse,
        directory: Path,
        *,
        partitions: Sequence[str] = ("facts",),
        max_bytes: int = DEFAULT_MAX_BYTES,
        inserter: Inserter | None = None,
    ) -> None:
        self.spool = Spool(directory, max_bytes=max_bytes)
        self.sink = FactSink(self.spool, partitions)
        self.drain = Drain(self.spool, inserter if inserter is not None else ClickHouseInserter(store))
        self._partitions = list(partitions)

    def start(self) -> None:
        """Begin to deliver, what an earlier run left first. Never blocks; a store that is down is retried."""
        self.drain.start()

    def flush(self, timeout: float | None = 60.0) -> DeliveryResult:
        """Promote everything this process wrote and wait until it is in ClickHouse, at most ``timeout`` seconds (None: for ever).

        Call it from any thread, only after the dataflow has returned normally: by then every epoch is durable. Does not raise when
        the store is down: the rows are safe, ``complete`` is False.
        """
        self.sink.flush()
        complete = self.spool.wait_until(lambda: self._left() == 0, timeout)
        return DeliveryResult(complete, self.drain.rows_inserted, self._left(), self.spool.segments_rejected, self.drain.last_error)

    def close(self, timeout: float = 10.0) -> None:
        """Stop delivering and release held-back writers, which raise ``SpoolClosed``. Files stay as they are. Repeatable."""
        self.spool.close()
        self.drain.close(timeout)

    def _left(self) -> int:
        return sum(len(self.spool.segments("ready", partition)) for partition in self._partitions)
