"""What every release wrote, this one reads: the fixtures in ``tests/fixtures/formats``, a directory for each version, made once.

``tests/support/make_format_fixtures.py`` makes them, and docs/compatibility.md says what may change. If a test here fails, the change that
made it fail breaks the data of users: mend the change, not the fixture.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flows.backup import Watch, restore
from flows.engines import open_engines
from flows.settings import load_settings
from local.data_dir import DataDir, DataDirError
from local.recovery_positions import saved_positions
from sinks.clickhouse.errors import SegmentDamaged
from sinks.clickhouse.segment import read_segment
from sources.local_log.source import NAME
from state.event import Event
from state.snapshot_layout import SNAPSHOT_LAYOUT
from state.stuck.estimator import VERSION as ESTIMATOR_VERSION
from state.stuck.estimator import EstimatorState
from state.vocabulary import SWITCHED
from tests.cli.command import onramp, start
from tests.support.formats import CATALOG, FIXTURES, formats, lacking, numbered, plain, records
from tests.support.make_format_fixtures import SECRET, records_of
from tests.support.waiting import PATIENCE, running, wait_until

VERSIONS = sorted(path.name for path in FIXTURES.iterdir())
assert VERSIONS
LARGEST = 300_000
SCORE, PAST = (str(EstimatorState.__struct_fields__.index(name)) for name in ("score", "past"))
LONG = 300.0  # seconds, on a busy machine


@pytest.fixture(scope="module", params=VERSIONS)
def fixture(request: pytest.FixtureRequest) -> Path:
    return FIXTURES / str(request.param)


@pytest.fixture(scope="module")
def expected(fixture: Path) -> dict[str, Any]:
    with gzip.open(fixture / "expected.json.gz") as file:
        found: dict[str, Any] = json.load(file)
    return found


@pytest.fixture(scope="module")
def restored(fixture: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    directory = tmp_path_factory.mktemp("formats") / "data"
    return directory, restore(fixture / "backup.tar.gz", directory, Watch())


def test_a_fixture_is_small(fixture: Path) -> None:
    assert sum(path.stat().st_size for path in fixture.iterdir()) < LARGEST


def test_the_manifest_of_a_backup_is_read(expected: dict[str, Any], restored: tuple[Path, dict[str, Any]]) -> None:
    assert not lacking(expected["backup"], plain(restored[1]))


def by_field(estimator: Any) -> dict[str, Any]:
    """The fields of an estimator, and of the score and the past episodes in it, by their number: all of them may have got more."""
    fields = numbered(estimator)
    return fields | {SCORE: numbered(fields[SCORE]), PAST: [numbered(each) for each in fields[PAST]]}


def test_every_snapshot_letter_row_entry_and_message_has_the_same_values(
    expected: dict[str, Any], restored: tuple[Path, dict[str, Any]]
) -> None:
    found = formats(restored[0])
    for kind, values in expected["formats"].items():
        was, now = ({**each, "estimate": {}} if kind == "snapshots" else each for each in (values, found[kind]))
        assert not lacking(was, now), kind
    for key, fields in expected["formats"]["snapshots"]["estimate"].items():
        now = by_field(found["snapshots"]["estimate"][key])
        assert not lacking(by_field(fields) | {"0": ESTIMATOR_VERSION}, now), key


def test_every_record_that_apps_read_has_the_same_values(expected: dict[str, Any]) -> None:
    raw = expected["rawRecords"]
    assert {each["key"].rpartition(":")[2] for each in raw} == {"rec", "progress"}
    assert any('"deleted":true' in each["value"] for each in raw)
    assert not lacking(expected["records"], records(raw))


def test_the_fixtures_have_users_of_every_kind(expected: dict[str, Any]) -> None:
    snapshots = expected["formats"]["snapshots"]
    people = snapshots["track"].values()
    kinds = {
        "anonymous": any(each["known"] is False and not each["merged_into"] for each in people),
        "merged": any(each["merged_into"] for each in people),
        "deleted": any(each["deleted_at"] for each in people),
        "stuck": any(each["episode"] and each["episode"]["alarmed"] for each in people),
        "guided": any(decision["shown"] for each in people for decision in each["open"]),
        "finished": any(each["activated_at"] for each in people),
    }
    assert all(kinds.values()), kinds
    assert {"choose", "estimate", "stitch", "identify", "link_ids", "link_chains", "switches", "counters", "messages"} <= snapshots.keys()
    assert sum(each["version"] for each in snapshots["choose"].values()) > 0, "a learner has learned"
    assert {each.get("reason", "an event") for each in expected["formats"]["messages"]} > {"an event"}
    rows = expected["formats"]["spool"]
    assert {"events", "people", "decisions", "step_progress"} <= {table for table, found in rows.items() if found}
    assert expected["backup"]["rows"]["events"] > 0


def test_a_value_that_became_another_is_noticed() -> None:
    was = {"a": 1, "b": [{"c": None}], "d": "x"}
    assert not lacking(was, {**was, "new": 1})
    assert lacking(was, {"a": 1, "b": [{"c": 0}], "d": "x"}) == ["/b/0/c: None became 0"]
    assert lacking(was, {"a": 1, "b": []}) == ["/b: [{'c': None}] became []", "/d is not there"]


def test_a_spool_file_of_a_newer_release_says_to_upgrade(tmp_path: Path) -> None:
    newer = tmp_path / "0.x.000000000001.ready"
    newer.write_bytes(b"ONRAMP2\n" + b"?" * 100)
    with pytest.raises(SegmentDamaged, match="newer release of onramp: upgrade"):
        read_segment(newer)


@pytest.mark.slow
def test_a_job_goes_on_from_the_backup_and_keeps_every_row_column_and_record(
    fixture: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    restore(fixture / "backup.tar.gz", tmp_path / "data", Watch())
    raw = {each["key"]: each["value"] for each in expected["rawRecords"]}
    there = {each["key"]: each["value"] for each in records_of(tmp_path / "data")}
    assert there.items() <= raw.items(), "those that are not too old by now"
    environment = {
        "ONRAMP_EVENT_LOG": str(tmp_path / "data" / "log"),
        "ONRAMP_DATA_DIR": str(tmp_path / "data"),
        "ONRAMP_CATALOG": str(tmp_path / "data" / CATALOG),
        "ONRAMP_SECRET": SECRET,
    }

    def has_read_all() -> bool:
        positions = saved_positions(tmp_path / "data" / "state", NAME)
        return sum(each.offset for each in positions.values()) == int(expected["backup"]["messages"])

    with running(start("run", "--json", cwd=tmp_path, **environment)) as job:
        wait_until(has_read_all, "the end of the log", within=LONG, every=0.2, process=job)
        job.terminate()
        said, complained = job.communicate(timeout=PATIENCE)
    assert job.returncode == 0, complained
    switches = sum(each.get("type") == SWITCHED for each in expected["formats"]["messages"])
    assert json.loads(said)["eventsRead"] == expected["backup"]["messages"] - switches
    columns = "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() ORDER BY table, position"
    now = onramp("sql", columns, "--json", cwd=tmp_path, **environment).json["rows"]
    columns_now = _columns(now)
    for column, kind in _columns(expected["columns"]["rows"]).items():
        assert columns_now.get(column) in {kind, f"Nullable({kind})"}, column  # docs/compatibility.md allows a wider type
    counts = "SELECT count() AS n, uniqExact(event_id) AS different FROM events_final"
    (row,) = onramp("sql", counts, "--json", cwd=tmp_path, **environment).json["rows"]
    events = [each for each in expected["formats"]["messages"] if "reason" not in each]
    gone = {each["user"] for each in events if each["type"] == "user_deleted"}
    gone |= {each["payload"]["previousId"] for each in events if each["type"] == "identity_merged" and each["user"] in gone}
    assert int(row["n"]) == int(row["different"]) >= len({each["id"] for each in events if each["user"] not in gone} - {"ramp"}) > 0


def _columns(rows: list[dict[str, str]]) -> dict[tuple[str, str], str]:
    """Table and name of each column → type. ``LowCardinality`` is how values are stored; readers get the same ones with and without it."""
    return {(row["table"], row["name"]): re.sub(r"LowCardinality\((\w+)\)", r"\1", row["type"]) for row in rows}


FIELDS = {
    "ActivityRhythm": 19, "Calibration": 4, "Cell": 8, "Chains": 5, "CompletionTimes": 3, "Episode": 12, "EpisodeObservation": 11,
    "EstimatorState": 16, "Event": 18, "FirstEpisodes": 2, "History": 4, "Identity": 4, "Learner": 18, "Link": 5, "OpenDecision": 13,
    "Past": 7, "Person": 56, "Reward": 5, "Row": 6, "ScoreState": 4, "Share": 4, "StepState": 7, "Switch": 5, "Visitor": 7,
}  # fmt: skip
"""The numbers of fields of all structs in snapshots, at layout 2."""


def test_a_field_that_is_appended_to_a_snapshot_raises_the_layout() -> None:
    """Else an older release would read the snapshot and drop the field. After the change raise ``SNAPSHOT_LAYOUT``, and mend both here."""
    structs = [each for each in _structs(msgspec.Struct) if each.__struct_config__.array_like or each is Event]
    found = {each.__name__: len(each.__struct_fields__) for each in structs}
    assert ({name: number for name, number in found.items() if not name.startswith("_")}, SNAPSHOT_LAYOUT) == (FIELDS, 2)


def _structs(base: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for each in base.__subclasses__():
        if each.__module__.startswith("state."):
            yield each
        yield from _structs(each)


def test_a_release_refuses_the_snapshots_of_a_newer_one(tmp_path: Path) -> None:
    directory = DataDir.create(tmp_path / "data")
    directory.bind_layout()
    assert directory.read_run() == {"layout": SNAPSHOT_LAYOUT}
    settings = load_settings(data_dir=directory.path, redis_url="redis://127.0.0.1:1", clickhouse_url="http://127.0.0.1:1")
    with open_engines(settings, "a test"):
        pass
    directory.write_run({"layout": SNAPSHOT_LAYOUT + 1})
    newer = f"this release reads {SNAPSHOT_LAYOUT}; it was made by a newer release: upgrade"
    with pytest.raises(DataDirError, match=newer), open_engines(settings, "a test"):
        pass
    with pytest.raises(DataDirError, match="upgrade"):
        directory.bind_layout()
