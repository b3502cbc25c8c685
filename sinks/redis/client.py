"""Creates clients of Redis or Valkey, with short timeouts and without retries: the caller decides how long to retry."""

from __future__ import annotations

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sinks.masked_url import mask_url
from sinks.redis.errors import StoreRefusedError

CONNECT_SECONDS = 2.0  # a server in the same region accepts within milliseconds; after this time the caller retries
ANSWER_SECONDS = 5.0  # 500 scripts take about 15 ms; the fork of a log rewrite can stop a large server for a second or two


def connect(url: str) -> Redis:
    """Return a client for ``url`` (``redis://``, ``rediss://``, ``unix://``). Opens no connection yet.

    Raises ``StoreRefusedError`` if the address is not valid.
    """
    network = {} if url.startswith("unix:") else {"socket_connect_timeout": CONNECT_SECONDS, "socket_keepalive": True}
    try:
        return Redis.from_url(url, socket_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0), **network)
    except (ValueError, TypeError):
        # The original error quotes parts of the address, which may be parts of the password.
        raise StoreRefusedError(
            f"{mask_url(url)} is not the address of a Redis server; write ONRAMP_REDIS_URL as redis://user:password@host:6379/0, "
            "with special characters of the password percent-encoded."
        ) from None
