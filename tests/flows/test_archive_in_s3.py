"""An archive in S3 by the settings: it is written, measured, checked, replayed, exported and forgotten from like one in a directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.app import invoke
from flows import forget
from flows.archive import archive_dir, check_archive, run_archive
from flows.backup import _not_included
from flows.lag import measure_archive_lag
from flows.places.archive import ArchiveFiles
from flows.replay import Input, rebuild
from flows.settings import SettingsError, load_settings
from local.data_dir import DataDir
from sources.local_log.log import EventLog, Record
from sources.s3.location import Location
from state.duration import HOUR
from state.ids import Keys
from state.messages import Message
from state.records.subject import Subject
from tests.support.s3 import SECRET, S3Server, point_to, s3_server
from tests.support.stories import Log

KEYS = Keys(b"a secret for tests")
ANN = Subject("default", ("ann",))
PLACE = "s3://company-archive/onramp"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with s3_server() as server:
        point_to(server, monkeypatch)
        server.bucket("company-archive").close()
        yield server


def append(log: Path) -> None:
    sent = Log()
    for number, user in enumerate(("ann", "ben", "ann", "ben")):
        sent.send(number * HOUR, user, "page_view" if number > 1 else "signup")
    with EventLog(log, partitions=1, retention=None) as writer:
        writer.append([Record(each.key or b"", each.value) for each in sent.items if isinstance(each, Message)])


def test_every_command_that_reads_an_archive_reads_one_in_s3(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    append(tmp_path / "log")
    for name, value in {"EVENT_LOG": tmp_path / "log", "ARCHIVE_DIR": PLACE, "CATALOG": "saas", "DATA_DIR": data_dir.path}.items():
        monkeypatch.setenv(f"ONRAMP_{name}", str(value))
    monkeypatch.setenv("ONRAMP_SECRET", "a secret for tests")
    settings = load_settings()
    assert archive_dir(settings) == Location("company-archive", "onramp")
    assert (run_archive(settings, lambda: False, once=True).messages, run_archive(settings, lambda: False, once=True).messages) == (4, 0)
    behind = measure_archive_lag(settings)
    assert behind is not None
    assert (behind.where, [each.messages for each in behind.backlogs]) == (f"the archive {PLACE}", [0])
    (checked,) = check_archive(settings)
    assert (checked.files, checked.messages, checked.forgotten, checked.gaps, checked.damaged) == (1, 4, 0, [], [])
    assert checked.bytes > 0
    given = Input(archive=Location("company-archive", "onramp"))
    assert rebuild(settings, KEYS, "default", "ann", given).messages == 2
    monkeypatch.setattr(forget, "redis_for_reader", lambda *_: _Address())
    with forget.open_stores(settings) as stores:
        (place,) = (each for each in stores.places if isinstance(each, ArchiveFiles))
        assert [each["offset"] for each in place.held(ANN)] == [0, 2]
        place.erase(ANN)
        (line,) = forget.verify(forget.Stores(settings, data_dir, KEYS, (place,), "", None), ANN)
        assert line["held"] == 0
    assert check_archive(settings)[0].forgotten == 2
    assert f"The archive {PLACE}: it stays where it is." in _not_included(settings)
    assert invoke(["archive", "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["archive"] == PLACE
    assert invoke(["replay", "--user", "ben", "--archive", PLACE, "--json"]) in {0, 1}
    assert json.loads(capsys.readouterr().out)["messages"] == 2
    assert not (tmp_path / "data" / "archive").exists()
    assert not list(tmp_path.rglob("s3:*"))


@pytest.mark.parametrize("text", ["s3://", "s3://UPPER/x", f"s3://key:{SECRET}@bucket/x", "S3://a/b", "s3:/bucket/x"])
def test_what_is_no_address_is_refused_and_no_directory_is_made_of_it(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONRAMP_ARCHIVE_DIR", text)
    with pytest.raises(SettingsError, match=r"ONRAMP_ARCHIVE_DIR cannot be used: .*(S3|s3://BUCKET)") as caught:
        load_settings()
    assert SECRET not in str(caught.value)
    assert invoke(["replay", "--user", "ben", "--archive", text]) in {1, 2}
    assert not list(tmp_path.iterdir())


def test_a_path_stays_a_path(tmp_path: Path) -> None:
    for given in (tmp_path / "s3", str(tmp_path / "s3")):
        assert load_settings(archive_dir=given).archive_dir == tmp_path / "s3"


class _Address:
    def __enter__(self) -> str:
        return "redis://127.0.0.1:1/0"

    def __exit__(self, *_: Any) -> None:
        pass
