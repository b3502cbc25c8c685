"""Commands in a shell without the settings of the job: they say which one is missing, and do nothing."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.restore import _settings
from cli.support.demo_dir import for_reading
from cli.support.live_job import settings_of_job
from cli.up import _show
from flows.bound_input import check_log, note_log
from flows.doctor.local_checks import check_data_dir
from flows.settings import load_settings
from gateway.keys import KeyStore
from local.data_dir import DataDir
from local.secret import secret_for
from sources.local_log.backlog import id_of
from sources.local_log.log import EventLog, Record
from sources.local_log.source import NAME
from state.catalog.by_tenant import ByTenant
from system.wall_clock import wall_clock
from tests.cli.command import environment
from tests.cli.conftest import Inside
from tests.support.recovery_files import RecoveryFiles
from tests.support.waiting import PATIENCE


@pytest.mark.parametrize(
    "arguments", [("forget", "u-1", "--yes"), ("forget", "u-1", "--check"), ("export", "u-1"), ("dlq", "replay", "--yes")]
)
def test_what_is_about_a_user_of_a_live_job_needs_the_setting_of_its_input(
    tmp_path: Path, inside: Inside, arguments: tuple[str, ...]
) -> None:
    directory = DataDir.create(tmp_path / "jd")
    directory.bind_input("the event log")
    secret_for(directory, given=None, embedded=False)
    refused = inside(*arguments, "--data-dir", "jd", cwd=tmp_path)
    assert (refused.code, refused.out) == (1, "")
    assert "reads the event log, and ONRAMP_EVENT_LOG is not set here" in refused.err
    assert not (tmp_path / "jd" / "sent.jsonl").exists()


def test_up_refuses_the_directory_of_a_run_on_a_file_before_any_part_starts(tmp_path: Path, inside: Inside) -> None:
    directory = DataDir.create(tmp_path / "data")
    directory.bind_input("files")
    refused = inside("up", "--data-dir", "data", cwd=tmp_path)
    assert refused.code == 1
    assert "data holds runs on files; a live job needs a directory of its own (docs/integrations.md)" in refused.err
    assert not directory.process_logs.exists()


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write everything")
def test_up_names_the_directory_that_it_may_not_write(tmp_path: Path) -> None:
    directory = DataDir.create(tmp_path / "data")
    directory.path.chmod(0o500)
    without_rights = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*without_rights, sys.executable, "-m", "cli", "up", "--data-dir", "data"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    directory.path.chmod(0o700)
    assert done.returncode == 1
    assert "The data directory data cannot be written: make it and its file system writable; nothing is lost." in done.stderr


def test_settings_show_what_commands_take_from_the_directory_of_a_job(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = DataDir.create(tmp_path / "data")
    directory.bind_catalogs(ByTenant("recipes"), name="recipes")
    EventLog(directory.event_log, retention=None).close()
    shown = inside("settings", "--data-dir", "data", "--json", cwd=tmp_path).json
    assert (shown["ONRAMP_CATALOG"]["value"], shown["ONRAMP_CATALOG"]["origin"]) == ("recipes", "data directory")
    assert (shown["ONRAMP_EVENT_LOG"]["value"], shown["ONRAMP_EVENT_LOG"]["origin"]) == ("data/log", "data directory")
    assert "ONRAMP_CATALOG = recipes  (from the data directory)" in inside("settings", "--data-dir", "data", cwd=tmp_path).out
    monkeypatch.setenv("ONRAMP_CATALOG", "saas")
    shown = inside("settings", "--data-dir", "data", "--json", cwd=tmp_path).json
    assert (shown["ONRAMP_CATALOG"]["value"], shown["ONRAMP_CATALOG"]["origin"]) == ("saas", "environment")


def test_without_a_terminal_the_missing_option_is_named_and_no_value_is_called_wrong(tmp_path: Path, inside: Inside) -> None:
    DataDir.create(tmp_path / ".onramp")
    refused = inside("forget", "u-1", cwd=tmp_path)
    assert (refused.code, refused.out) == (2, "")
    assert "forget: there is no terminal to confirm it at; give --yes to go on without a question (see" in refused.err


# `onramp up` with an event log or a topic that is set: its data is in .onramp/live, and no log is there


def up_job(cwd: Path, reads: str = "the event log") -> DataDir:
    """What the job leaves in the default data directory, without a recovery store."""
    DataDir.create(cwd / ".onramp")
    directory = DataDir.create(cwd / ".onramp" / "live")
    directory.bind_input(reads)
    secret_for(directory, given=None, embedded=False)
    return directory


def has_read_all_but_one(directory: DataDir, log: Path) -> None:
    """Let the job have read two of three messages of its log, which is made."""
    with EventLog(log, partitions=1, retention=None) as made:
        made.append([Record(b"u", b"x")] * 3)
    store, now = RecoveryFiles(directory.state, 1), wall_clock()
    snapshot = pickle.dumps((1, 2, now, 4, now, id_of(log)))
    store.parts[0].execute(
        "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES ('onboarding.messages', ?, 1, ?)", [f"{NAME}:0", snapshot]
    )
    store.close()


def test_with_the_log_of_the_job_set_commands_use_the_directory_of_onramp_up(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = up_job(tmp_path)
    has_read_all_but_one(directory, tmp_path / "log")
    monkeypatch.setenv("ONRAMP_EVENT_LOG", "log")
    assert inside("lag", "--json", cwd=tmp_path).json["messages"] == 1
    backup = inside("backup", "--out", "b.tar", "--json", cwd=tmp_path).json
    assert (backup["input"], backup["messages"]) == ("the event log", 3)
    assert str(for_reading(load_settings()).data_dir) == ".onramp/live", "what `report` reads"
    shutil.rmtree(directory.state)  # so that the next commands need no ClickHouse
    paused = inside("guidance", "pause", "--json", cwd=tmp_path).json
    assert (paused["sentTo"], paused["live"]) == ("the event log log", True)
    assert [each["id"] for each in inside("guidance", "status", "--json", cwd=tmp_path).json["waiting"]] == [paused["id"]]
    exported = inside("export", "u-1", cwd=tmp_path)
    assert "The key of recommendation ids is not known" not in exported.err
    checked = inside("forget", "u-1", "--check", "--json", cwd=tmp_path)
    assert "The key of recommendation ids is not known" not in checked.err
    assert directory.audit.exists()
    assert not (tmp_path / ".onramp" / "audit.jsonl").exists()


@pytest.mark.parametrize(("reads", "variable"), [("the event log", "ONRAMP_EVENT_LOG"), ("the topic acts", "ONRAMP_KAFKA_BROKERS")])
@pytest.mark.parametrize("arguments", [("guidance", "pause"), ("guidance", "status"), ("forget", "u-1", "--yes"), ("export", "u-1")])
def test_without_the_input_of_the_job_nothing_is_sent_beside_onramp_up(
    tmp_path: Path, inside: Inside, reads: str, variable: str, arguments: tuple[str, ...]
) -> None:
    up_job(tmp_path, reads)
    refused = inside(*arguments, cwd=tmp_path)
    assert (refused.code, refused.out) == (1, "")
    assert f".onramp/live belongs to a live job, which reads {reads}, and {variable} is not set here" in " ".join(refused.err.split())
    assert not list(tmp_path.glob(".onramp/**/*.jsonl")), "nothing was written"


def test_without_the_log_of_the_job_there_is_no_backup_of_it_and_no_lag(tmp_path: Path, inside: Inside) -> None:
    has_read_all_but_one(up_job(tmp_path), tmp_path / "log")
    refused = inside("backup", "--out", "b.tar", cwd=tmp_path)
    assert refused.code == 1
    assert "reads the event log, and ONRAMP_EVENT_LOG is not set here, so the backup would not fit the job" in refused.err
    assert not (tmp_path / "b.tar").exists()
    assert "there is no input to be behind" in inside("lag", cwd=tmp_path).err


def test_a_pause_for_another_topic_than_that_of_onramp_up_is_refused(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    up_job(tmp_path, "the topic acts")
    monkeypatch.setenv("ONRAMP_KAFKA_BROKERS", "127.0.0.1:1")
    refused = inside("guidance", "pause", cwd=tmp_path)
    assert refused.code == 1
    assert ".onramp/live belongs to a live job, which reads the topic acts, and the settings here name the topic" in refused.err


def test_a_pause_is_refused_while_the_own_log_of_onramp_up_is_moved_away(tmp_path: Path, inside: Inside) -> None:
    directory = up_job(tmp_path)
    EventLog(directory.event_log, retention=None).close()
    directory.event_log.rename(tmp_path / "moved")
    refused = inside("guidance", "pause", cwd=tmp_path)
    assert refused.code == 1
    assert "ONRAMP_EVENT_LOG is not set here" in refused.err
    assert not list(tmp_path.glob(".onramp/**/guidance.jsonl"))


def test_damaged_notes_do_not_send_a_pause_elsewhere(tmp_path: Path, inside: Inside) -> None:
    directory = up_job(tmp_path)
    (directory.path / "run.json").write_text("{")
    refused = inside("guidance", "pause", cwd=tmp_path)
    assert refused.code == 1
    assert "run.json is damaged" in refused.err
    EventLog(directory.event_log, retention=None).close()
    paused = inside("guidance", "pause", "--json", cwd=tmp_path)
    assert paused.json["sentTo"] == "the event log .onramp/live/log"
    assert paused.err.count("run.json is damaged") == 1


def test_a_directory_that_was_named_or_has_a_job_of_its_own_is_not_left_for_that_of_onramp_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = up_job(tmp_path)
    for event_log in (None, tmp_path / "log"):
        assert settings_of_job(load_settings(event_log=event_log)).data_dir == Path(".onramp/live")
        assert settings_of_job(load_settings(event_log=event_log, data_dir=Path(".onramp"))).data_dir == Path(".onramp"), "it was named"
    EventLog(directory.event_log, retention=None).close()
    assert settings_of_job(load_settings(event_log=tmp_path / "log")).data_dir == Path(".onramp"), "the job has another log, its own"
    assert settings_of_job(load_settings(event_log=directory.event_log)).data_dir == Path(".onramp/live")
    DataDir(Path(".onramp")).bind_input("the event log")
    for event_log in (None, tmp_path / "log"):
        assert settings_of_job(load_settings(event_log=event_log)).data_dir == Path(".onramp"), "a job has run there"


def test_keys_are_those_of_onramp_up(tmp_path: Path, inside: Inside) -> None:
    directory = up_job(tmp_path)
    EventLog(directory.event_log, retention=None).close()
    made = inside("keys", "create", "server", "--json", cwd=tmp_path).json
    assert KeyStore(directory.keys).ring().find(made["key"]) is not None, "the gateway of `onramp up` knows it"
    assert inside("keys", "quota", "acme", "5", cwd=tmp_path).code == 0
    assert inside("keys", "revoke", made["id"], cwd=tmp_path).code == 0
    assert not (tmp_path / ".onramp" / "keys.json").exists()
    assert inside("audit", cwd=tmp_path).out.count("keys.") == 3


def test_commands_that_are_printed_work_for_paths_with_spaces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = DataDir.create(tmp_path / "my data")
    directory.path.chmod(0o755)
    (found,) = [each.advice for each in check_data_dir(load_settings(data_dir=directory.path)) if each.check == "data directory"]
    assert found == f"Run `chmod 700 '{directory.path}'`."
    _show("http://127.0.0.1:8080", None, "127.0.0.1:9464", None, {}, directory)
    assert f"`onramp keys create server --data-dir '{directory.path}'`" in capsys.readouterr().out
    said = _settings(directory.path, {"messages": 1, "files": {"catalog.yaml": {}}})
    assert [each.partition("   ")[0] for each in said] == [
        f"ONRAMP_DATA_DIR='{directory.path}'",
        f"ONRAMP_EVENT_LOG='{directory.path}/log'",
        f"ONRAMP_CATALOG='{directory.path}/catalog.yaml'",
    ]


def job_on_another_log(cwd: Path) -> DataDir:
    """A job of `onramp up` on the log ``cwd/its log``, and one in its directory, which a gateway has made by mistake."""
    directory = up_job(cwd)
    has_read_all_but_one(directory, cwd / "its log")
    note_log(directory, cwd / "its log", accept_gap=False)
    EventLog(directory.event_log, retention=None).close()
    return directory


def test_up_refuses_another_log_than_that_of_the_job_before_any_part_starts(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = job_on_another_log(tmp_path)
    for named in ("", "other"):
        if named:
            monkeypatch.setenv("ONRAMP_EVENT_LOG", named)
        refused = inside("up", cwd=tmp_path)
        assert refused.code == 1
        said = " ".join(refused.err.split())
        assert f"was written from the event log {tmp_path / 'its log'}, this run reads {named or '.onramp/live/log'}" in said
    assert not directory.process_logs.exists()


def test_a_log_in_the_directory_that_the_job_does_not_read_is_not_taken_for_its_log(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_on_another_log(tmp_path)
    for arguments in (("guidance", "pause"), ("guidance", "status"), ("backup", "--out", "b.tar"), ("forget", "u-1", "--yes")):
        refused = inside(*arguments, cwd=tmp_path)
        assert (refused.code, refused.out) == (1, "")
        assert f"reads the event log {tmp_path / 'its log'}, and ONRAMP_EVENT_LOG is not set here" in " ".join(refused.err.split())
    monkeypatch.setenv("ONRAMP_EVENT_LOG", "its log")
    paused = inside("guidance", "pause", "--json", cwd=tmp_path).json
    assert (paused["sentTo"], paused["live"]) == ("the event log its log", True)
    assert inside("lag", "--json", cwd=tmp_path).json["messages"] > 0
    monkeypatch.setenv("ONRAMP_DATA_DIR", ".onramp/live")
    monkeypatch.setenv("ONRAMP_EVENT_LOG", ".onramp/live/log")
    refused = inside("guidance", "pause", cwd=tmp_path)
    assert refused.code == 1
    assert "and the settings here name .onramp/live/log" in " ".join(refused.err.split())


def test_a_log_that_was_moved_is_still_that_of_the_job(tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = job_on_another_log(tmp_path)
    (tmp_path / "its log").rename(tmp_path / "moved")
    monkeypatch.setenv("ONRAMP_EVENT_LOG", "moved")
    assert inside("guidance", "pause", "--json", cwd=tmp_path).json["sentTo"] == "the event log moved"
    check_log(directory, tmp_path / "moved")
    note_log(directory, tmp_path / "moved", accept_gap=False)
    assert directory.noted_log == (tmp_path / "moved", id_of(tmp_path / "moved"))


def test_a_note_outlasts_a_start_on_another_log_that_the_job_refuses(tmp_path: Path) -> None:
    directory = job_on_another_log(tmp_path)
    for accept_gap, noted in ((False, tmp_path / "its log"), (True, directory.event_log)):
        note_log(directory, directory.event_log, accept_gap=accept_gap)
        assert directory.noted_log == (noted, id_of(noted))


@pytest.mark.parametrize("server", ["redis_url", "clickhouse_url"])
def test_commands_that_read_find_the_job_of_onramp_up_with_its_servers_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.chdir(tmp_path)
    demo = DataDir.create(DataDir.create(Path(".onramp")).path / "demo").path
    (demo / "demo.json").write_text("{}")
    servers = load_settings(**{server: "http://127.0.0.1:1" if server == "clickhouse_url" else "redis://127.0.0.1:1"})
    assert for_reading(servers).data_dir == Path(".onramp"), "a demo has no servers"
    directory = up_job(tmp_path)
    os.utime(directory.path / "run.json", (1, 1))  # the demo was started later
    found = for_reading(servers)
    assert (found.data_dir, found.redis_url, found.clickhouse_url) == (Path(".onramp/live"), servers.redis_url, servers.clickhouse_url)
    assert for_reading(load_settings()).data_dir == Path(".onramp/demo")


def test_replay_names_the_input_that_is_not_set_and_not_a_secret(tmp_path: Path, inside: Inside) -> None:
    has_read_all_but_one(up_job(tmp_path), tmp_path / "log")
    for arguments in (("--user", "u-1"), ("--into", "out", "--from", "24h")):
        refused = inside("replay", *arguments, cwd=tmp_path)
        assert (refused.code, refused.out) == (1, "")
        assert "ONRAMP_EVENT_LOG is not set here" in " ".join(refused.err.split())
    assert not (tmp_path / "out").exists()


def test_notes_that_cannot_be_read_fail_one_check_and_hide_none(tmp_path: Path, inside: Inside) -> None:
    (DataDir.create(tmp_path / ".onramp").path / "run.json").mkdir()  # like a file without the right to read it
    checked = inside("doctor", "--json", cwd=tmp_path)
    assert checked.code == 1
    (found,) = [each for each in checked.json["checks"] if each["check"] == "input"]
    assert found["status"] == "fail"
    assert ".onramp/run.json cannot be read: Is a directory" in found["says"]
    assert inside("settings", "--json", cwd=tmp_path).code == 0
