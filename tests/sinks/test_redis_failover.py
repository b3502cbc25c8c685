"""Failovers of a real cluster and of a primary that a sentinel watches, in the middle of writing: the newest record of everybody stays.

Redis sends its changes to replicas after it has answered. What a replica has not received when its primary dies is lost for every program;
so these tests kill a primary when the replica has all that was written before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError

from sinks.redis.async_client import connect_async
from sinks.redis.errors import StoreRefusedError, StoreUnavailableError
from sinks.redis.reader import RecommendationReader
from sinks.redis.writer import RecommendationWriter, WritePolicy
from state.records.recommendation import redis_key
from tests.sinks.recommendation_samples import Time, erase, publish
from tests.support.certificates import make_authority
from tests.support.ports import port_of, reserve
from tests.support.redis_topologies import SENTINEL_PASSWORD, SERVICE, Topology, fail_over, run_cluster, run_sentinel, sentinel_port
from tests.support.tls_proxy import tls_proxy
from tests.support.valkey import Valkey, redis_62, run_valkey
from tests.support.waiting import pause, run_async, wait_until

NO_CLUSTER = "is no node of a cluster; begin ONRAMP_REDIS_URL with redis://"
PEOPLE = [f"user-{number}" for number in range(300)]


def caught_up(primary: Valkey, replica: Valkey) -> bool:
    """Whether the replica has all that its primary has."""
    offsets = []
    for server in (primary, replica):
        with Redis.from_url(server.url) as client:
            offsets.append(client.info("replication")["master_repl_offset"])
    return bool(offsets[0] == offsets[1])


def role_of(server: Valkey) -> str:
    """Whether a server is primary (``master``) or replica (``slave``) now; empty while it changes and drops its clients."""
    with Redis.from_url(server.url) as client, suppress(RedisConnectionError):
        return str(client.info("replication")["role"])
    return ""


def write_through_a_failover(made: Topology, begin: Callable[[], None]) -> RecommendationWriter:
    """Write version 1 of everybody, begin the failover, write later versions; compare what apps read."""
    retried: list[float] = []

    def sleep(seconds: float) -> None:
        retried.append(seconds)
        pause(seconds, "the servers elect a primary by their own clocks")

    writer, reader = RecommendationWriter(made.url, WritePolicy(give_up_seconds=120, sleep=sleep)), RecommendationReader(made.url)
    writer.write([publish("t", user, 1) for user in PEOPLE])
    assert {getattr(reader.read("t", user), "version", 0) for user in PEOPLE[:20]} == {1}
    begin()
    writer.write([*(publish("t", user, 3) for user in PEOPLE), erase("t", PEOPLE[0], 4)])
    writer.write([publish("t", user, 2) for user in PEOPLE])  # a replay, which must change nothing
    records = [reader.read("t", user) for user in PEOPLE]
    assert [getattr(record, "version", 0) for record in records] == [4, *([3] * (len(PEOPLE) - 1))]
    reader.close()
    writer.close()
    assert len(retried) == writer.counts.retries
    return writer


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Topology]:
    with run_cluster(tmp_path, replicas=1, silence_ms=1_500) as made:
        yield made


def test_a_primary_of_a_cluster_dies(cluster: Topology) -> None:
    primary, replica = cluster.servers[0], cluster.servers[3]

    def kill() -> None:
        wait_until(lambda: caught_up(primary, replica), "the replica to have everything")
        primary.kill()

    assert write_through_a_failover(cluster, kill).counts.retries > 0


def test_a_primary_of_a_cluster_steps_down(cluster: Topology) -> None:
    """A failover by hand redirects; a client that knows the cluster follows."""
    replica = cluster.servers[3]

    def step_down() -> None:
        cluster.ask(replica, "CLUSTER", "FAILOVER")
        wait_until(lambda: role_of(replica) == "master", "the replica to take over")

    write_through_a_failover(cluster, step_down)


def test_a_reader_follows_keys_to_another_server(cluster: Topology) -> None:
    """Long after the failover, with the layout that it learned before."""
    reader, writer = RecommendationReader(cluster.url), RecommendationWriter(cluster.url, WritePolicy(give_up_seconds=120))
    writer.write([publish("t", user, 1) for user in PEOPLE])
    assert all(reader.read_raw("t", PEOPLE))
    replica = cluster.servers[3]
    wait_until(lambda: caught_up(cluster.servers[0], replica), "the replica to have everything")
    cluster.ask(replica, "CLUSTER", "FAILOVER")
    wait_until(lambda: role_of(replica) == "master", "the replica to take over")
    assert any(cluster.primary_of(redis_key("t", user)) is replica for user in PEOPLE)
    assert all(reader.read_raw("t", PEOPLE))
    reader.close()
    writer.close()


def test_a_cluster_that_serves_nothing_yet_is_waited_for(tmp_path: Path) -> None:
    """Its nodes run, and an operator has not given them their slots."""
    with reserve() as bus, run_valkey(tmp_path, options=["--cluster-enabled", "yes", "--cluster-port", str(port_of(bus))]) as server:
        url = server.url.replace("redis://", "redis+cluster://")
        with pytest.raises(StoreUnavailableError, match="gave up after 300 seconds"):
            RecommendationWriter(url, Time().policy()).write([publish("t", "ada", 1)])

        async def scenario() -> None:
            client = connect_async(url, 10.0)
            with pytest.raises(RedisConnectionError):
                await client.get("x")
            await client.aclose()

        run_async(scenario())


def test_a_server_that_is_no_cluster_is_said_at_once(tmp_path: Path) -> None:
    with run_valkey(tmp_path) as server:
        url = server.url.replace("redis://", "redis+cluster://")
        with pytest.raises(StoreRefusedError, match=NO_CLUSTER):
            RecommendationWriter(url, Time().policy()).write([publish("t", "ada", 1)])
        with pytest.raises(StoreRefusedError, match=NO_CLUSTER):
            RecommendationReader(url).read("t", "ada")


def test_a_node_of_a_cluster_is_no_single_server(cluster: Topology) -> None:
    time = Time()
    writer = RecommendationWriter(cluster.servers[0].url, time.policy())
    with pytest.raises(StoreRefusedError, match=r"write ONRAMP_REDIS_URL as redis\+cluster://"):
        writer.write([publish("t", user, 1) for user in PEOPLE])
    assert time.pauses == []


@pytest.fixture
def still(tmp_path: Path) -> Iterator[Topology]:
    """A cluster that elects nobody."""
    with run_cluster(tmp_path) as made:
        yield made


def test_a_slot_that_stays_half_migrated_is_an_outage_and_no_wrong_address(still: Topology, caplog: pytest.LogCaptureFixture) -> None:
    key = redis_key("t", "ada")
    source = still.primary_of(key)
    target = next(server for server in still.servers if server is not source)
    slot = key_slot(key.encode())
    for server, state, other in ((target, "IMPORTING", source), (source, "MIGRATING", target)):
        still.ask(server, "CLUSTER", "SETSLOT", slot, state, still.ask(other, "CLUSTER", "MYID").decode())
    writer, reader = RecommendationWriter(still.url, Time().policy()), RecommendationReader(still.url)
    with pytest.raises(StoreUnavailableError, match="gave up after 300 seconds") as caught:
        writer.write([publish("t", "ada", 1)])
    with pytest.raises(StoreUnavailableError, match="check that the server runs") as read:
        reader.read("t", "ada")
    for said in (str(caught.value), str(read.value), caplog.text):
        assert f"{slot} 127.0.0.1:{target.port}" in said
        assert "node of a Redis Cluster" not in said
    still.ask(source, "CLUSTER", "SETSLOT", slot, "STABLE")
    writer.write([publish("t", "ada", 1)])
    assert getattr(reader.read("t", "ada"), "version", 0) == 1
    reader.close()
    writer.close()


def test_a_server_that_is_away_does_not_hide_that_another_one_forgot_the_script(still: Topology) -> None:
    away, forgetful = still.servers[:2]
    served = [user for user in PEOPLE if still.primary_of(redis_key("t", user)) is not away]
    writer, reader = RecommendationWriter(still.url, Time().policy()), RecommendationReader(still.url)
    writer.write([publish("t", user, 1) for user in PEOPLE])
    assert all(reader.read_raw("t", PEOPLE))
    still.ask(forgetful, "SCRIPT", "FLUSH")
    away.kill()
    with pytest.raises(StoreUnavailableError, match="gave up after 300 seconds"):
        writer.write([publish("t", user, 2) for user in PEOPLE])
    assert {getattr(reader.read("t", user), "version", 0) for user in served} == {2}
    reader.close()
    writer.close()


def test_sentinels_that_refuse_us_are_a_setting_and_no_outage(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    authority, stranger = (make_authority(tmp_path_factory.mktemp(name)) for name in ("authority", "stranger"))
    with run_sentinel(tmp_path) as made, reserve() as unused, tls_proxy(sentinel_port(made), authority.sign("good")) as tls_port:
        wrong_password = made.url.replace(SENTINEL_PASSWORD, "hunter2")
        service = made.url.partition("@")[2].partition("/")[2]
        for url, advice in (
            (wrong_password, "check the user and password"),
            (wrong_password.replace("@127", f"@127.0.0.1:{port_of(unused)},127"), "check the user and password"),
            (f"rediss+sentinel://localhost:{tls_port}/{service}&ssl_ca_certs={stranger.file}", "name its file in the address"),
        ):
            time = Time()
            with pytest.raises(StoreRefusedError, match=advice) as caught:
                RecommendationWriter(url, time.policy()).write([publish("t", "ada", 1)])
            assert time.pauses == []
            assert "hunter2" not in str(caught.value)
        with pytest.raises(StoreUnavailableError, match=r"no sentinel names a primary of other\); gave up after 300 seconds"):
            RecommendationWriter(made.url.replace(SERVICE, "other"), Time().policy()).write([publish("t", "ada", 1)])


@pytest.fixture(params=["valkey", "redis 6.2"])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Topology]:
    with run_sentinel(tmp_path, binary=redis_62() if request.param == "redis 6.2" else None, silence_ms=1_500) as made:
        yield made


def test_a_primary_that_a_sentinel_watches_dies(watched: Topology) -> None:
    primary, replica = watched.servers

    def kill() -> None:
        wait_until(lambda: caught_up(primary, replica), "the replica to have everything")
        primary.kill()

    assert write_through_a_failover(watched, kill).counts.retries > 0


def test_a_primary_that_a_sentinel_watches_steps_down(watched: Topology) -> None:
    """The old primary lives on as a replica: its connections must be left, also where a script's error hides what it has become."""
    primary, replica = watched.servers

    def step_down() -> None:
        fail_over(watched)
        for server, role in ((replica, "master"), (primary, "slave")):
            wait_until(lambda server=server, role=role: role_of(server) == role, "the servers to change roles")  # type: ignore[misc]

    wait_until(lambda: caught_up(primary, replica), "the replica to be ready")
    write_through_a_failover(watched, step_down)
