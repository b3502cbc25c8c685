"""Opens ClickHouse and Redis for commands, with or without a job that runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.settings import Settings
    from reports.facts import Facts


@contextmanager
def open_facts(settings: Settings) -> Iterator[Facts]:
    """Open ClickHouse for reading. Raises ``DataDirError`` where there is no data directory for the embedded one.

    The embedded one starts in the background, two seconds or more: import what the block needs inside it.
    """
    from local.clickhouse import EmbeddedClickHouse
    from local.data_dir import DataDir

    with ExitStack() as stack:
        embedded = None
        if settings.clickhouse_url is None:
            embedded = EmbeddedClickHouse(DataDir.open(settings.data_dir).clickhouse)
            stack.callback(embedded.close)
            embedded.start()
        from flows.clickhouse_store import open_store
        from reports.facts import Facts

        store = open_store(settings, embedded)
        stack.callback(store.close)
        yield Facts(store)


@contextmanager
def open_redis(settings: Settings) -> Iterator[str]:
    """Yield the address of the Redis of the settings, or of the Valkey of the data directory, which runs at least during the block.

    Raises ``DataDirError`` where there is no data directory for it, and ``EmbeddedValkeyError``. Call it from the main thread.
    """
    from local.data_dir import DataDir
    from local.redis_access import redis_for_reader

    url = settings.redis_address()
    data_dir = DataDir.open(settings.data_dir) if url is None else DataDir(settings.data_dir)
    with redis_for_reader(url, data_dir) as address:
        yield address
