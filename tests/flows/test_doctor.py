"""Checks say what is wrong and what to do, and none holds up the others."""

from __future__ import annotations

import errno
import re
import shutil
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.doctor import input_checks, local_checks, store_checks
from flows.doctor.checks import checks_of
from flows.doctor.finding import Check, Finding, clock_finding, run_checks
from flows.doctor.input_checks import check_broker, check_lag
from flows.doctor.store_checks import check_clickhouse, check_redis, redis_findings, schema_findings
from flows.lag import Lag, thresholds_of
from flows.settings import Settings, load_settings
from local.data_dir import DataDir, DataDirError
from local.recovery_fault import RECOVERY_ADVICE, WRITABLE_ADVICE, advice_on
from local.recovery_store import remove_undurable_snapshots
from local.secret import secret_for
from sinks.clickhouse.migrate import shipped
from sources.backlog import Backlog, Thresholds
from sources.local_log.log import EventLog, Record
from state.catalog.by_tenant import ByTenant
from tests.support.recovery_files import RecoveryFiles
from tests.support.tansu import Tansu, tansu_fixture
from tests.support.waiting import wait_until

broker = tansu_fixture
SECRET = "a secret of the tests"


def settings_for(tmp_path: Path, **more: Any) -> Settings:
    return load_settings(data_dir=tmp_path / "data", catalog="saas", secret=SECRET, **more)


def statuses(found: list[Finding]) -> dict[str, str]:
    return {each.check: each.status for each in found}


# running checks


@pytest.mark.timing
def test_a_check_that_hangs_fails_at_its_deadline_and_one_that_raises_is_a_sentence() -> None:
    ended = threading.Event()

    def hang() -> list[Finding]:
        ended.wait(60)
        return []

    def broken() -> list[Finding]:
        raise ValueError("the file\n  is damaged.")

    fine = Finding("fine", "ok", "well")
    checks = [Check("hangs", 0.05, hang, "Wake it."), Check("breaks", 60, broken, "Mend it."), Check("fine", 60, lambda: [fine], "")]
    assert run_checks(checks) == [
        Finding("hangs", "fail", "no answer within 0.05 seconds", "Wake it."),
        Finding("breaks", "fail", "the file is damaged", "Mend it."),
        fine,
    ]
    ended.set()


def test_checks_are_those_of_the_settings(tmp_path: Path) -> None:
    def named(**more: Any) -> dict[str, float]:
        return {check.name: check.seconds for check in checks_of(settings_for(tmp_path, **more))}

    embedded, log = named(), named(event_log=tmp_path / "log")
    kafka = named(kafka_brokers="one:9092", redis_url="redis://h", clickhouse_url="http://h")
    assert log.keys() - embedded.keys() == {"event log", "lag"}
    for more in ({"llm_url": "http://m/v1"}, {"llm_shared_model": "small"}, {"llm_keep_days": 30}):
        assert named(**more).keys() - embedded.keys() == {"model"}
    assert kafka.keys() - embedded.keys() == {"broker", "lag"}
    assert embedded["ClickHouse"] > kafka["ClickHouse"], "it must start first"


@pytest.mark.parametrize(("theirs", "status"), [(100.0, "ok"), (97.9, "warn"), (103.6, "warn"), (30.0, "fail"), (200.0, "fail")])
def test_clocks_are_compared(theirs: float, status: str) -> None:
    assert clock_finding("Redis", theirs=theirs, before=100.0, after=101.0).status == status


# this machine


def test_a_check_that_ends_without_an_answer_has_failed() -> None:
    (found,) = run_checks([Check("one", 5.0, sys.exit, "Look at it.")])
    assert (found.check, found.status) == ("one", "fail")


