"""Where recommendations live: in the Redis that the settings name, or else in the Valkey of the data directory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from local.data_dir import DataDir
from local.valkey import EmbeddedValkey, EmbeddedValkeyError, is_alive, published_url

_PUBLISH_WAIT: Final = 75.0  # seconds a job may take to get its Valkey up: as long as it waits for it itself, and a little more
_PAUSE: Final = 0.05


@contextmanager
def redis_for_job(redis_url: str | None, data_dir: DataDir) -> Iterator[str]:
    """Give the job the address to write to; without ``redis_url``, run Valkey in the data directory for as long as the block lasts.

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
    """Give a second process the address to read from, whether or not a job runs.

    The embedded Valkey of a running job is used as it is; with no job, one is run for as long as the block lasts, unseen by
    others, and a job that starts meanwhile waits for it. Call it from the main thread. Raises ``EmbeddedValkeyError``.
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
