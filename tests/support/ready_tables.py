"""A data directory whose embedded ClickHouse has its tables already: making them takes 0.4 seconds of CPU, a copy 0.05."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from local.clickhouse import EmbeddedClickHouse
from local.data_dir import DataDir
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.migrate import migrate


def make_data_dir(path: Path) -> None:
    """Make the directory as a job leaves it that has read nothing. One that exists stays as it is."""
    if not path.exists():
        shutil.copytree(_tables(), DataDir.create(path).clickhouse, symlinks=True, dirs_exist_ok=True)


@functools.cache
def _tables() -> Path:
    """Files of an embedded ClickHouse with empty tables, made once in a process and never opened again."""
    made = Path(tempfile.mkdtemp(prefix="onramp-tables-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    embedded = EmbeddedClickHouse(made)
    store = ClickHouse(embedded=embedded)
    migrate(store)
    store.close()
    with embedded.stopped():
        return made