def test_an_empty_place_is_no_failure(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, event_log=tmp_path / "log")
    found = [
        *local_checks.check_versions(),
        *local_checks.check_data_dir(settings),
        *local_checks.check_input(settings),
        *local_checks.check_recovery_store(settings),
        *local_checks.check_spool(settings),
        *local_checks.check_catalog(settings),
        *local_checks.check_secret(settings),
        *input_checks.check_event_log(settings),
        *check_lag(settings),
        *check_redis(settings),
        *check_clickhouse(settings),
    ]
    assert {each.status for each in found} <= {"ok", "warn"}
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"llm_keep_days": 30}, "warn", "ONRAMP_LLM_KEEP_DAYS is set, and no model is called"),
        ({"llm_shared_model": "small"}, "warn", "ONRAMP_LLM_SHARED_MODEL is set, and no model is called"),
        ({"llm_url": "http://m/v1", "llm_model": "big"}, "ok", "big; no call is kept"),
        ({"llm_url": "http://m/v1", "catalog": "recipes"}, "warn", "the catalog lets no model word anything"),
        (
            {"llm_url": "http://m/v1", "llm_model": "big", "llm_shared_model": "small", "llm_keep_days": 1},
            "ok",
            "small for shared texts, big for personal ones; prompts and rejected answers are kept for 1 day",
        ),
        (
            {
                "llm_url": "http://m/v1",
                "llm_model": "big",
                "llm_shared_model": "small",
                "llm_input_price": 1.0,
                "llm_shared_input_price": 0.1,
            },
            "warn",
            "small is counted at a price of big",
        ),
        ({"llm_url": "http://m/v1", "llm_daily_dollars": 3.0}, "warn", "all prices are 0, so the budget in dollars limits nothing"),
        ({"llm_url": "http://m/v1", "llm_model": "big", "llm_daily_dollars": 3.0, "llm_output_price": 1.0}, "ok", "big; no call is kept"),
        ({"llm_url": "http://m/v1", "llm_daily_dollars": 0.0}, "warn", "ONRAMP_LLM_DAILY_DOLLARS is 0, so no model is called"),
        ({"llm_url": "http://m/v1", "llm_daily_tokens": 0}, "warn", "ONRAMP_LLM_DAILY_TOKENS is 0, so no model is called"),
    ],
)
def test_the_models_are_judged(tmp_path: Path, more: dict[str, Any], status: str, words: str) -> None:
    (found,) = local_checks.check_model(load_settings(**{"data_dir": tmp_path / "data", "catalog": "saas", **more}))
    assert (found.status, words in found.says, bool(found.advice)) == (status, True, status == "warn"), found


def test_a_data_directory_is_judged(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    directory = DataDir.create(settings.data_dir)
    assert statuses(local_checks.check_data_dir(settings))["data directory"] == "ok"
    for mode in (0o755, 0o750, 0o710):
        settings.data_dir.chmod(mode)
        (first, *_) = local_checks.check_data_dir(settings)
        assert (first.status, first.advice) == ("warn", f"Run `chmod 700 {settings.data_dir}`.")
    with directory.lock("onramp run"):
        settings.data_dir.chmod(0o700)
        assert "in use by process" in local_checks.check_data_dir(settings)[0].says
        directory.bind_catalogs(ByTenant("recipes"))
    directory.state.mkdir()
    (found,) = local_checks.check_catalog(settings)
    assert (found.status, "belongs to the catalog recipes" in found.says) == ("fail", True)


@pytest.mark.parametrize(("gib", "status"), [(6, "ok"), (4, "warn"), (0.9, "fail")])
def test_room_on_the_disk_is_judged(gib: float, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DataDir.create(tmp_path / "data")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=gib * 1024**3, total=1024**4))
    assert statuses(local_checks.check_data_dir(settings_for(tmp_path)))["disk"] == status


@pytest.mark.parametrize(("share", "status"), [(0.4, "ok"), (0.6, "warn"), (0.95, "fail")])
def test_a_spool_that_fills_up_is_told(share: float, status: str, tmp_path: Path) -> None:
    spool = DataDir.create(tmp_path / "data").spool
    (spool / "0.000000000001.000000000001.ready").write_bytes(b"x" * int(share * 1024**2))
    (found,) = local_checks.check_spool(settings_for(tmp_path, spool_max_mb=1))
    assert (found.status, bool(found.advice)) == (status, status != "ok")


