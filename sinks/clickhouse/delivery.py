"""Delivery of facts to ClickHouse as one object: the sink for the dataflow, and start, flush and close for the runner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.drain import Drain
from sinks.clickhouse.inserter import ClickHouseInserter, Inserter
from sinks.clickhouse.sink import FactSink
from sinks.clickhouse.spool import DEFAULT_MAX_BYTES, Spool
from state.never import never

_CLOSE_SECONDS: Final = 10.0


class DeliveryResult(NamedTuple):
    """Result of a flush. The next run delivers the ``left`` segments of the spool; an operator must handle the ``rejected`` ones."""

    complete: bool
    rows_inserted: int
    left: int
    rejected: int
    last_error: str


class FactDelivery:
    """Spool, sink and drain of one process.

    Order of use: ``migrate(store)``, construct, pass ``sink`` to the dataflow, ``start()``, run the dataflow. Then call ``flush()`` only if
    the dataflow returned normally, and ``close()`` in every case. Without ``flush`` pending segments stay pending for the next run.
    """

    def __init__(
        self,
        store: ClickHouse,
        directory: Path,
        *,
        partitions: Sequence[str] = ("facts",),
        max_bytes: int = DEFAULT_MAX_BYTES,
        inserter: Inserter | None = None,
        stopping: Callable[[], bool] = never,
    ) -> None:
        self.spool = Spool(directory, max_bytes=max_bytes, stopping=stopping)
        self.sink = FactSink(self.spool, partitions)
        self.drain = Drain(self.spool, inserter if inserter is not None else ClickHouseInserter(store))
        self._partitions = list(partitions)
        self._close_seconds = _CLOSE_SECONDS

    def start(self) -> None:
        """Start to deliver, first the segments of earlier runs. Does not block; a store that is down is retried."""
        self.drain.start()

    def flush(self, timeout: float | None = 60.0) -> DeliveryResult:
        """Promote all segments of this process and wait until they are in ClickHouse, at most ``timeout`` seconds (None: no limit).

        Call it from any thread, but only after the dataflow has returned normally, because then every epoch is durable. Does not raise if
        the store is down: the rows are safe in the spool, and ``complete`` is false.
        """
        self.sink.flush()
        complete = self.spool.wait_until(lambda: self._left() == 0, timeout)
        self._close_seconds = _CLOSE_SECONDS if complete else 0.0
        return DeliveryResult(complete, self.drain.rows_inserted, self._left(), self.spool.segments_rejected, self.drain.last_error)

    def close(self) -> None:
        """Stop delivery and release blocked writers, which raise ``SpoolClosed``. Files stay unchanged. Repeated calls are harmless.

        Waits some seconds for the insert in flight; not at all after a ``flush`` that gave up: it has waited, and the segment stays.
        """
        self.spool.close()
        self.drain.close(self._close_seconds)

    def _left(self) -> int:
        return sum(len(self.spool.segments("ready", partition)) for partition in self._partitions)
