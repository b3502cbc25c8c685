"""A segment with a damaged byte: none of its rows is inserted as another one, and nobody is deleted whom it does not name."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import polars as pl
import pytest

from sinks.clickhouse.errors import SegmentDamaged
from sinks.clickhouse.fake import FakeInserter
from sinks.clickhouse.segment import SegmentWriter, read_segment
from sinks.clickhouse.spool import Spool
from state.records.recommendation import Erase
from tests.sinks.spools import batch, drain, names, put


def segment(directory: Path) -> Path:
    """The file of a small segment with rows of one table and a deletion."""
    writer = SegmentWriter(directory / "p.0.000000000001.tmp")
    writer.add("events", pl.DataFrame({"event_id": ["e", "f"]}))
    writer.erase(Erase("t", "u", 7))
    writer.finish(directory / "p.0.000000000001.ready")
    return directory / "p.0.000000000001.ready"


def of_earlier_release(path: Path, block: bytes) -> None:
    """Write a segment as releases did that made no checksums."""
    footer = msgspec.json.encode({"blocks": [{"table": "events", "rows": 1, "offset": 8, "size": len(block)}], "erasures": [["t", "u", 7]]})
    footer = footer.replace(b'["t","u",7]', msgspec.json.encode(Erase("t", "u", 7)))
    path.write_bytes(b"ONRAMP1\n" + block + footer + len(footer).to_bytes(8, "big") + b"ONRAMPE\n")


def test_a_damaged_byte_anywhere_in_a_segment_is_noticed(tmp_path: Path) -> None:
    path = segment(tmp_path)
    data, whole = path.read_bytes(), read_segment(path)
    unnoticed = []
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        try:
            found = read_segment(path)
        except SegmentDamaged:
            continue
        assert found.erasures == whole.erasures
        assert found.frames["events"][0].equals(whole.frames["events"][0])
        unnoticed.append(data[place : place + 1])
    assert b"".join(unnoticed) == b"CRC1", "without the mark a file is as one of the releases that had no checksums"


def test_damaged_rows_do_not_hide_whom_the_segment_deletes(tmp_path: Path) -> None:
    path = segment(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    with pytest.raises(SegmentDamaged, match="damaged rows of events") as caught:
        read_segment(path)
    assert caught.value.erasures == [Erase("t", "u", 7)]
    path.write_bytes(data[:-40] + b"?" + data[-39:])
    with pytest.raises(SegmentDamaged, match="damaged end") as caught:
        read_segment(path)
    assert caught.value.erasures is None


def test_a_segment_of_a_release_without_checksums_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    frame = pl.DataFrame({"event_id": ["e"]})
    frame.write_ipc_stream(buffer)
    of_earlier_release(tmp_path / "old", buffer.getvalue())
    found = read_segment(tmp_path / "old")
    assert found.frames["events"][0].equals(frame)
    assert found.erasures == [Erase("t", "u", 7)]


def test_no_damaged_byte_of_such_a_segment_ends_the_drain(tmp_path: Path) -> None:
    """At some bytes the reader of columns panics, which is no ``Exception`` and would end the drain's thread."""
    buffer = io.BytesIO()
    pl.DataFrame({"event_id": ["e", "f"]}).write_ipc_stream(buffer, compression="lz4")
    block, spool = buffer.getvalue(), Spool(tmp_path / "spool")
    damaged = 0
    for place in range(len(block)):
        of_earlier_release(tmp_path / "old", block[:place] + bytes([block[place] ^ 0x81]) + block[place + 1 :])
        try:
            read_segment(tmp_path / "old")
        except SegmentDamaged:
            damaged += 1
            (tmp_path / "old").rename(spool.directory / "p.0.000000000001.ready")
    put(spool, batch("a"))
    inserter = FakeInserter()
    assert damaged
    assert drain(spool, inserter)
    assert names(inserter) == ["a"]
    assert spool.segments_rejected == 1


def test_a_writer_whose_file_was_removed_says_so_and_begins_no_other(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "a.tmp")
    (tmp_path / "a.tmp").unlink()
    with pytest.raises(FileNotFoundError):
        writer.add("events", pl.DataFrame({"event_id": ["e"]}))
    with pytest.raises(FileNotFoundError):
        writer.finish(tmp_path / "a")
    assert not list(tmp_path.iterdir())
