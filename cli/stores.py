"""Opens, for a command that only reads, what a job has left: facts in ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from flows.engines import open_store
from local.data_dir import DataDir, DataDirError
from sinks.clickhouse.query import query

if TYPE_CHECKING:
    import polars as pl

    from flows.settings import Settings
    from sinks.clickhouse.client import ClickHouse


class Facts:
    """What analysts can ask."""

    def __init__(self, store: ClickHouse) -> None:
        """``store`` must stay open for as long as this is used."""
        self._store = store

    def frame(self, sql: str, **parameters: Any) -> pl.DataFrame:
        """Return the rows of one read; ``parameters`` fill ``{name:Type}`` places. Raises ``StoreError``."""
        return query(self._store, sql, parameters)

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of one read as dictionaries."""
        return self.frame(sql, **parameters).to_dicts()


@contextmanager
def open_facts(settings: Settings, holder: str) -> Iterator[Facts]:
    """Open ClickHouse for reading; embedded, that needs the data directory for this process alone. Raises ``DataDirError``."""
    with ExitStack() as stack:
        data_dir = DataDir(settings.data_dir)
        if settings.clickhouse_url is None:
            data_dir = DataDir.open(settings.data_dir)
            _hold(stack, data_dir, holder)
        store = open_store(settings, data_dir)
        stack.callback(store.close)
        yield Facts(store)


def _hold(stack: ExitStack, data_dir: DataDir, holder: str) -> None:
    try:
        stack.enter_context(data_dir.lock(holder))
    except DataDirError:
        raise DataDirError(
            f"{data_dir.describe_holder()}, and embedded ClickHouse serves one process at a time: wait for its end or stop it, "
            "or set ONRAMP_CLICKHOUSE_URL for a server (`onramp recommend` works meanwhile)."
        ) from None
