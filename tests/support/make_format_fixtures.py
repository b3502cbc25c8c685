"""Makes the fixtures of this release's formats: ``python -m tests.support.make_format_fixtures DIRECTORY``.

It runs the job on a local log with people of every kind, takes a backup in the middle, and writes down how this release reads what is in
it. Make new ones, beside those of before, when a format gets another version. Never make the old ones again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.backup import Watch, back_up, restore
from flows.clickhouse_store import open_store
from flows.settings import Settings, load_settings
from local.audit_log import AuditLog
from local.clickhouse import EmbeddedClickHouse
from local.data_dir import DataDir
from local.recovery_positions import saved_positions
from local.redis_access import redis_for_reader
from sinks.clickhouse.drain import Drain
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.spool import Spool
from sinks.redis.client import connect
from sources.local_log.log import EventLog, Record
from sources.local_log.source import NAME
from state.messages import Message
from tests.cli.command import onramp, start
from tests.support.formats import CATALOG, formats, records, text_of
from tests.support.populations import population
from tests.support.stories import visitors_log
from tests.support.waiting import running, stop, wait_until

ROOT = Path(__file__).parents[2]
SECRET = "the secret of the fixtures of formats"
PARTITIONS = 2
USERS, DAYS = 9, 12
LONG = 600.0  # seconds, on a busy machine


def main(target: Path) -> None:
    """Write all fixtures to the new directory ``target``."""
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        shutil.copy(ROOT / "catalog" / "saas.yaml", room / CATALOG)
        write_log(room / "log")
        environment = {
            "ONRAMP_EVENT_LOG": str(room / "log"),
            "ONRAMP_DATA_DIR": str(room / "data"),
            "ONRAMP_CATALOG": str(room / CATALOG),
            "ONRAMP_SECRET": SECRET,
            "ONRAMP_EPOCH_SECONDS": "0.2",
            "ONRAMP_BATCH_SIZE": "5",
            "ONRAMP_RECOVERY_PARTITIONS": "2",
        }
        settings = load_settings(
            event_log=room / "log", data_dir=room / "data", catalog=str(room / CATALOG), secret=SECRET, recovery_partitions=2
        )
        with running(start("run", "--json", cwd=room, **environment)) as job:
            in_the_middle(settings, room / "middle.tar", job)
            stop(job)
        half = settings.model_copy(update={"data_dir": room / "half", "event_log": room / "half" / "log"})
        restore(room / "middle.tar", room / "half", Watch())
        deliver_half(half)
        backup = back_up(half, target / "backup.tar.gz", Watch())
        packed = gzip.decompress((target / "backup.tar.gz").read_bytes())
        (target / "backup.tar.gz").write_bytes(gzip.compress(packed, 9, mtime=0))  # it stays for ever: as small as can be
        restore(target / "backup.tar.gz", room / "restored", Watch())
        raw = records_of(room / "restored")
        columns = onramp(
            "sql",
            "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() ORDER BY table, position",
            "--json",
            cwd=room,
            **{**environment, "ONRAMP_DATA_DIR": str(room / "restored")},
        )
        expected = {
            "formats": formats(room / "restored"),
            "records": records(raw),
            "rawRecords": raw,
            "columns": columns.json,
            "backup": {name: value for name, value in backup.items() if name != "files"},
        }
        with gzip.GzipFile(target / "expected.json.gz", "wb", mtime=0) as file:
            file.write(json.dumps(expected, separators=(",", ":"), sort_keys=True).encode())


def write_log(directory: Path) -> None:
    """People of every kind; events of both versions of the contract; what is no event; a switch of guidance."""
    stamp = 0
    with EventLog(directory, partitions=PARTITIONS, retention=None, now=lambda: stamp) as log:
        known = visitors_log(("stay-1", "stay-2"), ("leave-1",)).items[:-1]
        lines = [*(each.value for each in known if isinstance(each, Message)), *population(USERS, DAYS, seed=11)]
        for number, line in enumerate(lines):
            try:
                event: dict[str, Any] = json.loads(line)
                stamp = max(stamp, round(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000))
            except (ValueError, KeyError, TypeError):
                event = {}
            newer = number % 9 == 4 and event.get("eventType") == "page_view"
            key = event.get("userId") or event.get("anonymousId") or "nobody"
            log.append([Record(str(key).encode(), json.dumps({**event, "schemaVersion": 2}).encode() if newer else line)])
            if number == len(lines) // 5:
                payload = {"action": "ramp", "share": 0.9, "because": "a fixture"}
                switch = {"eventId": "ramp", "userId": "ops", "eventType": "guidance_switched", "timestamp": event["timestamp"]}
                log.append_everywhere(json.dumps({**switch, "tenantId": "default", "payload": payload}).encode())


def in_the_middle(settings: Settings, target: Path, job: subprocess.Popen[str]) -> None:
    """Back up when the job has read most of the log, and rows wait for ClickHouse."""
    data_dir = DataDir(settings.data_dir)
    whole = len(population(USERS, DAYS, seed=11))

    def has_read_most() -> bool:
        return sum(each.offset for each in saved_positions(data_dir.state, NAME).values()) > whole * 0.8

    wait_until(data_dir.spool.is_dir, "the data directory", within=LONG, process=job)
    with Spool(data_dir.spool).delivery_paused(["0"], LONG):
        wait_until(has_read_most, "the middle", within=LONG, process=job)
    audit = AuditLog(data_dir.audit, lambda: 1_772_000_000_000)
    audit.append("guidance.ramp", by="ops", tenant="default", share=0.9)
    audit.append("dlq.replay", by="ops", outcome="failed", letters=1)
    manifest = back_up(settings, target, Watch())
    assert manifest["segments"] >= 2, "no rows waited for ClickHouse"
    assert sum(manifest["positions"].values()) < manifest["messages"], "the backup came too late"


def deliver_half(settings: Settings) -> None:
    """Deliver the first half of the rows that wait."""
    data_dir = DataDir(settings.data_dir)
    spool = Spool(data_dir.spool)
    waiting = spool.segments("ready")
    aside = waiting[len(waiting) // 2 :]
    for segment in aside:
        segment.path.rename(data_dir.path / segment.path.name)
    store = open_store(settings, EmbeddedClickHouse(data_dir.clickhouse))
    migrate(store)
    assert Drain(spool, ClickHouseInserter(store)).drain_once()
    store.close()
    for segment in aside:
        (data_dir.path / segment.path.name).rename(segment.path)


def records_of(directory: Path) -> list[dict[str, str]]:
    """Key and text of every record and tombstone, and of every user's progress."""
    with redis_for_reader(None, DataDir.open(directory)) as url:
        client = connect(url)
        try:
            keys = sorted(key for kind in ("rec", "progress") for key in client.scan_iter(match=f"onramp:{{*}}:{kind}"))
            return [{"key": text_of(key), "value": text_of(client.get(key))} for key in keys]
        finally:
            client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.make_format_fixtures", description="Make the fixtures of this release's formats."
    )
    parser.add_argument("directory", type=Path, help="directory that does not exist yet, for example tests/fixtures/formats/2")
    main(parser.parse_args().directory)
