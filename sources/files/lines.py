"""Splits blocks into lines: fast for ordinary lines, with bounded memory for extremely long ones."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from sources.files.blocks import Blocks

MAX_LINE_BYTES = 4 * 1024 * 1024
"""A longer line is cut at this length. Events are limited to far less, so a cut line is always rejected as too large."""

_BOM = b"\xef\xbb\xbf"


class Chunk(NamedTuple):
    """Consecutive lines without their newline. Each takes up ``len(line) + overhead`` bytes of the input."""

    lines: list[bytes]
    overhead: int = 1
    terminated: bool = True
    """False for the rest of an input after its last newline. That line is a chunk of its own."""


class LineReader:
    """Reads lines of ``blocks`` from byte ``start`` of the unpacked input on. The first block begins at byte ``first_byte``."""

    def __init__(self, blocks: Blocks, *, start: int = 0, first_byte: int = 0) -> None:
        self._blocks = blocks
        self._skip = start - first_byte
        self._bom_possible = start == 0
        self._ready: deque[Chunk] = deque()
        self._rest = b""
        self._dropped = 0
        self._at_end = False

    @property
    def ended(self) -> bool:
        """Whether all lines were returned."""
        return self._at_end and not self._ready

    @property
    def missing(self) -> int:
        """Bytes by which the input is too short to reach ``start``. Valid once ``ended``."""
        return self._skip

    def read(self) -> Chunk | None:
        """Return the next lines; None if there are none yet or the input has ``ended``. Reads one block at most. Raises as ``Blocks``."""
        if not self._ready and not self._at_end:
            block = self._blocks.read()
            if block == b"":
                self._finish()
            elif block is not None:
                self._split(block)
        return self._ready.popleft() if self._ready else None

    def _split(self, block: bytes) -> None:
        if self._skip:
            skipped = min(self._skip, len(block))
            self._skip -= skipped
            block = block[skipped:]
        if self._dropped:  # inside a line that is too long
            end = block.find(b"\n")
            if end < 0:
                self._dropped += len(block)
                return
            self._put(Chunk([self._rest], self._dropped + end + 1))
            self._rest, self._dropped, block = b"", 0, block[end + 1 :]
        lines = (self._rest + block).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE_BYTES:
            self._dropped = len(self._rest) - MAX_LINE_BYTES
            self._rest = self._rest[:MAX_LINE_BYTES]
        if lines and len(lines[0]) > MAX_LINE_BYTES:
            first = lines.pop(0)
            self._put(Chunk([first[:MAX_LINE_BYTES]], len(first) - MAX_LINE_BYTES + 1))
        if lines:
            self._put(Chunk(lines))

    def _finish(self) -> None:
        self._at_end = True
        if self._rest:
            self._put(Chunk([self._rest], self._dropped, terminated=False))

    def _put(self, chunk: Chunk) -> None:
        if self._bom_possible:
            self._bom_possible = False
            first = chunk.lines[0]
            if first.startswith(_BOM):
                self._ready.append(Chunk([first[len(_BOM) :]], chunk.overhead + len(_BOM), chunk.terminated))
                chunk = chunk._replace(lines=chunk.lines[1:])
                if not chunk.lines:
                    return
        self._ready.append(chunk)
