"""Creates clients of Redis or Valkey, with short timeouts and without retries: the caller decides how long to retry."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

from redis import Redis, RedisCluster, SSLConnection, UnixDomainSocketConnection
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import Connection, ConnectionPool
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from sinks.masked_url import mask_url
from sinks.redis.address import FILES, RedisAddress, parse_redis_address
from sinks.redis.errors import StoreRefusedError, Verdict, describe, is_transient, meaning_of, server_error_in
from sinks.store_address import is_readable

CONNECT_SECONDS = 2.0  # a server in the same region accepts within milliseconds; after this time the caller retries
ANSWER_SECONDS = 5.0  # 500 scripts take about 15 ms; the fork of a log rewrite can stop a large server for a second or two

Route = tuple[Redis, list[int]]
"""A server, and the positions of the keys that it serves."""


def address_of(url: str) -> RedisAddress:
    """Read ``url``. Raises ``StoreRefusedError``, also for an option that names a file which cannot be read."""
    try:
        address = parse_redis_address(url)
    except ValueError as error:
        raise StoreRefusedError(
            f"{mask_url(url)} is not the address of a Redis server: {error}; write ONRAMP_REDIS_URL as redis://user:password@host:6379/0, "
            "with special characters of the password percent-encoded."
        ) from None
    for name in FILES:
        path = address.options.get(name)
        if path is not None and not is_readable(Path(path), or_directory=True):
            raise StoreRefusedError(f"ONRAMP_REDIS_URL names {path} for {name}, which cannot be read; correct the path or its permissions.")
    return address


def refusal(error: BaseException, url: str) -> StoreRefusedError | None:
    """Return what the operator of the server at ``url`` must change where ``error`` is a refusal of it; None for any other error."""
    in_cluster = address_of(url).kind == "cluster"
    if meaning_of(error, in_cluster=in_cluster).verdict is not Verdict.SETTING:
        return None
    return StoreRefusedError(describe(error, mask_url(url), "", in_cluster=in_cluster))


def client_options(address: RedisAddress, *, connect_seconds: float, answer_seconds: float) -> dict[str, Any]:
    """Return the arguments that every kind of client takes. What the address says wins."""
    network = {} if address.kind == "socket" else {"socket_connect_timeout": connect_seconds, "socket_keepalive": True}
    return {"socket_timeout": answer_seconds, **network, **address.options}


def connect(url: str) -> Redis:
    """Return a client for ``url``: one server, a socket, or the primary that sentinels name. Opens no connection yet.

    Raises ``StoreRefusedError`` if the address is not valid, or is that of a cluster, for which ``RedisServers`` is.
    """
    address = address_of(url)
    if address.kind == "cluster":
        raise StoreRefusedError(f"{mask_url(url)} is a cluster; give the address of one server.")
    return _connect(address)


class RedisServers:
    """The servers behind one address: one, or the primaries of a cluster. Use it from one thread."""

    def __init__(self, url: str) -> None:
        """Open no connection yet. Raises ``StoreRefusedError`` if ``url`` is not valid."""
        self._address: Final = address_of(url)
        self._single: Final = _connect(self._address) if self._address.kind != "cluster" else None
        self._cluster: RedisCluster | None = None
        self._stale = False

    @property
    def in_cluster(self) -> bool:
        """Whether a key may move from one server to another."""
        return self._single is None

    def routes(self, keys: Sequence[bytes]) -> list[Route]:
        """Return which server serves which keys, by their positions. In a cluster it may block to learn that.

        Raises ``RedisError`` or ``OSError`` where the cluster does not say, ``StoreRefusedError`` where the server is no cluster.
        """
        if self._single is not None:
            return [(self._single, list(range(len(keys))))]
        cluster = self._known_cluster()
        found: dict[str, Route] = {}
        for position, key in enumerate(keys):
            node = _primary(cluster, key)
            if node.name not in found:
                found[node.name] = (cluster.get_redis_connection(node), [])
            found[node.name][1].append(position)
        return list(found.values())

    def refresh(self) -> None:
        """Forget connections and who serves what, after an error: the address may lead to another server now, as after a failover."""
        if self._single is not None:
            self._single.connection_pool.disconnect()
        self._stale = True

    def close(self) -> None:
        """Close all connections."""
        if self._single is not None:
            self._single.close()
        if self._cluster is not None:
            self._cluster.close()

    def _known_cluster(self) -> RedisCluster:
        try:
            if self._cluster is None:
                self._cluster = RedisCluster(
                    startup_nodes=[ClusterNode(host, port) for host, port in self._address.hosts],  # type: ignore[no-untyped-call]
                    retry=Retry(NoBackoff(), 0),
                    require_full_coverage=False,  # keys whose server lives are written also while another one is missing
                    ssl=self._address.tls,
                    **client_options(self._address, connect_seconds=CONNECT_SECONDS, answer_seconds=ANSWER_SECONDS),
                )
            elif self._stale:
                # The nodes that are known now, and those of the address: all others may have been replaced.
                self._cluster.nodes_manager.initialize(additional_startup_nodes_info=list(self._address.hosts))
        except RedisClusterException as error:
            raise _below(error) from error
        except IndexError as error:
            raise RedisConnectionError("no node of the cluster serves any key") from error
        self._stale = False
        return self._cluster


class _Sentinels(Sentinel):
    """Sentinels whose own error is raised where a setting keeps all of them from answering. The driver says that no primary was found."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        with suppress(MasterNotFoundError):  # a handler would replace what the next error came from
            return cast("tuple[str, int]", super().discover_master(service_name))  # type: ignore[no-untyped-call]
        raise self._refusal() or MasterNotFoundError(f"no sentinel names a primary of {service_name}")

    def _refusal(self) -> RedisError | OSError | None:
        """Ask each sentinel again; return the first error that no retry can fix. None where one answers: it may name a primary soon."""
        refused = None
        for sentinel in self.sentinels:
            try:
                sentinel.sentinel_masters()
            except (RedisError, OSError) as error:
                refused = refused or (None if is_transient(error, in_cluster=False) else error)
            else:
                return None
        return refused


