r"""One file of the spool: all rows that one partition wrote in one epoch, as columns, and the erasures.

Layout::

    "ONRAMP1\n"                        8 bytes
    blocks                             Arrow IPC streams (lz4), one per chunk of a table
    footer                             JSON: {"blocks": [{"table", "rows", "offset", "size"}], "erasures": [...]}
    length of the footer               8 bytes, big-endian
    "ONRAMPE\n"                        8 bytes: only in a complete file

A file is named ``<partition>.<generation>.<number>.<stage>``. Each time a partition is built it has a new generation, so a name is never
used twice, even if the recovery store was lost and the numbers start again.
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
_ANY_HEAD = b"ONRAMP"  # and the number of the format
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
    """The place of one chunk of a table in the file."""

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
        with self._path.open("ab") as file:
            file.write(data)
        self._blocks.append(Block(table, frame.height, self.size, len(data)))
        self.size += len(data)
        self.rows += frame.height

    def erase(self, erasure: Erase) -> None:
        """Add an erasure. The person is deleted after the rows of this segment were inserted."""
        self._erasures.append(erasure)

    def finish(self, target: Path) -> None:
        """Write the table of contents, fsync, and rename the file to ``target``. Durable after an fsync of the directory."""
        footer = msgspec.json.encode(Footer(self._blocks, self._erasures))
        with self._path.open("ab") as file:
            file.write(footer + len(footer).to_bytes(8, "big") + _TAIL)
            file.flush()
            os.fsync(file.fileno())
        self.size += len(footer) + 16
        self._path.rename(target)


def read_segment(path: Path) -> Segment:
    """Read a complete segment. Raises ``SegmentDamaged`` if it is incomplete, ``FileNotFoundError`` if it was removed."""
    data = path.read_bytes()
    if data.startswith(_ANY_HEAD) and not data.startswith(_HEAD):
        raise SegmentDamaged(f"{path.name} was made by a newer release of onramp: upgrade, then move it back into the spool.")
    if not (data.startswith(_HEAD) and data.endswith(_TAIL)):
        raise SegmentDamaged(f"{path.name} is truncated or not a spool file.")
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
