"""Checks of Redis and ClickHouse: whether they answer, their versions, and the settings that decide whether something can be lost."""

from __future__ import annotations

import re
import time
from contextlib import closing
from typing import Any, Final

from clickhouse_connect.driver.client import Client
from redis.exceptions import RedisError, ResponseError

from flows.clickhouse_store import open_store
from flows.doctor.finding import Finding, clock_finding
from flows.settings import Settings
from local.clickhouse import EmbeddedClickHouse
from local.data_dir import DataDir
from local.valkey import published_url
from sinks.clickhouse.errors import StoreError
from sinks.clickhouse.migrate import shipped
from sinks.masked_url import mask_url
from sinks.redis.client import RedisServers
from sinks.redis.errors import describe
from state.quantity import count

_KEY: Final = b"onramp:doctor"
_LEAST_REDIS: Final = (6, 2)
_TESTED_CLICKHOUSE: Final = (25, 8)
_ENGINES: Final = re.compile(r"(Replicated|Shared)?ReplacingMergeTree")
REDIS_ADVICE: Final = "Check that the server runs and that ONRAMP_REDIS_URL names it."
CLICKHOUSE_ADVICE: Final = "Check that the server runs and that ONRAMP_CLICKHOUSE_URL names it; rows wait in the spool meanwhile."


def check_redis(settings: Settings) -> list[Finding]:
    """Check each server behind the address. The embedded one is checked only while a job runs."""
    url = settings.redis_address() or published_url(DataDir(settings.data_dir).valkey)
    if url is None:
        return [Finding("Redis", "ok", "embedded; it runs while the job runs")]
    with closing(RedisServers(url)) as servers:
        try:
            found: list[Finding] = []
            for client, _ in servers.routes([_KEY]):
                before = time.time()
                seconds, micros = client.time()
                after = time.time()
                found += redis_findings(client.info(), _policy(client))
                found.append(clock_finding("Redis", theirs=seconds + micros / 1e6, before=before, after=after))
        except (RedisError, OSError) as error:
            said = describe(error, mask_url(url), "", in_cluster=servers.in_cluster).rstrip("; .")
            return [Finding("Redis", "fail", said, REDIS_ADVICE)]
        else:
            return found


def _policy(client: Any) -> str | None:
    try:
        return str(client.config_get("maxmemory-policy").get("maxmemory-policy", "")) or None
    except ResponseError:  # managed servers refuse CONFIG
        return None


def redis_findings(info: dict[str, Any], policy: str | None) -> list[Finding]:
    """Judge what a server says of itself; ``policy`` is its eviction policy, None where it does not tell it."""
    version = str(info.get("valkey_version") or info.get("redis_version") or "0")
    spoken = f"{'Valkey' if 'valkey_version' in info else 'Redis'} {version}"
    compatible = _numbers(str(info.get("redis_version", version)))
    if compatible < _LEAST_REDIS:
        found = [Finding("Redis", "fail", spoken, "Upgrade it to 6.2 or newer.")]
    elif info.get("role") == "slave":
        found = [Finding("Redis", "fail", f"{spoken}, a replica", "Let ONRAMP_REDIS_URL name the primary, its sentinels or its cluster.")]
    else:
        found = [Finding("Redis", "ok", spoken)]
    policy = policy or info.get("maxmemory_policy")
    limit = int(info.get("maxmemory", 0) or 0)
    name = "eviction of Redis"
    safe = "Set maxmemory-policy noeviction: an evicted tombstone lets a late write bring a deleted user's record back."
    if policy is None:
        found.append(Finding(name, "warn", "the server does not tell its policy", safe))
    elif policy != "noeviction":
        found.append(Finding(name, "fail" if limit else "warn", f"maxmemory-policy is {policy}", safe))
    else:
        found.append(Finding(name, "ok", "noeviction"))
    used = int(info.get("used_memory", 0) or 0)
    if limit and used > 0.8 * limit:
        advice = "Raise maxmemory, or lower ONRAMP_REDIS_TTL_HOURS: a full server stops the job."
        found.append(Finding("memory of Redis", "warn" if used < 0.95 * limit else "fail", f"{100 * used / limit:.0f} % used", advice))
    if not int(info.get("aof_enabled", 1) or 0):
        advice = "Turn appendonly on, or know that a restart loses records until the next decision about each user."
        found.append(Finding("persistence of Redis", "warn", "appendonly is off", advice))
    return found


