"""Reads everything of a restored data directory by the code of now, as plain JSON values, to compare with the fixtures of formats."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from flows.catalogs import load_catalog
from local.audit_log import AuditLog
from local.data_dir import DataDir
from local.recovery_positions import plain_value
from operators import enrich
from sinks.clickhouse.segment import read_segment
from sinks.redis.record import decode_record
from sources.local_log.reader import LogReader
from state.catalog.plan import Plan
from state.decision.bandit import LEARNER_CODEC
from state.decision.switches import HISTORY_CODEC
from state.decode import decode
from state.messages import Message
from state.person import snapshot
from state.person.chains import CHAINS_CODEC
from state.person.deduplication import remembered
from state.person.identity import IDENTITY_CODEC
from state.person.link import LINK_CODEC
from state.person.person import Person
from state.person.visitor import VISITOR_CODEC
from state.records.dead_letter import decode_line
from state.records.progress import decode_progress
from state.stuck.estimator import EstimatorState, restore_estimator
from state.stuck.observations import EpisodeObservation
from state.stuck.row import Row

FIXTURES: Final = Path(__file__).parents[1] / "fixtures" / "formats"
CATALOG: Final = "catalog.yaml"


def formats(directory: Path) -> dict[str, Any]:
    """What is in the data directory: snapshots, dead letters, audit entries, rows on their way to ClickHouse, messages of the log."""
    data_dir = DataDir.open(directory)
    found: dict[str, Any] = plain(
        {
            "snapshots": snapshots(data_dir.state, Plan(load_catalog(str(directory / CATALOG)))),
            "dead_letters": [decode_line(line) for line in data_dir.dead_letters.read_bytes().splitlines(keepends=True)],
            "audit": AuditLog(data_dir.audit, lambda: 0).entries(),
            "run": data_dir.read_run(),
            "spool": spool_rows(data_dir.spool),
            "messages": messages(data_dir.event_log),
        }
    )
    return found


def snapshots(state: Path, plan: Plan) -> dict[str, dict[str, Any]]:
    """Step → key → the newest snapshot, decoded by its step."""
    decoders: dict[str, Callable[[Any], Any]] = {
        "track": snapshot.decode,
        "stitch": VISITOR_CODEC.decode,
        "identify": IDENTITY_CODEC.decode,
        "link_ids": LINK_CODEC.decode,
        "link_chains": CHAINS_CODEC.decode,
        "choose": LEARNER_CODEC.decode,
        "estimate": lambda data: _estimate(restore_estimator(lambda _tenant: plan, data).encode()),
        "switches": HISTORY_CODEC.decode,
        "counters": msgspec.msgpack.decode,
        "enrich": enrich.decode,
    }
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(state.glob("*.sqlite3")):
        with closing(sqlite3.connect(file)) as part:
            for step, key, change in part.execute("SELECT step_id, state_key, ser_change FROM snaps ORDER BY snap_epoch"):
                name = step.rpartition(".")[2]
                value = None if change is None else plain_value(change)
                found.setdefault(name, {})[key] = decoders[name](value) if isinstance(value, bytes) else value
    return found


def _estimate(data: bytes) -> list[Any]:
    """The fields of what was learned of steps, with features as numbers."""
    state = msgspec.msgpack.decode(data, type=EstimatorState)
    fields: list[Any] = msgspec.msgpack.decode(data)
    for name in ("fresh", "waiting"):
        for observation, kept in zip(fields[_ESTIMATOR[name]], getattr(state, name), strict=True):
            for row, with_features in zip(observation[_ROWS], kept.rows, strict=True):
                row[_FEATURES] = list(with_features.features)
    return fields


_ESTIMATOR: Final = {name: place for place, name in enumerate(EstimatorState.__struct_fields__)}
_ROWS: Final = EpisodeObservation.__struct_fields__.index("rows")
_FEATURES: Final = Row.__struct_fields__.index("packed")


def spool_rows(spool: Path) -> dict[str, list[dict[str, Any]]]:
    """Table → rows of all segments; and the erasures."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(spool.glob("*.ready")):
        segment = read_segment(path)
        for table, frames in segment.frames.items():
            for frame in frames:
                found.setdefault(table, []).extend(frame.to_dicts())
        found.setdefault("erasures", []).extend(msgspec.to_builtins(each) for each in segment.erasures)
    return found


def messages(log: Path) -> list[Any]:
    """What every message of the log is for the decoder: an event or a dead letter."""
    reader, found = LogReader(log), []
    try:
        for partition in range(reader.identity.partitions):
            offset = reader.first_bounds(partition).low
            while rows := reader.read(partition, offset, 1000):
                for at, stamp, record in rows:
                    found.append(decode(Message(record.value, record.key, "event-log", partition, at, stamp, stamp, 2 * at)))
                offset = rows[-1].offset + 1
    finally:
        reader.close()
    return found


def records(raw: list[dict[str, str]]) -> list[Any]:
    """Records of Redis, of users and of their progress, each as the app's side reads it."""
    decoded = [(decode_progress if each["key"].endswith(":progress") else decode_record)(each["value"].encode()) for each in raw]
    found: list[Any] = plain(decoded)
    return found


def text_of(value: Any) -> str:
    """A key or value of Redis as text; empty for none."""
    return bytes(value or b"").decode()


def plain(value: Any) -> Any:
    """Only what JSON has, with the names of all fields. Sets are sorted."""
    return json.loads(msgspec.json.encode(_named(value)))


def _named(value: Any) -> Any:
    """As the first fixtures have them: event ids as a mapping from hash to time, features as a list of numbers."""
    if isinstance(value, Person):
        seen = {str(int.from_bytes(mark, "big")): at for mark, at in remembered(value)}
        return {name: _named(getattr(value, name)) for name in value.__struct_fields__} | {"seen": seen}
    if isinstance(value, Row):
        return {name: _named(getattr(value, name)) for name in value.__struct_fields__} | {"features": list(value.features)}
    if isinstance(value, msgspec.Struct):
        return {name: _named(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {str(key): _named(each) for key, each in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_named(each) for each in value), key=str)
    return [_named(each) for each in value] if isinstance(value, list | tuple) else value


def numbered(values: list[Any]) -> dict[str, Any]:
    """The fields of a snapshot that has no names for them. Fields are only appended to it."""
    return {str(number): value for number, value in enumerate(values)}


def lacking(expected: Any, found: Any, where: str = "") -> list[str]:
    """The places at which ``found`` has not what ``expected`` has. A later release may have more fields, and nothing else."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            fault
            for name, value in expected.items()
            for fault in (lacking(value, found[name], f"{where}/{name}") if name in found else [f"{where}/{name} is not there"])
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [fault for at, pair in enumerate(zip(expected, found, strict=True)) for fault in lacking(*pair, f"{where}/{at}")]
    return [] if expected == found else [f"{where}: {expected!r:.200} became {found!r:.200}"]
