"""Backups as objects in S3: sent once they are finished and were read again, restored as they come, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.app import invoke
from flows.backup import Watch, back_up_to_s3, restore_from_s3
from flows.settings import Settings, load_settings
from local.backup_file import BackupError
from local.data_dir import DataDir
from sources.errors import ObjectStoreError
from sources.local_log.log import EventLog, Record
from sources.s3.bucket import Bucket
from sources.s3.location import Location
from system.file_lock import FileLock
from tests.support.s3 import SECRET, Fault, S3Server, point_to, s3_server

AT = Location("backups", "here/b.tar.gz")


@pytest.fixture(scope="module")
def running_server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def server(running_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    point_to(running_server, monkeypatch)
    yield running_server
    running_server.faults.clear()


@pytest.fixture
def bucket(server: S3Server) -> Iterator[Bucket]:
    bucket = server.bucket(AT.bucket)
    for each in list(bucket.list("")):
        bucket.remove(each.key)
    yield bucket
    bucket.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    data_dir = DataDir.create(tmp_path / "data")
    with EventLog(data_dir.event_log, partitions=1, retention=None) as writer:
        writer.append([Record(b"u", b"{}")])
    return load_settings(data_dir=data_dir.path)


def test_a_backup_in_s3_becomes_the_same_directory_elsewhere(bucket: Bucket, settings: Settings, tmp_path: Path) -> None:
    stages: list[str] = []
    (DataDir(settings.data_dir).unsent_backup / ".b.staging").mkdir(parents=True)  # of a backup that was killed
    manifest, size = back_up_to_s3(settings, AT, Watch(on_stage=stages.append))
    assert [(each.key, each.size) for each in bucket.list("")] == [(AT.key, size)]
    assert stages[-2:] == ["reading the backup again", f"sending 0 MB to {AT}"]
    assert not DataDir(settings.data_dir).unsent_backup.exists()
    restored: list[int] = []
    assert restore_from_s3(AT, tmp_path / "there", Watch(on_bytes=restored.append)) == manifest
    assert sum(restored) == sum(file["size"] for file in manifest["files"].values())
    for name in manifest["files"]:
        assert (tmp_path / "there" / name).exists(), name
    with pytest.raises(ObjectStoreError, match="exists already"):
        back_up_to_s3(settings, AT, Watch())


def test_nothing_is_sent_of_a_backup_that_cannot_be_read_again(bucket: Bucket, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(name: str) -> None:
        if name == "reading the backup again":
            file = next(DataDir(settings.data_dir).unsent_backup.iterdir())
            file.write_bytes(file.read_bytes()[:-100])

    with pytest.raises(BackupError, match="damaged"):
        back_up_to_s3(settings, AT, Watch(on_stage=damage))
    assert list(bucket.list("")) == []
    assert "Uploads" not in bucket.request("list_multipart_uploads")
    assert not DataDir(settings.data_dir).unsent_backup.exists()


def test_a_bucket_that_cannot_be_used_is_known_before_the_backup_begins(server: S3Server, settings: Settings) -> None:
    stages: list[str] = []
    with pytest.raises(ObjectStoreError, match="There is no bucket"):
        back_up_to_s3(settings, Location("no-such-bucket", "b"), Watch(on_stage=stages.append))
    assert stages == []


def test_while_a_backup_is_sent_no_other_is_made(bucket: Bucket, settings: Settings) -> None:
    lock = FileLock(settings.data_dir / "backup.lock")
    asked: list[bool] = []
    back_up_to_s3(settings, AT, Watch(on_stage=lambda _name: asked.append(lock.acquire("", 0))))
    assert asked
    assert not any(asked)


def test_a_restore_goes_on_after_a_cut_and_of_a_damaged_object_leaves_nothing(
    server: S3Server, bucket: Bucket, settings: Settings, tmp_path: Path
) -> None:
    back_up_to_s3(settings, AT, Watch())
    server.faults.append(Fault(lambda method, where: method == "GET" and where.endswith(AT.key), "cut", times=2))
    restore_from_s3(AT, tmp_path / "there", Watch())
    assert server.faults[0].times == 0
    data, _ = bucket.get(AT.key)
    bucket.put("half.tar.gz", data[: len(data) // 2])
    with pytest.raises(BackupError, match=f"s3://{AT.bucket}/half.tar.gz .*damaged"):
        restore_from_s3(Location(AT.bucket, "half.tar.gz"), tmp_path / "other", Watch())
    assert not list((tmp_path / "other").iterdir())


def command(*arguments: object) -> int:
    return invoke([str(each) for each in arguments])


def test_the_commands_take_addresses_in_s3(
    bucket: Bucket, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("backup", "--data-dir", settings.data_dir, "--out", f"s3://{AT.bucket}/place/", "--json", "--by", "me") == 0
    made = json.loads(capsys.readouterr().out)
    (stored,) = bucket.list("")
    assert (made["file"], made["bytes"]) == (f"s3://{AT.bucket}/{stored.key}", stored.size)
    assert stored.key.startswith("place/onramp-backup-")
    assert command("restore", made["file"], "--into", tmp_path / "there", "--json", "--by", "me") == 0
    assert json.loads(capsys.readouterr().out)["takenAt"] == made["takenAt"]
    audited = [json.loads(line) for line in DataDir(tmp_path / "there").audit.read_text().splitlines()]
    assert [(line["action"], line["file"]) for line in audited] == [("backup", made["file"]), ("restore", made["file"])]
    for wrong in ("s3://", f"s3://key:{SECRET}@bucket/x", "s3://abc//x"):
        assert command("backup", "--data-dir", settings.data_dir, "--out", wrong) == 2
        assert command("restore", wrong, "--into", tmp_path / "other") == 2
    assert command("restore", f"s3://{AT.bucket}/place/", "--into", tmp_path / "other") == 2
    assert command("restore", f"s3://{AT.bucket}/nothing", "--into", tmp_path / "other") == 1
    said = capsys.readouterr()
    assert "There is no object s3://backups/nothing" in said.err
    assert SECRET not in said.out + said.err
    assert not (tmp_path / "s3:").exists()
