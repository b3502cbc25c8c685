"""What the archive holds about a user is found, and is gone when it is erased; offsets, and messages of others, stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows import forget
from flows.archive import Archiver, RollRules
from flows.forget import Stores, verify
from flows.places.archive import ArchiveFiles
from flows.places.ids_in_bytes import as_words
from flows.settings import load_settings
from local.data_dir import DataDir
from sources.archive.archive import SKEW_MS, Archive, Forgotten
from sources.archive.names import ArchiveFile
from sources.archive.rows import is_forgotten, rows_of
from sources.errors import SourceError
from sources.kafka.schema_registry import SchemaRegistry
from sources.raw_log import RawRow
from state.ids import Keys
from state.records.subject import Deletion, Subject
from tests.flows.places_cases import ANN, HEADERS, MESSAGES, OF_ANN, WITH_CONTENT, bare, event
from tests.support.raw_logs import START, MemoryLog
from tests.support.schema_registry import framed
from tests.support.waiting import ends_within

ROWS = [RawRow(offset, START + offset, b"", value) for offset, value in enumerate(MESSAGES)]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    found = Archive(DataDir.create(tmp_path / "d").archive)
    found.bind("topic", "")
    found.write(ArchiveFile("2026-01-05", 0, 0, 6), ROWS)
    return found


def place(archive: Archive, *, log_keeps: bool = False) -> ArchiveFiles:
    return ArchiveFiles(archive, lambda: START + 60_000, log_keeps=log_keeps, wait_s=0.0)


def rows(archive: Archive) -> list[RawRow]:
    return [row for file in archive.files() for row in rows_of(archive.read(file))]


def test_the_messages_are_found_and_erased_and_the_deletion_stays(archive: Archive) -> None:
    found = place(archive)
    assert [each["offset"] for each in found.held(ANN)] == list(OF_ANN)
    assert json.loads(found.held(ANN)[0]["raw"])["userId"] == "ann-who-leaves"
    found.erase(ANN)
    assert found.held(ANN) == []
    after = rows(archive)
    assert [row.offset for row in after if is_forgotten(row)] == list(OF_ANN)
    assert [row for row in after if not is_forgotten(row)] == [row for row in ROWS if row.offset not in OF_ANN]


@pytest.mark.parametrize(
    "value",
    [
        b'{"userId": "ann-\\u0077ho-leaves", "eventType": "x"}',
        event("ben", "identity_merged", previousId="cookie-of-ann"),
        b'{"userId": "ann-who-leaves", "broken',
        b'\xef\xbb\xbf{"userId": "ann-who-leaves", "eventType": "x"}',
    ],
)
def test_however_the_id_is_written_the_quick_look_finds_it(archive: Archive, value: bytes) -> None:
    archive.write(ArchiveFile("2026-01-05", 1, 0, 0), [RawRow(0, START, None, value)])
    assert {"partition": 1, "offset": 0}.items() <= place(archive).held(ANN)[-1].items()


def test_an_id_with_odd_characters_is_found_too(archive: Archive) -> None:
    zoe = Subject("default", ("zo\ufffd", "zoë"))
    values = [b'{"userId": "zo\\ud800", "eventType": "x"}', '{"userId": "zoë", "eventType": "x"}'.encode(), b'{"userId":"zo\xff"}']
    archive.write(ArchiveFile("2026-01-05", 1, 0, 2), [RawRow(at, START, None, value) for at, value in enumerate(values)])
    assert [each["offset"] for each in place(archive).held(zoe)][:2] == [0, 1]


class Framed:
    """A registry whose schema is hexadecimal digits."""

    def decode_patiently(self, value: bytes) -> bytes:
        return bytes.fromhex(value[1:].decode())


def test_without_the_schema_registry_a_command_says_so(archive: Archive) -> None:
    """Whom a message concerns is not known then, so nothing may count as erased."""
    archive.write(ArchiveFile("2026-01-05", 1, 0, 0), [RawRow(0, START, None, framed(7, MESSAGES[0]))])
    away = SchemaRegistry("http://127.0.0.1:1", patience_s=0.0)
    found = ArchiveFiles(archive, lambda: START, log_keeps=False, registry=away, wait_s=0.0)
    for work in (found.held, found.erase):
        with pytest.raises(SourceError, match="ONRAMP_SCHEMA_REGISTRY_URL"):
            work(ANN)


def test_a_message_with_the_framing_of_a_schema_registry_is_decoded_first(archive: Archive) -> None:
    hexadecimal = b"\x00" + event("ann-who-leaves").hex().encode()
    archive.write(ArchiveFile("2026-01-05", 1, 0, 0), [RawRow(0, START, None, hexadecimal)])
    registry: Any = Framed()
    found = ArchiveFiles(archive, lambda: START, log_keeps=False, registry=registry, wait_s=0.0)
    assert found.held(ANN)[-1]["partition"] == 1
    found.erase(ANN)
    assert found.held(ANN) == []


@pytest.mark.parametrize("framed", [False, True])
def test_of_a_deletion_with_content_only_the_envelope_stays(archive: Archive, *, framed: bool) -> None:
    value = b"\x00" + WITH_CONTENT.hex().encode() if framed else WITH_CONTENT
    archive.write(ArchiveFile("2026-01-05", 1, 0, 0), [RawRow(0, START, b"k", value, HEADERS)])
    registry: Any = Framed()
    found = ArchiveFiles(archive, lambda: START, log_keeps=False, registry=registry, wait_s=0.0)
    assert [each["offset"] for each in found.held(ANN) if each["partition"] == 1] == [0]
    found.erase(ANN)
    assert found.held(ANN) == []
    (row,) = (row for file in archive.files() if file.partition == 1 for row in rows_of(archive.read(file)))
    assert row.value is not None
    assert bare(row.value)
    assert (row.offset, row.time, row.key, row.headers) == (0, START, b"k", HEADERS[1:])


def test_a_deletion_with_content_that_comes_later_is_archived_without_it(archive: Archive) -> None:
    place(archive, log_keeps=True).erase(ANN)
    archive.write(ArchiveFile("2026-01-05", 1, 0, 0), [RawRow(0, START, b"k", WITH_CONTENT, HEADERS)])
    (row,) = (row for file in archive.files() if file.partition == 1 for row in rows_of(archive.read(file)))
    assert row.value is not None
    assert bare(row.value)
    assert row.headers == HEADERS[1:]


def test_a_tombstone_with_the_id_as_its_key_is_about_the_user(archive: Archive) -> None:
    archive.write(ArchiveFile("2026-01-05", 1, 0, 0), [RawRow(0, START, b"ann-who-leaves", None)])
    assert [each["partition"] for each in place(archive).held(ANN)][-1] == 1


def test_what_kafka_still_has_waits_for_the_archive_and_the_receipt_says_so(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    found = place(archive, log_keeps=True)
    found.erase(ANN)
    assert found.held(ANN) == [{"waitsFor": "messages that are not archived yet"}]
    assert place(archive).held(Subject("default", ("ben-who-stays",)))[-1].get("waitsFor") is None
    settings = load_settings(data_dir=Path(archive.place).parent)
    stores = Stores(settings, DataDir(settings.data_dir), Keys(b"x" * 16), (found,), "", None)
    (line,) = verify(stores, ANN)
    assert line["held"] == 1
    assert "onramp archive" in line["note"]
    late = [RawRow(7, START + 1, b"", event("ann-who-leaves", "late")), RawRow(8, START + 2, b"", event("ben-who-stays"))]
    Archiver(archive, MemoryLog({0: [*ROWS, *late]}), RollRules(10**9, 600), stopping=lambda: False, now=lambda: START).run(once=True)
    assert found.held(ANN) == []
    (line,) = verify(stores, ANN)
    assert (line["held"], line["note"]) == (0, f"stays: {found.note}")
    assert [row.offset for row in rows(archive) if is_forgotten(row)] == [*OF_ANN, 7]


def test_with_a_log_that_was_erased_too_nothing_waits(archive: Archive) -> None:
    place(archive).erase(ANN)
    assert archive.waiting() == []
    with archive.appending(), ends_within(10, "the wait for a process that does not answer"):
        place(archive).erase(ANN)
    assert archive.waiting() == [Forgotten("default", ANN.ids, START + 60_000)], "a process may have read what it has not written"


def test_the_search_of_every_byte_knows_what_stays(archive: Archive) -> None:
    found = place(archive)
    found.erase(ANN)
    assert found.hits_that_stay(ANN, as_words(ANN.ids)) >= 2, "the deletion, her namesake of another tenant, and a text"


def test_forget_and_export_use_the_archive_of_the_data_directory(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forget, "redis_for_reader", lambda *_: _Address())
    settings = load_settings(data_dir=Path(archive.place).parent)
    with forget.open_stores(settings) as stores:
        assert [each.name for each in stores.places if isinstance(each, ArchiveFiles)] == ["archive"]
    monkeypatch.setenv("ONRAMP_ARCHIVE_DIR", str(Path(archive.place).parent / "none"))
    with forget.open_stores(load_settings(data_dir=Path(archive.place).parent)) as stores:
        assert not any(isinstance(each, ArchiveFiles) for each in stores.places)


class _Address:
    def __enter__(self) -> str:
        return "redis://127.0.0.1:1/0"

    def __exit__(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("log_keeps", [False, True])
def test_messages_of_a_new_life_stay_in_the_archive_and_are_archived(archive: Archive, log_keeps: bool) -> None:
    found = place(archive, log_keeps=log_keeps)
    deleted = ANN._replace(deleted=Deletion(START, START))
    assert [each["offset"] for each in found.held(deleted)] == [0]
    found.erase(deleted)
    assert found.held(deleted) == ([{"waitsFor": "messages that are not archived yet"}] if log_keeps else [])
    assert [row.offset for row in rows(archive) if is_forgotten(row)] == [0]
    if not log_keeps:
        archive.wait_for(Forgotten("default", ANN.ids, START - SKEW_MS))
        archive.write(ArchiveFile("2026-01-05", 1, 0, 0), [RawRow(0, START + 1, None, event("ann-who-leaves"))])
        assert not any(is_forgotten(row) for row in rows(archive)[-1:])
