r"""One file of the spool: every row one partition wrote in one epoch, as columns, and the erasures among them.

Layout::

    "ONRAMP1\n"                        8 bytes
    blocks                             Arrow IPC streams (lz4), one per chunk of a table
    footer                             JSON: {"blocks": [{"table", "rows", "offset", "size"}], "erasures": [...]}
    length of the footer               8 bytes, big-endian
    "ONRAMPE\n"                        8 bytes: present only in a file that was finished

A file's name says what it is: ``<partition>.<generation>.<number>.<stage>``. The generation is new each time a partition is built, so a
name is never used twice, even when the recovery store was lost and counting starts again.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl

from sinks.clickhouse.errors import SegmentDamaged
from state.records.recommendation import Erase

_HEAD, _TAIL = b"ONRAMP1\n", b"ONRAMPE\n"
_NAME = re.compile(r"([A-Za-z0-9_-]+)\.([0-9a-z]+)\.(\d{12})\.(tmp|pending|ready)")


class SegmentName(NamedTuple):
    """Which segment. Sorts in the order of writing within a partition."""

    partition: str
    generation: str
    number: int

    @property
    def stem(self) -> str:
        """What the file is called, without its stage."""
        return f"{self.partition}.{self.generation}.{self.number:012d}"


def parse_name(file_name: str) -> tuple[SegmentName, str] | None:
    """Return the segment and stage that a file name says, or None for a file that is not ours."""
    match = _NAME.fullmatch(file_name)
    return (SegmentName(match[1], match[2], int(match[3])), match[4]) if match else None


class Block(msgspec.Struct, frozen=True):
    """Where one chunk of a table lies in the file."""

    table: str
    rows: int
    offset: int
    size: int


class Footer(msgspec.Struct, frozen=True):
    """Table of contents."""

    blocks: list[Block]
    erasures: list[Erase]


class Segment(NamedTuple):
    """A segment in memory."""

    frames: dict[str, list[pl.DataFrame]]
    erasures: list[Erase]
    rows: int


class SegmentWriter:
    """Writes one segment, chunk by chunk, into a file that nobody else looks at until ``finish``.

    No handle is kept between chunks: a writer that is dropped leaves a file, which its partition removes when it is built again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_bytes(_HEAD)
        self._blocks: list[Block] = []
        self._erasures: list[Erase] = []
        self.rows = 0
        self.size = len(_HEAD)

    def add(self, table: str, frame: pl.DataFrame) -> None:
        """Append a chunk of a table. May raise ``OSError`` (disk full): then the segment is worthless and the epoch must not commit."""
        buffer = io.BytesIO()
        # The oldest layout of Arrow: ClickHouse does not read string views.
        frame.write_ipc_stream(buffer, compression="lz4", compat_level=pl.CompatLevel.oldest())
        data = buffer.getbuffer()
        with self._path.open("ab") as file:
            file.write(data)
        self._blocks.append(Block(table, frame.height, self.size, len(data)))
        self.size += len(data)
        self.rows += frame.height

    def erase(self, erasure: Erase) -> None:
        """Note that a person is to be deleted once the rows of this segment are in."""
        self._erasures.append(erasure)

    def finish(self, target: Path) -> None:
        """Write the table of contents, fsync, and give the file its final name. Durable once the directory is fsynced too."""
        footer = msgspec.json.encode(Footer(self._blocks, self._erasures))
        with self._path.open("ab") as file:
            file.write(footer + len(footer).to_bytes(8, "big") + _TAIL)
            file.flush()
            os.fsync(file.fileno())
        self.size += len(footer) + 16
        self._path.rename(target)


def read_segment(path: Path) -> Segment:
    """Read a finished segment. Raises ``SegmentDamaged`` when it is not whole, ``FileNotFoundError`` when it is gone."""
    data = path.read_bytes()
    if not (data.startswith(_HEAD) and data.endswith(_TAIL)):
        raise SegmentDamaged(f"{path.name} is cut short or not a spool file.")
    end = len(data) - 16
    start = end - int.from_bytes(data[end : end + 8], "big")
    try:
        footer = msgspec.json.decode(data[start:end], type=Footer)
        frames: dict[str, list[pl.DataFrame]] = {}
        for block in footer.blocks:
            frame = pl.read_ipc_stream(io.BytesIO(data[block.offset : block.offset + block.size]))
            frames.setdefault(block.table, []).append(frame)
    except (msgspec.MsgspecError, pl.exceptions.PolarsError, OSError) as error:
        raise SegmentDamaged(f"{path.name} cannot be read: {error}") from error
    return Segment(frames, footer.erasures, sum(block.rows for block in footer.blocks))


def sync_directory(path: Path) -> None:
    """Make renames and new files in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