class _Watched(Redis):
    """A client of the primary that closes the clients of its sentinels with itself."""

    def close(self) -> None:
        sentinels = cast("SentinelConnectionPool", self.connection_pool).sentinel_manager
        super().close()
        sentinels.close()


def _connect(address: RedisAddress) -> Redis:
    options = client_options(address, connect_seconds=CONNECT_SECONDS, answer_seconds=ANSWER_SECONDS)
    options.update(db=address.database, retry=Retry(NoBackoff(), 0))
    if address.kind == "sentinel":
        asked = sentinel_options(address, options)
        sentinels = _Sentinels(address.hosts, sentinel_kwargs=asked, ssl=address.tls, **options)  # type: ignore[no-untyped-call]
        primary: Redis = sentinels.master_for(address.service, redis_class=_Watched)  # type: ignore[no-untyped-call]
        return primary
    if address.kind == "socket":
        return Redis.from_pool(ConnectionPool(connection_class=UnixDomainSocketConnection, path=address.path, **options))
    ((host, port),) = address.hosts
    kind = SSLConnection if address.tls else Connection
    return Redis.from_pool(ConnectionPool(connection_class=kind, host=host, port=port, **options))


def sentinel_options(address: RedisAddress, options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments for clients of the sentinels: as for the server, but with a user and password of their own."""
    shared = {name: value for name, value in options.items() if name not in {"db", "username", "password", "client_name"}}
    return {**shared, **address.sentinel_options, "ssl": address.tls}


def _primary(cluster: RedisCluster, key: bytes) -> ClusterNode:
    try:
        return cluster.nodes_manager.get_node_from_slot(key_slot(key))
    except RedisClusterException as error:
        raise RedisConnectionError(str(error)) from error


def _below(error: RedisClusterException) -> RedisError | StoreRefusedError:
    """The server's own error where the cluster client has one, because that has a code."""
    found = server_error_in(error)
    if isinstance(found, ResponseError) and "cluster support disabled" in str(found):
        return StoreRefusedError("The Redis server is no node of a cluster; begin ONRAMP_REDIS_URL with redis:// or rediss://.")
    return found or RedisConnectionError(str(error))
