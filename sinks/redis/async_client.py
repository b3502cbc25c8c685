"""Creates asyncio clients of Redis or Valkey, for the service that words guidance: bounded waits and connections, no retries."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final, cast

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, ResponseError

from sinks.redis.address import RedisAddress
from sinks.redis.client import address_of, client_options, sentinel_options
from sinks.redis.errors import code_of

CONNECTIONS: Final = 32
"""Connections to Redis that one process holds at most: at under a millisecond a request they carry thousands a second."""

_ANY: Final = random.SystemRandom()  # spreads the processes over the nodes; no decision depends on it
_SHARE: Final = 4  # a node or sentinel that does not answer must leave time to ask the next one


def connect_async(url: str, wait_seconds: float) -> Redis | RedisCluster:
    """Return a client for ``url`` that waits at most ``wait_seconds`` and never retries. Opens no connection yet.

    For the event loop that uses it first; end it with ``await client.aclose()``. Raises ``StoreRefusedError`` where ``url`` is no address.
    """
    address = address_of(url)
    several = address.kind in {"cluster", "sentinel"}
    options = client_options(address, connect_seconds=wait_seconds / (_SHARE if several else 1), answer_seconds=wait_seconds)
    options["retry"] = Retry(NoBackoff(), 0)
    if address.kind == "cluster":
        return _Cluster(address, options)
    options["db"] = address.database
    # A burst of requests waits for one of a few connections, instead of opening one each.
    bounds: dict[str, Any] = {"max_connections": CONNECTIONS, "timeout": wait_seconds}
    if address.kind == "sentinel":
        asked = {**sentinel_options(address, options), "socket_timeout": wait_seconds / _SHARE}
        sentinels = Sentinel(address.hosts, sentinel_kwargs=asked, **options)  # type: ignore[no-untyped-call]
        kind = _OfSentinelTls if address.tls else _OfSentinel
        primary: Redis = sentinels.master_for(
            address.service, redis_class=_Watched, connection_pool_class=_BoundedSentinelPool, connection_class=kind, **bounds
        )
        return primary
    if address.kind == "socket":
        return Redis.from_pool(BlockingConnectionPool(connection_class=_OfSocket, path=address.path, **bounds, **options))
    ((host, port),) = address.hosts
    return Redis.from_pool(
        BlockingConnectionPool(connection_class=_OfServerTls if address.tls else _OfServer, host=host, port=port, **bounds, **options)
    )


class _LeavesReplica:
    """A connection that ends when its server turns out to be a replica: the next one may lead to the primary, as after a failover."""

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)  # type: ignore[misc]
        except ResponseError as error:
            if code_of(error) == "READONLY":
                await self.disconnect()  # type: ignore[attr-defined]
            raise


class _OfServer(_LeavesReplica, Connection): ...


class _OfServerTls(_LeavesReplica, SSLConnection): ...


class _OfSocket(_LeavesReplica, UnixDomainSocketConnection): ...


class _OfSentinel(_LeavesReplica, SentinelManagedConnection): ...


class _OfSentinelTls(_LeavesReplica, SentinelManagedSSLConnection): ...


class _Watched(Redis):
    """A client of the primary that closes the clients of its sentinels with itself."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        sentinels = cast("SentinelConnectionPool", self.connection_pool).sentinel_manager.sentinels
        await super().aclose(close_connection_pool)
        for each in sentinels:
            await each.aclose()


class _BoundedSentinelPool(SentinelConnectionPool, BlockingConnectionPool): ...


class _Cluster(RedisCluster):
    """A cluster with a bound on the requests at once, because its pools refuse a burst instead of letting it wait.

    It learns the layout before the first request, which the driver would send to any node, and takes redirections one by one: after some
    of them the driver would close all connections, also those that wait for an answer.
    """

    def __init__(self, address: RedisAddress, options: dict[str, Any]) -> None:
        super().__init__(
            startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
            require_full_coverage=False,
            dynamic_startup_nodes=False,  # the nodes of the address stay known, also while the cluster names none
            reinitialize_steps=0,
            max_connections=2 * CONNECTIONS,
            ssl=address.tls,
            **options,
        )
        self._turns = asyncio.Semaphore(CONNECTIONS)

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Ask. Raises ``ConnectionError`` also for the cluster's own errors, which have no common base with the others of the driver."""
        try:
            async with self._turns:
                await self.initialize()
                return await super().execute_command(*arguments, **options)
        except RedisClusterException as error:
            raise RedisConnectionError(str(error)) from error
        except IndexError as error:
            raise RedisConnectionError("no node of the cluster serves any key") from error

    async def aclose(self) -> None:
        """Close all connections, also while the layout is not known."""
        self._initialize = False
        await super().aclose()


def connect_subscriber(url: str, wait_seconds: float) -> Redis:
    """Return a client that listens to channels at ``url``, like ``connect_async``; in a cluster of any one node, which hears all others."""
    address = address_of(url)
    if address.kind != "cluster":
        return cast("Redis", connect_async(url, wait_seconds))
    options = client_options(address, connect_seconds=wait_seconds, answer_seconds=wait_seconds)
    options["retry"] = Retry(NoBackoff(), 0)
    host, port = _ANY.choice(address.hosts)
    kind = SSLConnection if address.tls else Connection
    return Redis.from_pool(BlockingConnectionPool(connection_class=kind, host=host, port=port, max_connections=2, **options))
