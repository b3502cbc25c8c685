"""Opens the data directory, Redis and ClickHouse of a job. Redis and ClickHouse run embedded where the settings name no server."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from flows.clickhouse_store import open_store
from flows.settings import Settings
from local.clickhouse import EmbeddedClickHouse
from local.data_dir import DataDir
from local.old_snapshots_process import OldSnapshotsProcess
from local.recovery_positions import SINKS, saved_partitions
from local.recovery_store import remove_undurable_snapshots
from local.redis_access import redis_for_job
from local.secret import secret_for
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.delivery import FactDelivery
from sinks.clickhouse.errors import StoreError, StoreUnreachable
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.retention import apply_retention
from sinks.clickhouse.segment import parse_name
from state.ids import Keys
from state.never import never

_LOG = logging.getLogger(__name__)
_FIRST_TRY_SECONDS: Final = 60.0
"""How long a run that has read all waits for the first try, so that also a run of nothing leaves tables that can be read."""
_POLL_SECONDS: Final = 0.2  # between two looks at the stop request during that wait
_STOP_SECONDS: Final = 2.0  # for the thread that asks ClickHouse at the end of the job; a server that stays silent holds it longer
_RETRY_SECONDS: Final = 5.0  # between two tries to reach ClickHouse at start: less than its restart takes, and often enough for an operator


@dataclass(frozen=True)
class Engines:
    """What a running job uses. Valid inside the block of ``open_engines`` only."""

    data_dir: DataDir
    redis_url: str
    sink_partitions: int
    """The partitions of each sink: those of the settings, and those beyond them that an earlier run had."""
    store: ClickHouse
    delivery: FactDelivery
    keys: Keys
    clickhouse: ClickHouseStartup
    old_snapshots: OldSnapshotsProcess
    """Not started: that is for when the recovery store exists."""


@contextmanager
def open_engines(settings: Settings, owner: str, *, stopping: Callable[[], bool] = never) -> Iterator[Engines]:
    """Lock the data directory and open the engines; close them at the end of the block, also after an error.

    ``stopping``: whether the job must stop; then a full spool holds its writers no longer. Call this from the main thread. Blocks for about
    a second while Valkey starts; ClickHouse starts in a thread while the job runs. Raises ``DataDirError`` or ``EmbeddedValkeyError``, each
    a sentence for the user.
    """
    data_dir = DataDir.create(settings.data_dir)
    with ExitStack() as stack:
        stack.enter_context(data_dir.lock(owner))
        data_dir.check_layout()
        remove_undurable_snapshots(data_dir.state)
        keys = Keys(secret_for(data_dir, given=settings.secret_text(), embedded=settings.embedded), settings.signing_keys())
        closing = threading.Event()
        embedded = EmbeddedClickHouse(data_dir.clickhouse, closing) if settings.clickhouse_url is None else None
        store = open_store(settings, embedded)
        stack.callback(store.close)
        if embedded is not None:
            with suppress(StoreError):  # the thread that prepares ClickHouse meets it again, and knows what to do
                embedded.start()  # takes seconds, in which this process does other things
        url = stack.enter_context(redis_for_job(settings.redis_address(), data_dir))
        keeps = settings.processes().keeps
        sink_partitions = _sink_partitions(settings, data_dir)
        partitions = [str(number) for number in range(sink_partitions)] if keeps else []
        max_bytes = settings.spool_max_mb * 1024 * 1024
        delivery = FactDelivery(store, data_dir.spool, partitions=partitions, max_bytes=max_bytes, stopping=stopping)
        stack.callback(delivery.close)
        startup = ClickHouseStartup(store, delivery, settings.retention_days(), closing, idle=not keeps)
        stack.callback(startup.stop)
        yield Engines(
            data_dir=data_dir,
            redis_url=url,
            sink_partitions=sink_partitions,
            store=store,
            delivery=delivery,
            keys=keys,
            clickhouse=startup,
            old_snapshots=OldSnapshotsProcess(data_dir.state, idle=not keeps),
        )


def _sink_partitions(settings: Settings, data_dir: DataDir) -> int:
    """How many partitions the sinks list. Bytewax refuses a resume without one of the store, and its rows in the spool need its sink."""
    known = {number for step in SINKS for number in saved_partitions(data_dir.state, step)}
    spooled = (parse_name(path.name) for path in data_dir.spool.glob("*.*"))
    known |= {int(found[0].partition) for found in spooled if found is not None and found[0].partition.isdecimal()}
    return max(settings.sink_partitions, max(known, default=-1) + 1)


class ClickHouseStartup:
    """Prepares ClickHouse in a thread: migrates the schema, sets how long rows are kept, then starts delivery.

    ``retention``: table → days. ``stopping`` is set by ``stop``: whatever waits for the store looks at it. ``idle``: do nothing, in a
    process without a spool. The job runs meanwhile, also while the store is down.
    """

    def __init__(
        self, store: ClickHouse, delivery: FactDelivery, retention: Mapping[str, int], stopping: threading.Event, *, idle: bool = False
    ) -> None:
        self._store, self._delivery, self._retention, self._idle = store, delivery, retention, idle
        self._stopping = stopping
        self._thread = threading.Thread(target=self._run, name="clickhouse-start", daemon=True)
        self._tried = threading.Event()
        self._on_failure: Callable[[], None] = lambda: None
        self.error: StoreError | None = None
        """Why the store cannot be used at all. The job must end with this error."""

    def start(self, on_failure: Callable[[], None]) -> None:
        """Start the thread. It calls ``on_failure`` once when it has set ``error``."""
        self._on_failure = on_failure
        if not self._idle:
            self._thread.start()

    def wait_for_first_try(self, stop: Callable[[], bool]) -> None:
        """Wait until ClickHouse is prepared, the first try has failed, or ``stop()``. Blocks for a minute at most."""
        until = time.monotonic() + _FIRST_TRY_SECONDS
        while self._thread.is_alive() and not stop() and time.monotonic() < until:
            if self._tried.wait(_POLL_SECONDS):
                return

    def stop(self) -> None:
        """Stop waiting for a store that is down. Blocks until the thread has ended, for two seconds at most.

        A thread that waits longer, for a server that stays silent, ends with the process: what it has done is whole, as after a kill.
        """
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    migrate(self._store)
                    apply_retention(self._store, self._retention)
                except StoreUnreachable as error:
                    if self._stopping.is_set():
                        return
                    _LOG.warning("%s Rows wait in the spool; trying again every %g seconds.", error, _RETRY_SECONDS)
                    self._tried.set()
                    self._stopping.wait(_RETRY_SECONDS)
                except StoreError:
                    raise
                except Exception as error:  # noqa: BLE001 - what a driver raises for a broken answer; without this thread nothing is delivered
                    if self._stopping.is_set():
                        return
                    _LOG.warning(
                        "ClickHouse at %s gave an answer that cannot be read (%s: %s). Rows wait in the spool; next try in %g seconds.",
                        self._store.where,
                        type(error).__name__,
                        error,
                        _RETRY_SECONDS,
                    )
                    self._tried.set()
                    self._stopping.wait(_RETRY_SECONDS)
                else:
                    if not self._stopping.is_set():
                        self._delivery.start()
                    return
        except StoreError as error:
            if not self._stopping.is_set():  # else the job has ended
                self.error = error
                self._on_failure()
        finally:
            self._tried.set()
            self._store.release()
