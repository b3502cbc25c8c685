r"""One file of the spool: all rows that one partition wrote in one epoch, as columns, and the erasures.

Layout::

    "ONRAMP1\n"                        8 bytes
    blocks                             Arrow IPC streams (lz4), one per chunk of a table
    "CRC1", CRC-32 of the footer       8 bytes, big-endian; not in files of releases before it
    footer                             JSON: {"blocks": [{"table", "rows", "offset", "size", "crc"}], "erasures": [...]}
    length of the footer               8 bytes, big-endian
    "ONRAMPE\n"                        8 bytes: only in a complete file

A file is named ``<partition>.<generation>.<number>.<stage>``. Each time a partition is built it has a new generation, so a name is never
used twice, even if the recovery store was lost and the numbers start again.
"""

from __future__ import annotations

import io
import os
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl

from sinks.clickhouse.erased_rows import erased_rows
from sinks.clickhouse.errors import SegmentDamaged
from state.records.recommendation import Erase

_HEAD, _TAIL = b"ONRAMP1\n", b"ONRAMPE\n"
_ANY_HEAD = b"ONRAMP"  # and the number of the format
_CHECKED = b"CRC1"
_NAME = re.compile(r"([A-Za-z0-9_-]+)\.([0-9a-z]+)\.(\d{12})\.(tmp|pending|ready)")


class SegmentName(NamedTuple):
    """Identifies a segment. Sorts in the order of writing within a partition."""

    partition: str
    generation: str
    number: int

    @property
    def stem(self) -> str:
        """The file name without its stage."""
        return f"{self.partition}.{self.generation}.{self.number:012d}"


def parse_name(file_name: str) -> tuple[SegmentName, str] | None:
    """Return the segment and the stage of a file name, or None if it is not the name of a segment."""
    match = _NAME.fullmatch(file_name)
    return (SegmentName(match[1], match[2], int(match[3])), match[4]) if match else None


class Block(msgspec.Struct, frozen=True):
    """The place of one chunk of a table in the file, and its CRC-32, which files of earlier releases lack."""

    table: str
    rows: int
    offset: int
    size: int
    crc: int | None = None


class Footer(msgspec.Struct, frozen=True):
    """Table of contents."""

    blocks: list[Block]
    erasures: list[Erase]


class Segment(NamedTuple):
    """A segment in memory."""

    frames: dict[str, list[pl.DataFrame]]
    erasures: list[Erase]
    rows: int

    def without(self, erasures: Sequence[Erase]) -> Segment:
        """Return the segment without the rows that ``erasures`` delete, as if they had been inserted before."""
        left: dict[str, list[pl.DataFrame]] = {}
        for table, frames in self.frames.items():
            if kept := [rows for frame in frames if (rows := frame.filter(~erased_rows(frame, erasures))).height]:
                left[table] = kept
        return Segment(left, self.erasures, sum(frame.height for frames in left.values() for frame in frames))


class SegmentWriter:
    """Writes one segment, chunk by chunk. No other code reads the file before ``finish``.

    The file is closed between chunks. A writer that is dropped leaves its file, which its partition removes when it is built again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_bytes(_HEAD)
        self._blocks: list[Block] = []
        self._erasures: list[Erase] = []
        self.rows = 0
        self.size = len(_HEAD)

    def add(self, table: str, frame: pl.DataFrame) -> None:
        """Append a chunk of a table. Raises ``OSError`` (disk full); then the segment is invalid and the epoch must not commit."""
        buffer = io.BytesIO()
        # The oldest Arrow layout, because ClickHouse does not read string views.
        frame.write_ipc_stream(buffer, compression="lz4", compat_level=pl.CompatLevel.oldest())
        data = buffer.getbuffer()
        with self._path.open("r+b") as file:  # not "ab": a file that was removed meanwhile must not begin again without its head
            file.seek(0, os.SEEK_END)
            file.write(data)
        self._blocks.append(Block(table, frame.height, self.size, len(data), zlib.crc32(data)))
        self.size += len(data)
        self.rows += frame.height

    def erase(self, erasure: Erase) -> None:
        """Add an erasure. The person is deleted after the rows of this segment were inserted."""
        self._erasures.append(erasure)

    def finish(self, target: Path) -> None:
        """Write the table of contents, fsync, and rename the file to ``target``. Durable after an fsync of the directory."""
        footer = msgspec.json.encode(Footer(self._blocks, self._erasures))
        end = _CHECKED + zlib.crc32(footer).to_bytes(4, "big") + footer + len(footer).to_bytes(8, "big") + _TAIL
        with self._path.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(end)
            file.flush()
            os.fsync(file.fileno())
        self.size += len(end)
        self._path.rename(target)


def write_segment(target: Path, segment: Segment, *, by: Path) -> None:
    """Write a whole segment to the file ``by``, fsync it, and rename it to ``target``. Raises ``OSError``, and leaves no file then."""
    try:
        writer = SegmentWriter(by)
        for table, frames in segment.frames.items():
            for frame in frames:
                writer.add(table, frame)
        for erasure in segment.erasures:
            writer.erase(erasure)
        writer.finish(target)
    except OSError:
        by.unlink(missing_ok=True)
        raise


def read_segment(path: Path) -> Segment:
    """Read a complete segment. Raises ``SegmentDamaged`` if it is incomplete, ``FileNotFoundError`` if it was removed."""
    data = path.read_bytes()
    footer = _footer_of(path.name, data)
    frames: dict[str, list[pl.DataFrame]] = {}
    for block in footer.blocks:
        frames.setdefault(block.table, []).append(_frame_of(path.name, data, block, footer))
    return Segment(frames, footer.erasures, sum(block.rows for block in footer.blocks))


def _footer_of(name: str, data: bytes) -> Footer:
    if data.startswith(_ANY_HEAD) and not data.startswith(_HEAD):
        raise SegmentDamaged(f"{name} was made by a newer release of onramp: upgrade, then move it back into the spool.")
    if not (data.startswith(_HEAD) and data.endswith(_TAIL)):
        raise SegmentDamaged(f"{name} is truncated or not a spool file.")
    end = len(data) - 16
    start = max(0, end - int.from_bytes(data[end : end + 8], "big"))
    body = data[start:end]
    if data[max(0, start - 8) : max(0, start - 4)] == _CHECKED and zlib.crc32(body) != int.from_bytes(data[start - 4 : start], "big"):
        raise SegmentDamaged(f"{name} has a damaged end.")
    try:
        return msgspec.json.decode(body, type=Footer)
    except (msgspec.MsgspecError, ValueError) as error:
        raise SegmentDamaged(f"{name} cannot be read: {error}") from error


def _frame_of(name: str, data: bytes, block: Block, footer: Footer) -> pl.DataFrame:
    """Read one block. The people whom the file deletes are known by then, so its error names them."""
    body = data[block.offset : block.offset + block.size]
    if block.crc is not None and zlib.crc32(body) != block.crc:
        raise SegmentDamaged(f"{name} has damaged rows of {block.table}.", footer.erasures)
    try:
        return pl.read_ipc_stream(io.BytesIO(body))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:  # a panic is no Exception: it would end the drain
        raise SegmentDamaged(f"{name} cannot be read: {error}", footer.erasures) from error
