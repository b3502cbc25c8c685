"""Small files of a data directory that hold something else: a cut, a full disk, another program. Each reader knows, or says it.

A sentence is an exception of this project that names the file. Anything else would reach the user as a bug.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.support.demo_dir import demo_catalog
from flows.dead_letters import in_file
from flows.failures import explain_failure
from flows.send_switch import written_for_files
from flows.settings import load_settings
from gateway.keys import KeyStore
from local.audit_log import AuditLog
from local.clickhouse import EmbeddedClickHouse
from local.data_dir import DataDir, DataDirError
from local.secret import DEVELOPMENT_SECRET, agrees, secret_for, secret_of_job
from local.valkey import published_url
from sources.archive.archive import Archive, Forgotten
from sources.files.sent_file import read_sent
from sources.local_log.reader import LogReader

GIVEN = "a secret for the tests of files"
DAMAGE = {
    "empty": b"",
    "blank": b"\n",
    "no-text": b"\xff\xfe\x00\x80",
    "cut": b'{"keys": [{"id": "k1", "kind',
    "not-an-object": b"[1]",
    "no-text-inside": b'{"format": 1, "log": "\xff", "id": "", "keys": [{"id": "\xff"}], "catalog": "\xff"}',
    "a-line": b"nonsense\n",
}
Reader = Callable[[DataDir], object]


def locked(data_dir: DataDir) -> None:
    with data_dir.lock("test"):
        pass


READERS: dict[str, list[Reader]] = {
    "FORMAT": [lambda data: DataDir.open(data.path), lambda data: DataDir.create(data.path)],
    "job.lock": [lambda data: data.describe_owner(), lambda data: data.is_running(), locked],
    "run.json": [lambda data: data.read_run(), lambda data: data.was_used, lambda data: data.check_input("files")],
    "secret.check": [
        lambda data: secret_for(data, given=GIVEN, embedded=False),
        lambda data: secret_for(data, given=None, embedded=False),
        lambda data: secret_for(data, given=None, embedded=True),
        lambda data: agrees(data, DEVELOPMENT_SECRET),
    ],
    "secret.key": [lambda data: secret_for(data, given=None, embedded=False), lambda data: secret_of_job(data, given=None, embedded=False)],
    "keys.json": [lambda data: KeyStore(data.keys).all_keys(), lambda data: KeyStore(data.keys).create("server")],
    "audit.jsonl": [
        lambda data: AuditLog(data.audit, lambda: 0).entries(),
        lambda data: AuditLog(data.audit, lambda: 0).faults(),
        lambda data: AuditLog(data.audit, lambda: 0).append("test", by="me"),
    ],
    "guidance.jsonl": [lambda data: written_for_files(load_settings(data_dir=data.path), "default")],
    "sent.jsonl": [lambda data: read_sent(data.sent)],
    "dead_letters.jsonl": [lambda data: list(in_file(data.dead_letters))],
    "demo.json": [lambda data: demo_catalog(data.path)],
    "valkey/address.json": [lambda data: published_url(data.valkey)],
    "clickhouse/server/address.json": [lambda data: EmbeddedClickHouse(data.clickhouse)._published_url()],
    "archive/archive.json": [lambda data: Archive(data.archive).log, lambda data: Archive(data.archive).bind("event-log", "an id")],
    "archive/forgotten.json": [lambda data: Archive(data.archive).waiting()],
    "log/events.db": [lambda data: LogReader(data.event_log).close()],
}


def sentence_of(reader: Reader, data_dir: DataDir) -> str:
    """What a command would say; empty where the reader took the file for nothing. Raises what is a bug."""
    try:
        reader(data_dir)
    except Exception as error:
        if (said := explain_failure(error)) is None or isinstance(error, OSError):
            raise
        return " ".join(said)
    return ""


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_as_nothing_or_is_a_sentence_that_names_it(tmp_path: Path, name: str, damage: str) -> None:
    for number, reader in enumerate(READERS[name]):
        data_dir = DataDir.create(tmp_path / str(number))
        path = data_dir.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(DAMAGE[damage])
        said = sentence_of(reader, data_dir)
        assert not said or path.name in said or str(path.parent) in said or str(data_dir.path) in said


@pytest.mark.parametrize("damage", [name for name in DAMAGE if name != "a-line"])
def test_a_damaged_digest_of_the_secret_is_not_called_another_secret(tmp_path: Path, damage: str) -> None:
    """Who reads that looks for another secret, which there is not."""
    data_dir = DataDir.create(tmp_path)
    secret_for(data_dir, given=GIVEN, embedded=False)
    data_dir.secret_check.write_bytes(DAMAGE[damage])
    with pytest.raises(DataDirError, match=r"secret\.check is damaged.*Restore it from a backup") as raised:
        secret_for(data_dir, given=GIVEN, embedded=False)
    assert "another ONRAMP_SECRET" not in str(raised.value)
    data_dir.secret_check.unlink()
    assert secret_for(data_dir, given=GIVEN, embedded=False) == GIVEN.encode()
    assert agrees(data_dir, GIVEN.encode()) is True


def test_a_running_gateway_keeps_its_keys_when_their_file_is_no_text_any_more(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys.json", reload_seconds=0)
    _, text = store.create("server")
    (tmp_path / "keys.json").write_bytes(DAMAGE["no-text-inside"])
    assert store.ring().find(text) is not None


def test_an_archive_that_forgets_is_read(tmp_path: Path) -> None:
    """The name of its file above is the right one."""
    archive = Archive(tmp_path / "archive")
    archive.bind("event-log", "an id")
    archive.wait_for(Forgotten("default", ("ann",), 1))
    assert (tmp_path / "archive" / "forgotten.json").is_file()
