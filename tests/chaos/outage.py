"""Each store is gone for a while under load, then both at once: nothing is lost, guidance resumes, ClickHouse becomes complete.

``python -m tests.chaos.outage --seconds 60 --rate 2000``. The rate is lowered to half of what the job can do here, which is measured first.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from benchmarks.speed.stream import People
from sources.local_log.log import EventLog, Record
from state.records.recommendation import updates_channel
from tests.chaos.world import Input, World, world
from tests.support.waiting import pause

TENANT: Final = "default"
RESUMED_WITHIN: Final = 5.0
"""Seconds from when Redis answers again to the first record that is written."""
OUTAGES: Final = (("redis",), ("clickhouse",), ("redis", "clickhouse"))
_WARM_UP_S: Final = 3.0
_CAPACITY_EVENTS: Final = 15_000
_LONG: Final = 1800.0


@dataclass
class Load:
    """Appends events at a rate, at the real time, from a thread. ``sent`` counts them."""

    log: EventLog
    rate: float
    sent: int = 0
    ids: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)

    def append(self, people: People, count: int) -> None:
        """Append ``count`` events at once."""
        now = time.time_ns() // 1_000_000
        sent = [people.send(now) for _ in range(count)]
        self.log.append([Record(each.key.encode(), each.line) for each in sent])
        self.ids.update(each.line.split(b'"', 4)[3].decode() for each in sent)
        self.sent += count

    @contextmanager
    def running(self, people: People) -> Iterator[None]:
        """Append at the rate for the block."""

        def run() -> None:
            began, first = time.monotonic(), self.sent
            for _ in iter(lambda: self._stop.wait(0.05), True):
                if due := int((time.monotonic() - began) * self.rate) - (self.sent - first):
                    self.append(people, due)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(60)


@dataclass(frozen=True)
class Outage:
    """``resumed``: seconds until a record was written again. ``caught_up``: until the job had read everything. ``drained``: the spool."""

    stores: tuple[str, ...]
    seconds: float
    resumed: float
    caught_up: float
    drained: float

    def __str__(self) -> str:
        """As a line of a report."""
        return (
            f"{' and '.join(self.stores)} gone for {self.seconds:.0f} s: first record {self.resumed:.1f} s after, "
            f"caught up after {self.caught_up:.1f} s, spool empty after {self.drained:.1f} s"
        )


@dataclass(frozen=True)
class Found:
    """What was measured, and what is missing at the end; empty where nothing is."""

    capacity: float
    rate: float
    sent: int
    outages: list[Outage]
    missing: list[str]

    def faults(self) -> list[str]:
        """What is wrong, in sentences; empty where nothing is."""
        late = [each for each in self.outages if each.resumed > RESUMED_WITHIN]
        return [*self.missing, *(f"too late: {each}" for each in late)]


def measure(directory: Path, seconds: float, rate: float, seed: int, tell: Callable[[str], None]) -> Found:
    """Run the job under load through all outages."""
    settings = {"ONRAMP_EPOCH_SECONDS": "1", "ONRAMP_BATCH_SIZE": "1000"}
    with (
        world(directory, Input(seed, given=()), settings=settings) as here,
        EventLog(directory / "log", partitions=1, retention=None) as log,
    ):
        load, people = Load(log, rate), People(users=20_000, seed=seed)
        load.append(people, 2_000)
        here.start_job()
        _until_read(here, load)
        load.append(people, _CAPACITY_EVENTS)
        began = time.monotonic()
        _until_read(here, load)
        capacity = _CAPACITY_EVENTS / (time.monotonic() - began)
        load.rate = min(rate, capacity / 2)
        tell(f"the job does {capacity:,.0f} events/s here; the load is {load.rate:,.0f} events/s")
        outages = []
        with load.running(people):
            for stores in OUTAGES:
                pause(_WARM_UP_S, "the load runs on between two outages")
                outages.append(_outage(here, load, stores, seconds))
                tell(f"  {outages[-1]}")
        _until_read(here, load)
        assert here.starts == 1, f"the job ended meanwhile: {here.ended}"
        here.stop_job()
        return Found(capacity, load.rate, load.sent, outages, _missing(here, load))


def _outage(here: World, load: Load, stores: tuple[str, ...], seconds: float) -> Outage:
    for store in stores:
        (here.redis if store == "redis" else here.clickhouse).kill()
    pause(seconds, "the outage lasts")
    if "clickhouse" in stores:
        here.clickhouse.start()
        here.networks["clickhouse"].target = here.clickhouse.port
    if "redis" in stores:
        here.redis.start()
    back = time.monotonic()
    _wait_for_a_record(here)
    resumed = time.monotonic() - back
    behind = load.sent
    here.wait(lambda: here.job_offset() >= behind, "what came during the outage", _LONG)
    caught_up = time.monotonic() - back
    here.wait(lambda: _spooled(here) <= 2, "the drain", _LONG)  # the newest epochs are always on their way
    return Outage(stores, seconds, resumed, caught_up, time.monotonic() - back)


def _wait_for_a_record(here: World) -> None:
    """Wait for the announcement of a record, which follows its write."""
    client = Redis.from_url(here.redis.url)
    following = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    try:
        following.subscribe(updates_channel(TENANT))
        here.wait(lambda: following.get_message(timeout=0.05), "a record", 300)
    except RedisError as error:
        raise AssertionError(f"Redis is back and does not answer: {error}") from error
    finally:
        following.close()
        client.close()


def _until_read(here: World, load: Load) -> None:
    here.wait(lambda: here.job_offset() >= load.sent, "the job to have read everything", _LONG)


def _spooled(here: World) -> int:
    return len(list((here.data / "spool").glob("*.ready"))) + len(list((here.data / "spool").glob("*.pending")))


def _missing(here: World, load: Load) -> list[str]:
    """Compare the input with the tables, and the tables with Redis."""
    told, store = [], here.store
    client = store.client()
    found = {event for (event,) in client.query("SELECT DISTINCT event_id FROM events FINAL").result_rows}
    if lost := load.ids - found:
        told.append(f"{len(lost)} events are not in ClickHouse: {sorted(lost)[:5]}")
    if made_up := found - load.ids:
        told.append(f"{len(made_up)} events in ClickHouse were never sent: {sorted(made_up)[:5]}")
    twice = client.query("SELECT count() FROM (SELECT event_id FROM events FINAL GROUP BY tenant_id, event_id HAVING count() > 1)")
    if count := twice.result_rows[0][0]:
        told.append(f"{count} events are in ClickHouse twice")
    users = {user for (user,) in client.query("SELECT DISTINCT user_id FROM recommendations FINAL").result_rows}
    redis = Redis.from_url(here.redis.url)
    shown = {bytes(key).decode().rpartition("{")[2].partition("}")[0].rpartition(":")[2] for key in redis.scan_iter("onramp:*:rec")}
    redis.close()
    if lost := users - shown:
        told.append(f"{len(lost)} users with a recommendation have no record in Redis: {sorted(lost)[:5]}")
    store.close()
    return told


def main() -> int:
    """Measure, and say what was found. The exit code is 1 if something is missing or late."""
    parser = argparse.ArgumentParser(prog="make chaos-outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=2_000.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="onramp-outage-"))

    def tell(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    try:
        found = measure(place / "world", asked.seconds, asked.rate, asked.seed, tell)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    told = found.faults()
    tell(
        "\n".join(told) if told else f"{found.sent:,} events sent, none lost, none twice; every record resumed within {RESUMED_WITHIN:g} s"
    )
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main())
