"""The files of the archive: their names say what counts, their contents are the bytes of the log, and a crash leaves whole files only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.archive.archive import Archive, Forgotten
from sources.archive.names import ArchiveFile, Span, parse, resolve
from sources.archive.rows import SCHEMA, decoded, encoded, forgotten, frame_of, is_forgotten, rows_of
from sources.errors import ArchiveError
from sources.log_ids import is_another
from sources.raw_log import RawRow
from sources.s3.location import Location
from state.times import day_of
from tests.support.raw_logs import START, row
from tests.support.s3 import S3Server, point_to, s3_server

DAY = "2026-01-05"
INPUTS = Path(__file__).resolve().parents[1] / "inputs"


def file(first: int, last: int, day: str = DAY) -> ArchiveFile:
    return ArchiveFile(day, 3, first, last)


@pytest.fixture(scope="module")
def running_server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """In a directory."""
    found = Archive(tmp_path / "archive")
    found.bind("topic", "")
    return found


@pytest.fixture(params=["directory", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path | Location:
    """A place for an archive: each kind keeps the same promises."""
    if request.param == "directory":
        return tmp_path / "archive"
    server: S3Server = request.getfixturevalue("running_server")
    point_to(server, monkeypatch)
    name = f"archive-{abs(hash(request.node.name))}"
    server.bucket(name).close()
    return Location(name, "here")


@pytest.fixture
def any_archive(place: Path | Location) -> Archive:
    """In a directory, and in a bucket."""
    found = Archive(place)
    found.bind("topic", "")
    return found


def offsets(archive: Archive) -> list[int]:
    """Every offset as a reader sees it."""
    (chain,) = archive.chains().values()
    return [each.offset for span in chain.spans for each in rows_of(archive.read(span.file)) if each.offset >= span.start]


# ------------------------------------------------------------------------------------------------------------------------- names


def test_a_name_says_day_partition_and_offsets() -> None:
    name = "day=2026-01-05/partition-3/offsets-00000000000000000010-00000000000000000019.parquet"
    assert file(10, 19).name == name
    assert parse(name) == file(10, 19)


@pytest.mark.parametrize(
    "name",
    [
        "day=2026-01-05/partition-3/.offsets-00000000000000000010-00000000000000000019.parquet.7.tmp",
        "day=2026-01-05/partition-3/offsets-00000000000000000019-00000000000000000010.parquet",
        "day=2026-01-05/partition-3/offsets-10-19.parquet",
        "day=2026-01-05/offsets-00000000000000000010-00000000000000000019.parquet",
        "day=2026-01-05/partition-03/offsets-00000000000000000010-00000000000000000019.parquet",
        "day=2026-01-05/partition-٣/offsets-00000000000000000010-00000000000000000019.parquet",
        "day=2026-13-05/partition-3/offsets-00000000000000000010-00000000000000000019.parquet",
        "day=2026-01-05/partition-3/offsets-00000000000000000010-09223372036854775808.parquet",
        "day=2026-01-05/partition-2147483648/offsets-00000000000000000010-00000000000000000019.parquet",
    ],
)
def test_other_files_are_none_of_the_archive_s(name: str) -> None:
    assert parse(name) is None


def test_the_day_is_that_of_utc() -> None:
    assert (day_of(START), day_of(START + 16 * 3_600_000 - 1), day_of(START + 16 * 3_600_000)) == (DAY, DAY, "2026-01-06")


def test_the_file_with_more_offsets_wins_and_a_hole_is_a_gap() -> None:
    chain = resolve([file(0, 9), file(10, 19), file(0, 19), file(15, 24), file(30, 39)])
    assert chain.spans == (Span(file(0, 19), 0), Span(file(15, 24), 20), Span(file(30, 39), 30))
    assert chain.superseded == (file(0, 9), file(10, 19))
    assert chain.gaps == ((25, 29),)
    assert chain.spans[-1].file.next_offset == 40
    assert resolve([]).spans == ()


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 15)), max_size=12))
def test_whatever_the_names_each_offset_counts_once(pairs: list[tuple[int, int]]) -> None:
    files = {file(first, first + more) for first, more in pairs}
    chain = resolve(files)
    counted = [offset for span in chain.spans for offset in range(span.start, span.file.last + 1)]
    assert counted == sorted({offset for each in files for offset in range(each.first, each.last + 1)})
    missing = {offset for first, last in chain.gaps for offset in range(first, last + 1)}
    assert missing == set(range(counted[0], counted[-1] + 1)) - set(counted) if counted else not missing
    assert {span.file for span in chain.spans} | set(chain.superseded) == files


# ---------------------------------------------------------------------------------------------------------------------- contents

RAW = [
    RawRow(7, START, b"ann", b'{"a": "\xc3\xa9"}', (("traceparent", b"00-1"), ("empty", b""), ("none", None))),
    RawRow(9, None, None, b"\x00\xff"),
    RawRow(10, -1, b"", b""),
    RawRow(11, START, b"\xff", None),
]


def test_every_byte_of_the_log_comes_back(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(encoded(frame_of(3, RAW)))
    found = decoded((tmp_path / "x.parquet").read_bytes(), "x.parquet")
    assert list(rows_of(found)) == RAW
    assert found["partition"].to_list() == [3] * len(RAW)
    assert pl.read_parquet_schema(tmp_path / "x.parquet") == dict(SCHEMA)


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.none() | st.binary(max_size=9),
            st.none() | st.binary(max_size=9),
            st.lists(st.tuples(st.text(max_size=4), st.none() | st.binary(max_size=4)), max_size=3),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_the_bytes(contents: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]]) -> None:
    rows = [RawRow(at, START, key, value, tuple(headers)) for at, (key, value, headers) in enumerate(contents)]
    assert list(rows_of(frame_of(0, rows))) == rows


def test_a_forgotten_message_keeps_its_offset_and_a_tombstone_of_kafka_is_none() -> None:
    found = forgotten(RAW[0])
    assert (found.offset, found.time, found.key, found.value) == (7, START, None, None)
    assert is_forgotten(found)
    assert not any(is_forgotten(each) for each in RAW)


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_file_is_named_in_a_sentence(damage: str) -> None:
    data = encoded(frame_of(3, RAW))[:-20] if damage == "cut" else encoded(pl.DataFrame({"a": [1]}))
    with pytest.raises(ArchiveError, match=r"x\.parquet .*restore it from a copy"):
        decoded(data, "x.parquet")


def test_an_archive_of_the_first_format_is_read(tmp_path: Path) -> None:
    """The files stay as they are in the repository: every later version must read them."""
    shutil.copytree(INPUTS / "archive_format_1", tmp_path / "old")
    old = Archive(tmp_path / "old")
    assert (old.log, old.log_id, old.files()) == ("onboarding.events", "", [file(7, 12)])
    assert list(rows_of(old.read(file(7, 12)))) == [*RAW, forgotten(RAW[0]._replace(offset=12))]


# --------------------------------------------------------------------------------------------------------------------- directory


def test_nobody_else_may_read_it(archive: Archive) -> None:
    archive.write(file(0, 2), [row(each) for each in range(3)])
    assert {path.stat().st_mode & 0o077 for path in (Path(archive.place), *Path(archive.place).rglob("*"))} == {0}


def test_it_is_of_one_log(any_archive: Archive) -> None:
    any_archive.bind("topic", "")
    with pytest.raises(ArchiveError, match="is of topic, not of another"):
        any_archive.bind("another", "")
    any_archive.bind("topic", "topic:abc")
    any_archive.bind("topic", "")
    assert any_archive.log_id == "topic:abc"
    with pytest.raises(ArchiveError, match="removed and created again"):
        any_archive.bind("topic", "topic:abd")
    any_archive.bind("topic", "cluster:c")


@pytest.mark.parametrize(
    ("known", "now", "another"),
    [
        ("a", "a", False),
        ("a", "b", True),
        ("", "b", False),
        ("a", "", False),
        ("topic:a", "topic:b", True),
        ("cluster:a", "cluster:b", True),
        ("cluster:a", "topic:b", False),
    ],
)
def test_an_id_tells_a_log_from_another_one_of_the_same_kind(known: str, now: str, another: bool) -> None:
    assert is_another(known, now) is another


def test_it_is_alone_in_its_directory(tmp_path: Path) -> None:
    (tmp_path / "mine" / "lost+found").mkdir(parents=True)
    Archive(tmp_path / "mine").bind("topic", "")
    (tmp_path / "mine" / "archive.json").unlink()
    (tmp_path / "mine" / "letters.txt").touch()
    with pytest.raises(ArchiveError, match=r"contains other files \(letters\.txt\)"):
        Archive(tmp_path / "mine").bind("topic", "")
    with pytest.raises(ArchiveError, match="There is no archive in"):
        _ = Archive(tmp_path / "nowhere").log


def test_one_process_appends_at_a_time(any_archive: Archive, place: Path | Location, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.archive.bucket.SECONDS", 0.8)
    assert not any_archive.is_appended_to()
    with any_archive.appending():
        assert any_archive.is_appended_to()
        with pytest.raises(ArchiveError, match="Another process archives into"), Archive(place).appending():
            pass
    assert not any_archive.is_appended_to()


def test_what_a_crash_left_is_removed_at_the_start(archive: Archive) -> None:
    archive.write(file(0, 2), [row(each) for each in range(3)])
    archive.write(file(0, 5), [row(each) for each in range(6)])
    half = Path(archive.place) / file(6, 8).name
    half = half.with_name(f".{half.name}.7.tmp")
    half.write_bytes(b"PAR1")
    ids = Path(archive.place) / ".forgotten.json.7.tmp"
    ids.write_bytes(b"ann")
    assert archive.chains()[3].spans[-1].file.next_offset == 6
    with archive.appending():
        assert archive.files() == [file(0, 5)]
        assert not half.exists()
        assert not ids.exists()


def test_small_files_of_a_day_that_is_over_are_joined(any_archive: Archive) -> None:
    for first in (0, 3, 6, 12):
        any_archive.write(file(first, first + 2), [row(each) for each in range(first, first + 3)])
    any_archive.write(file(15, 17, "2026-01-06"), [row(each) for each in range(15, 18)])
    before = offsets(any_archive)
    assert any_archive.compact(3, DAY, 10**9) == 0, "the day is not over"
    assert any_archive.compact(3, "2026-01-06", 1) == 0, "no two fit into one"
    assert any_archive.compact(3, "2026-01-06", 10**9) == 3
    assert any_archive.files() == [file(0, 8), file(12, 14), file(15, 17, "2026-01-06")], "a gap stays a gap"
    assert offsets(any_archive) == before
    assert any_archive.compact(3, "2026-01-07", 10**9) == 0


def test_a_crash_while_files_are_joined_changes_nothing_for_readers(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    for first in (0, 3, 6):
        archive.write(file(first, first + 2), [row(each) for each in range(first, first + 3)])
    unlink = Path.unlink

    def dies(path: Path, missing_ok: bool = False) -> None:
        if path.name == Path(file(3, 5).name).name:
            raise SystemExit
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", dies)
    with pytest.raises(SystemExit):
        archive.compact(3, "2026-01-06", 10**9)
    monkeypatch.undo()
    assert archive.files() == [file(0, 8), file(3, 5), file(6, 8)]
    assert offsets(archive) == list(range(9))
    with archive.appending():
        assert archive.files() == [file(0, 8)]


# -------------------------------------------------------------------------------------------------------------------- forgetting


def test_messages_are_erased_in_place_and_the_others_keep_every_byte(archive: Archive) -> None:
    rows = [row(each, user="ann" if each % 2 else "ben") for each in range(6)]
    archive.write(file(0, 5), rows)
    archive.write(file(6, 8), others := [row(each, user="ben") for each in range(6, 9)])
    untouched = Path(archive.place) / file(6, 8).name
    before = untouched.stat().st_ino
    assert archive.erase(pl.col("key") == b"ann", lambda each: each.key == b"ann") == 1
    found = list(rows_of(archive.read(file(0, 5))))
    assert found == [forgotten(each) if each.key == b"ann" else each for each in rows]
    assert list(rows_of(archive.read(file(6, 8)))) == others
    assert untouched.stat().st_ino == before
    assert b"ann" not in (Path(archive.place) / file(0, 5).name).read_bytes()
    assert archive.erase(pl.lit(value=True), lambda each: each.key == b"ann") == 0


def test_what_is_written_later_leaves_out_who_waits_to_be_forgotten(any_archive: Archive) -> None:
    ann = Forgotten("default", ("ann",), START + 2_000)
    any_archive.wait_for(ann)
    any_archive.wait_for(ann)
    assert any_archive.waiting() == [ann]
    deletion = row(3, value=b'{"userId": "ann", "eventType": "user_deleted"}')
    rows = [row(0), row(1, user="ben"), row(2), deletion, row(4, at=START + 3_600_000), row(5, at=START, value=None)._replace(value=None)]
    any_archive.write(file(0, 5), rows)
    gone = [each.offset for each in rows_of(any_archive.read(file(0, 5))) if is_forgotten(each)]
    assert gone == [0, 2, 5], "not the deletion itself, and not what came after it"
    any_archive.done([ann])
    assert any_archive.waiting() == []
    with pytest.raises(FileNotFoundError):
        any_archive._store.read("forgotten.json")  # no id is kept


def test_a_file_that_comes_while_others_are_erased_is_looked_at_too(any_archive: Archive) -> None:
    any_archive.write(file(0, 2), [row(each) for each in range(3)])
    any_archive.write(file(3, 5), [row(each) for each in range(3, 6)])
    joined = False

    def concerned(each: RawRow) -> bool:
        nonlocal joined
        if each.offset == 3 and not joined:
            joined = True
            any_archive.compact(3, "2026-01-06", 10**9)
        return each.key == b"ann"

    any_archive.erase(pl.lit(value=True), concerned)
    assert any_archive.files() == [file(0, 5)]
    assert all(is_forgotten(each) for each in rows_of(any_archive.read(file(0, 5))))


def test_who_is_meant_is_who_sent_it(archive: Archive) -> None:
    person = Forgotten("default", ("ann", "cookie"), START)
    assert person.concerns(row(0))
    assert person.concerns(row(0, user="cookie"))
    assert not person.concerns(row(0, user="ben"))
    assert not person.concerns(row(0, value=b'{"userId": "ann", "tenantId": "other"}', user="x"))
    assert person.concerns(RawRow(0, None, b"ann", None)), "a tombstone with the id as its key"


def test_a_changed_bit_is_noticed_and_ends_no_process() -> None:
    data = encoded(frame_of(3, [row(offset) for offset in range(50)]))
    expected, noticed = decoded(data, "whole"), 0
    for place in range(0, len(data), 7):
        changed = data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]
        try:
            assert decoded(changed, "changed").equals(expected), place
        except ArchiveError:
            noticed += 1
    assert noticed > len(data) // 7 * 0.7, "the others are parts of the footer that nothing depends on"


def test_a_directory_that_cannot_be_listed_is_an_error_and_not_empty(archive: Archive) -> None:
    archive.write(file(0, 0), [row(0)])
    (Path(archive.place) / "day=2026-01-06").symlink_to("day=2026-01-06")  # as a directory of another user
    with pytest.raises(ArchiveError, match="cannot be used"):
        archive.files()
