"""Opens ClickHouse for commands that only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from flows.engines import open_store
from local.data_dir import DataDir, DataDirInUseError
from reports.facts import Facts

if TYPE_CHECKING:
    from flows.settings import Settings


@contextmanager
def open_facts(settings: Settings, owner: str) -> Iterator[Facts]:
    """Open ClickHouse for reading. Embedded, it locks the data directory. Raises ``DataDirError``."""
    with ExitStack() as stack:
        data_dir = DataDir(settings.data_dir)
        if settings.clickhouse_url is None:
            data_dir = DataDir.open(settings.data_dir)
            _lock(stack, data_dir, owner)
        store = open_store(settings, data_dir)
        stack.callback(store.close)
        yield Facts(store)


def _lock(stack: ExitStack, data_dir: DataDir, owner: str) -> None:
    try:
        stack.enter_context(data_dir.lock(owner))
    except DataDirInUseError:
        raise DataDirInUseError(
            f"{data_dir.describe_owner()}, and embedded ClickHouse serves one process at a time. Wait until it ends, stop it, "
            "or set ONRAMP_CLICKHOUSE_URL to use a server. `onramp recommend` works at the same time."
        ) from None
