"""How the job talks to Redis or Valkey: one client a user, short timeouts, and retries left to whoever knows how long to try."""

from __future__ import annotations

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sinks.masked_url import mask_url
from sinks.redis.errors import StoreRefusedError

CONNECT_SECONDS = 2.0  # a server in the same region accepts within milliseconds; longer means it is away, and retrying is our job
ANSWER_SECONDS = 5.0  # 500 scripts take about 15 ms; a fork for rewriting the log can stall a large server for a second or two


def connect(url: str) -> Redis:
    """Return a client for ``url`` (``redis://``, ``rediss://``, ``unix://``). Opens no connection yet.

    Raises ``StoreRefusedError`` when the address makes no sense.
    """
    network = {} if url.startswith("unix:") else {"socket_connect_timeout": CONNECT_SECONDS, "socket_keepalive": True}
    try:
        return Redis.from_url(url, socket_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0), **network)
    except (ValueError, TypeError):
        # The reason would quote parts of the address, and in a mistyped one those may be parts of the password.
        raise StoreRefusedError(
            f"{mask_url(url)} is not the address of a Redis server; write ONRAMP_REDIS_URL as redis://user:password@host:6379/0, "
            "with special characters of the password percent-encoded."
        ) from None
