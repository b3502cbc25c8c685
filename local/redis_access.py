"""Chooses the server for recommendations: the Redis of the settings, or else the embedded Valkey of the data directory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from local.data_dir import DataDir
from local.valkey import EmbeddedValkey, EmbeddedValkeyError, is_alive, published_url

_PUBLISH_WAIT: Final = 75.0  # seconds for a job to start its Valkey: a little more than the job itself waits
_PAUSE: Final = 0.05


@contextmanager
def redis_for_job(redis_url: str | None, data_dir: DataDir) -> Iterator[str]:
    """Yield the address for the job. Without ``redis_url`` it runs Valkey in the data directory during the block.

    Call it from the main thread while holding ``data_dir.lock``. Raises ``EmbeddedValkeyError``.
    """
    if redis_url is not None:
        yield redis_url
        return
    server = EmbeddedValkey(data_dir.valkey)
    server.start(publish=True)
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def redis_for_reader(redis_url: str | None, data_dir: DataDir) -> Iterator[str]:
    """Yield the address for a process that reads, with or without a running job.

    It uses the embedded Valkey of a running job. Without a job it runs one during the block, which other processes cannot find; a job that
    starts meanwhile waits until the block ends. Call it from the main thread. Raises ``EmbeddedValkeyError``.
    """
    if redis_url is not None:
        yield redis_url
        return
    deadline = time.monotonic() + _PUBLISH_WAIT
    while data_dir.is_running():
        url = published_url(data_dir.valkey)
        if url is not None and is_alive(url):
            yield url
            return
        if time.monotonic() >= deadline:
            raise EmbeddedValkeyError(f"{data_dir.describe_owner()}, but its Valkey does not answer; try again later.")
        time.sleep(_PAUSE)
    server = EmbeddedValkey(data_dir.valkey)
    server.start(publish=False)
    try:
        yield server.url
    finally:
        server.stop()