def test_a_job_on_servers_has_a_catalog_and_a_secret_of_its_own(tmp_path: Path) -> None:
    def found(**more: Any) -> list[tuple[str, str]]:
        settings = load_settings(data_dir=tmp_path / "data", **more)
        return [(each.status, each.says) for each in (*local_checks.check_catalog(settings), *local_checks.check_secret(settings))]

    (sample, unset), (own, given) = found(kafka_brokers="one:9092"), found(kafka_brokers="one:9092", catalog="recipes", secret=SECRET)
    assert (sample[0], sample[1].endswith("is the sample")) == ("warn", True)
    assert unset == ("warn", "ONRAMP_SECRET is not set")
    assert (own[0], given) == ("ok", ("ok", "set"))
    assert [status for status, _ in found()] == ["ok", "ok"], "to look around, both are as good"
    directory = DataDir.create(tmp_path / "data")
    with directory.lock("test"):
        secret_for(directory, given=None, embedded=False)
    made_up = found(kafka_brokers="one:9092")[1]
    assert (made_up[0], made_up[1]) == ("warn", f"made up, and stored in {directory.secret_key}")


def test_a_recovery_store_with_a_file_missing_or_damaged_fails(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    state = DataDir.create(settings.data_dir).state
    state.mkdir()
    for number in range(2):
        with sqlite3.connect(state / f"part-{number}.sqlite3") as part:
            part.execute("CREATE TABLE parts (part_count INTEGER)")
            part.execute("CREATE TABLE snaps (snap_epoch INTEGER)")
            part.execute("INSERT INTO parts VALUES (2)")
        part.close()
    assert local_checks.check_recovery_store(settings)[0].status == "ok"
    (state / "part-1.sqlite3").unlink()
    (found,) = local_checks.check_recovery_store(settings)
    assert (found.status, found.says) == ("fail", f"{state} has 1 of its 2 files")
    (state / "part-0.sqlite3").rename(tmp_path / "part-0.sqlite3")
    assert local_checks.check_recovery_store(settings)[0].says == f"{state} has no files"
    of_several = {"process_addresses": "a:1,b:2", "process": "1"}
    servers = {"kafka_brokers": "a:1", "redis_url": "redis://a", "clickhouse_url": "http://a"}
    assert local_checks.check_recovery_store(settings_for(tmp_path, **of_several, **servers))[0].status == "ok"
    (state / "part-0.sqlite3").write_bytes(b"\xff" * 5000)
    (found,) = local_checks.check_recovery_store(settings)
    assert (found.status, found.advice) == ("fail", RECOVERY_ADVICE)


def test_a_recovery_store_that_may_not_be_written_is_not_given_up(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    data_dir = DataDir.create(settings.data_dir)
    RecoveryFiles(data_dir.state, 1).close()
    (file,) = data_dir.state.glob("*.sqlite3")
    with closing(sqlite3.connect(file)) as part:
        part.execute("PRAGMA journal_mode = WAL")
    for name in ("-wal", "-shm"):
        file.with_name(file.name + name).mkdir()  # so that SQLite cannot create them, as in a file system that is read-only
    (found,) = local_checks.check_recovery_store(settings)
    assert (found.status, "unable to open database file" in found.says) == ("fail", True), found
    assert found.advice == WRITABLE_ADVICE
    with pytest.raises(DataDirError, match=r"unable to open database file\). Make it writable .* nothing is lost"):
        remove_undurable_snapshots(data_dir.state)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), WRITABLE_ADVICE),
        (OSError(errno.EROFS, "Read-only file system"), WRITABLE_ADVICE),
        (OSError(errno.EMFILE, "Too many open files"), "Mend what the sentence names, then repeat the command."),
    ],
)
def test_an_error_of_the_system_does_not_give_up_the_recovery_store(error: OSError, advice: str) -> None:
    assert advice_on(error) == advice


