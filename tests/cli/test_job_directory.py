"""Commands in a shell without the settings of the job: they say which one is missing, and do nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.data_dir import DataDir
from local.secret import secret_for
from sources.local_log.log import EventLog
from state.catalog.by_tenant import ByTenant
from tests.cli.command import environment
from tests.cli.conftest import Inside
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
