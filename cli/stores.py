"""Opens ClickHouse for commands that only read, with or without a job that runs."""

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