def test_the_secret_must_be_the_one_of_the_directory_and_is_not_shown(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    directory = DataDir.create(settings.data_dir)
    with directory.lock("test"):
        secret_for(directory, given=SECRET, embedded=False)
    assert local_checks.check_secret(settings)[0].status == "ok"
    other = load_settings(data_dir=settings.data_dir, secret="another secret entirely")
    (found,) = local_checks.check_secret(other)
    assert found.status == "fail"
    assert "another secret" not in str(found)


def test_the_missing_setting_of_the_input_is_told_and_not_another_secret(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    directory = DataDir.create(settings.data_dir)
    with directory.lock("test"):
        secret_for(directory, given=None, embedded=False)
        directory.bind_input("the event log")
    bare = load_settings(data_dir=settings.data_dir)
    (found,) = local_checks.check_input(bare)
    assert (found.status, "reads the event log, and ONRAMP_EVENT_LOG is not set here" in found.says) == ("fail", True)
    assert found.advice.startswith("Set ONRAMP_EVENT_LOG")
    (secret,) = local_checks.check_secret(bare)
    assert (secret.status, "not compared" in secret.says) == ("warn", True)
    whole = load_settings(data_dir=settings.data_dir, event_log=tmp_path / "log")
    assert [each.status for each in (*local_checks.check_input(whole), *local_checks.check_secret(whole))] == ["ok", "warn"]
    assert local_checks.check_secret(whole)[0].says.startswith("made up")


def test_a_directory_of_runs_on_files_is_no_place_for_a_live_job(tmp_path: Path) -> None:
    DataDir.create(tmp_path / "data").bind_input("files")
    by_name = {check.name: check for check in checks_of(settings_for(tmp_path, event_log=tmp_path / "log"))}
    (found,) = run_checks([by_name["input"]])
    assert (found.status, "a live job needs a directory of its own" in found.says) == ("fail", True)
    assert [each.says for each in local_checks.check_input(settings_for(tmp_path))] == ["files"]


def test_rows_that_clickhouse_refused_are_a_failure(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    rejected = DataDir.create(settings.data_dir).spool / "rejected"
    rejected.mkdir()
    (rejected / "0.000000000001.000000000001.ready").write_bytes(b"")
    refused = local_checks.check_spool(settings)[0]
    (rejected / "0.000000000001.000000000001.unreadable.txt").write_text("damaged")
    unreadable = local_checks.check_spool(settings)[0]
    assert (refused.status, unreadable.status) == ("fail", "fail")
    assert ("refused" in refused.says, "may delete users" in unreadable.advice) == (True, True)


# the input


def test_a_log_that_was_not_read_and_keeps_little_is_told(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, event_log=tmp_path / "log", lag_red_seconds=0.0, lag_amber_seconds=0.0)
    with EventLog(tmp_path / "log", retention=None) as log:
        log.append([Record(b"u", b"{}")])
    wait_until(lambda: check_lag(settings)[0].status == "fail", "the message to be older than 0 seconds")
    (found,) = check_lag(settings)
    assert (found.status, found.says[:16]) == ("fail", "1 message unread")
    assert statuses(input_checks.check_event_log(load_settings(event_log=tmp_path / "log", event_log_max_days=1.0))) == {
        "event log": "ok",
        "retention of the event log": "warn",
    }


NOW = 1_800_000_000_000


def lagging(*ages: float, offset: int = 4, low: int = 0) -> Lag:
    """Partitions with six messages that were not read, of which the oldest came so many seconds ago."""
    backlogs = [Backlog(number, offset, low, 10, NOW - round(age * 1000), NOW, 604_800.0) for number, age in enumerate(ages)]
    return Lag("a log", "the newest snapshot", backlogs, NOW)


@pytest.mark.parametrize(
    ("lag", "status", "says"),
    [
        (lagging(1, 2, offset=10), "ok", "everything was read"),
        (lagging(1, 2), "ok", "12 messages unread"),
        (lagging(1, 16, 2), "warn", "18 messages unread, partition 1 is amber"),
        (lagging(16, 61, 16), "fail", "18 messages unread, partition 1 is red"),
        (lagging(1, 2, low=6), "fail", "the log deleted 4 messages unread"),
        (lagging(1, offset=12), "fail", "partition 0 ends before the position of the job"),
    ],
)
def test_lag_is_judged_by_the_worst_partition(lag: Lag, status: str, says: str) -> None:
    (found,) = input_checks.lag_findings(lag, Thresholds(amber_seconds=15, red_seconds=60, red_share=0.25))
    assert (found.status, found.says, bool(found.advice)) == (status, says, status != "ok")


def test_a_log_whose_beginning_was_deleted_before_the_first_start_is_told() -> None:
    usual = Thresholds(amber_seconds=15, red_seconds=60, red_share=0.25)
    first, second = lagging(1, low=6).backlogs[0]._replace(offset=None), lagging(1).backlogs[0]._replace(partition=1, offset=None)
    found = input_checks.lag_findings(Lag("a topic", "the consumer group g", [first, second], NOW), usual)
    assert statuses(found) == {"beginning of the log": "warn", "lag": "ok"}
    assert (found[0].says, "retention.ms=-1" in found[0].advice) == ("the log deleted 6 messages before the first start of the job", True)
    begun = Lag("a topic", "the newest snapshot", [first, second._replace(offset=2)], NOW)
    assert statuses(input_checks.lag_findings(begun, usual)) == {"lag": "ok"}, (
        "a partition that was added later, or a gap that was accepted"
    )


def test_thresholds_are_those_of_the_settings(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, lag_amber_seconds=1, lag_red_seconds=2, data_loss_red_share=0.3)
    assert thresholds_of(settings) == Thresholds(amber_seconds=1, red_seconds=2, red_share=0.3)


@pytest.mark.parametrize(
    ("leader", "copies", "brokers", "policy", "bad"),
    [
        (1, 2, 3, "delete", {}),
        (1, 1, 1, "compact,delete", {}),
        (-1, 2, 3, "delete", {"topic events": "fail"}),
        (1, 1, 3, "delete", {"topic events": "warn"}),
        (1, 2, 3, "compact", {"topic events": "fail"}),
    ],
)
def test_a_topic_is_judged(leader: int, copies: int, brokers: int, policy: str, bad: dict[str, str]) -> None:
    well = SimpleNamespace(leader=1, replicas=[1, 2, 3])
    partitions = {0: well, 1: SimpleNamespace(leader=leader, replicas=[1] * copies)}
    config = {"cleanup.policy": policy, "retention.ms": "-1"}
    found = input_checks.topic_findings("topic events", partitions, brokers, config, is_input=True)
    assert {each.check: each.status for each in found if each.status != "ok"} == bad
    assert all(each.advice for each in found if each.status != "ok")
    others = input_checks.topic_findings("topic events", partitions, brokers, {"cleanup.policy": "compact"}, is_input=False)
    assert [each.check for each in others] == ["topic events"], "only the input must keep everything"


def test_topics_are_looked_for(tmp_path: Path, broker: Tansu) -> None:
    topic = broker.new_topic(3)
    settings = settings_for(tmp_path, kafka_brokers=broker.brokers, kafka_topic=topic, kafka_dead_letter_topic="nowhere")
    found = {each.check: each for each in check_broker(settings)}
    assert found[f"topic {topic}"].status == "ok"
    assert found["topic nowhere"].status == "fail"
    assert found["topic nowhere"].advice == "Create it, or set ONRAMP_KAFKA_DEAD_LETTER_TOPIC to another one."


def test_options_that_the_client_does_not_know_are_no_fault_of_the_network(tmp_path: Path) -> None:
    (found,) = check_broker(settings_for(tmp_path, kafka_brokers="127.0.0.1:1", kafka_config="sasl.passwort=hunter2"))
    assert found.says == 'The Kafka settings are not valid: No such configuration property: "sasl.passwort"'
    assert found.advice == "Correct ONRAMP_KAFKA_CONFIG."


@pytest.mark.parametrize(
    ("config", "status"),
    [
        ({"retention.ms": "604800000"}, "ok"),
        ({"retention.ms": "-1"}, "ok"),
        ({"retention.ms": "3600000"}, "warn"),
        ({"retention.ms": "604800000", "retention.bytes": "1000"}, "warn"),
        ({}, "warn"),
    ],
)
def test_retention_is_judged(config: dict[str, str], status: str) -> None:
    (found,) = input_checks.retention_findings("topic events", config)
    assert (found.check, found.status, bool(found.advice)) == ("retention of events", status, status != "ok")


# the stores

WELL = {"redis_version": "7.2.4", "valkey_version": "9.1.0", "role": "master", "maxmemory": 1000, "used_memory": 10, "aof_enabled": 1}


@pytest.mark.parametrize(
    ("info", "policy", "bad"),
    [
        ({}, "noeviction", {}),
        ({"redis_version": "6.0.16", "valkey_version": "0"}, "noeviction", {"Redis": "fail"}),
        ({"role": "slave"}, "noeviction", {"Redis": "fail"}),
        ({}, "allkeys-lru", {"eviction of Redis": "fail"}),
        ({"maxmemory": 0}, "volatile-ttl", {"eviction of Redis": "warn"}),
        ({}, None, {"eviction of Redis": "warn"}),
        ({"used_memory": 900}, "noeviction", {"memory of Redis": "warn"}),
        ({"used_memory": 990}, "noeviction", {"memory of Redis": "fail"}),
        ({"aof_enabled": 0}, "noeviction", {"persistence of Redis": "warn"}),
    ],
)
def test_redis_is_judged_by_what_it_says_of_itself(info: dict[str, Any], policy: str | None, bad: dict[str, str]) -> None:
    found = redis_findings({**WELL, **info}, policy)
    assert {each.check: each.status for each in found if each.status != "ok"} == bad
    assert all(each.advice for each in found if each.status != "ok")


@pytest.mark.parametrize(("version", "status"), [("25.8.1.1", "ok"), ("26.1", "ok"), ("25.7.9", "warn"), ("24.12", "warn")])
def test_versions_of_clickhouse_are_judged(version: str, status: str) -> None:
    assert store_checks.version_finding(version, embedded=False).status == status


@pytest.mark.parametrize(("free", "total", "status"), [(20, 100, "ok"), (60, 10_000, "ok"), (5, 100, "warn"), (2, 100, "fail")])
def test_disks_of_clickhouse_are_judged(free: int, total: int, status: str) -> None:
    assert store_checks.disk_finding("default", free=free * 1024**3, total=total * 1024**3).status == status


def test_stores_that_do_not_answer_fail_without_their_passwords(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, redis_url="redis://app:hunter2@127.0.0.1:1/0", clickhouse_url="http://app:hunter2@127.0.0.1:1")
    found = [*check_redis(settings), *check_clickhouse(settings)]
    assert statuses(found) == {"Redis": "fail", "ClickHouse": "fail"}
    assert "hunter2" not in str(found)
    assert all(each.advice for each in found)


def test_tables_are_judged_by_engine_and_migrations() -> None:
    applied = {each.version for each in shipped()}
    names = [table for each in shipped() for table in re.findall(r"TABLE IF NOT EXISTS (\w+)", each.sql)]

    def everything(engine: str) -> dict[str, str]:
        return dict.fromkeys(["schema_migrations", *names], engine)

    well = everything("ReplacingMergeTree")
    assert schema_findings(well, applied, "onramp")[0].status == "ok"
    assert schema_findings(everything("ReplicatedReplacingMergeTree"), applied, "onramp")[0].status == "ok"
    assert schema_findings({}, set(), "onramp")[0].status == "warn"
    assert schema_findings(well, applied - {max(applied)}, "onramp")[0].status == "warn"
    assert schema_findings(well, applied | {999}, "onramp")[0].status == "fail"
    (found,) = schema_findings(everything("MergeTree"), applied, "onramp")
    assert (found.status, found.says.endswith("has the engine MergeTree")) == ("fail", True)