def check_clickhouse(settings: Settings) -> list[Finding]:
    """Check the server; or the embedded one if it has data, which then starts for the check and ends by itself."""
    embedded = None
    if settings.clickhouse_url is None:
        directory = DataDir(settings.data_dir).clickhouse
        if not directory.exists() or not any(directory.iterdir()):
            return [Finding("ClickHouse", "ok", "embedded; it starts with the job")]
        embedded = EmbeddedClickHouse(directory)
    store = open_store(settings, embedded)
    try:
        with closing(store.connect(database=None, role="read")) as client:
            return _clickhouse(client, store.database, embedded=embedded is not None)
    except StoreError as error:
        text, _, advice = str(error).rpartition("; ")
        return [Finding("ClickHouse", "fail", text or str(error), f"{advice[:1].upper()}{advice[1:]}" if text else CLICKHOUSE_ADVICE)]
    finally:
        store.close()


def _clickhouse(client: Client, database: str, *, embedded: bool) -> list[Finding]:
    before = time.time()
    ((version, now),) = client.query("SELECT version(), toUnixTimestamp64Milli(now64(3)) / 1000").result_rows
    clock = clock_finding("ClickHouse", theirs=float(now), before=before, after=time.time())
    listed = client.query("SELECT name, engine FROM system.tables WHERE database = {d:String}", {"d": database}).result_rows
    tables = {str(name): str(engine) for name, engine in listed}
    disks = client.query("SELECT name, free_space, total_space FROM system.disks WHERE total_space > 0").result_rows
    applied: set[int] = set()
    if "schema_migrations" in tables:
        applied = {number for (number,) in client.query(f"SELECT DISTINCT version FROM {database}.schema_migrations").result_rows}  # noqa: S608 -- a checked name
    found = [version_finding(str(version), embedded=embedded), *schema_findings(tables, applied, database)]
    found += [disk_finding(name, free=int(free), total=int(total)) for name, free, total in disks]
    return [*found, clock]


def version_finding(version: str, *, embedded: bool) -> Finding:
    """Judge the version of ClickHouse."""
    if _numbers(version) >= _TESTED_CLICKHOUSE:
        return Finding("ClickHouse", "ok", f"{version}{', embedded' if embedded else ''}")
    least = ".".join(map(str, _TESTED_CLICKHOUSE))
    return Finding("ClickHouse", "warn", version, f"Upgrade it to {least} or newer: older ones were not tried.")


def schema_findings(tables: dict[str, str], applied: set[int], database: str) -> list[Finding]:
    """Judge the tables (name → engine) and the numbers of the applied migrations."""
    name = "tables of ClickHouse"
    known = shipped()
    if not tables:
        return [Finding(name, "warn", f"the database {database} is empty or does not exist", "The first start of the job creates it.")]
    newer = applied - {each.version for each in known}
    if newer:
        return [
            Finding(name, "fail", f"migration {max(newer)} is from a newer version", "Run the version of Onramp that wrote this database.")
        ]
    wanted = {table for each in known for table in re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", each.sql)}
    missing = sorted(wanted - tables.keys())
    if missing or applied != {each.version for each in known}:
        said = f"{missing[0]} is missing" if missing else "not all migrations were applied"
        return [Finding(name, "warn", said, "Start the job once, which creates what is missing.")]
    wrong = sorted(table for table in wanted if _ENGINES.fullmatch(tables[table]) is None)
    if wrong:
        advice = "Create the table again with the engine of sinks/clickhouse/migrations: others keep rows that were delivered twice."
        return [Finding(name, "fail", f"{wrong[0]} has the engine {tables[wrong[0]]}", advice)]
    return [Finding(name, "ok", f"{count(len(wanted), 'table')}, all ReplacingMergeTree")]


def disk_finding(disk: str, *, free: int, total: int) -> Finding:
    """Judge the free bytes of one of ClickHouse's disks."""
    name, said = f"disk of ClickHouse ({disk})", f"{free / 1024**3:.1f} GiB free of {total / 1024**3:.0f} GiB"
    if free >= 0.1 * total or free >= 50 * 1024**3:
        return Finding(name, "ok", said)
    return Finding(name, "warn" if free >= 0.03 * total else "fail", said, "Free space, or move old partitions away: merges need room.")


def _numbers(version: str) -> tuple[int, int]:
    parts = re.findall(r"\d+", version)
    return (int(parts[0]), int(parts[1]) if len(parts) > 1 else 0) if parts else (0, 0)
