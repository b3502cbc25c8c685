"""Reads a file or a pipe in blocks, and unpacks gzip."""

from __future__ import annotations

import os
import zlib
from typing import Protocol

from sources.errors import InputError
from system.has_data import has_data

BLOCK_BYTES = 256 * 1024
_TURN_S = 0.5
GZIP_MAGIC = b"\x1f"
"""The first of the two magic bytes is enough: no JSON text starts with a control character."""


class Blocks(Protocol):
    """A source of bytes."""

    @property
    def raw_read(self) -> int:
        """Bytes read from the file so far, before unpacking."""
        ...

    def read(self) -> bytes | None:
        """Return the next block, ``b""`` at the end, None if a pipe has no data yet. Raises ``InputError`` or ``OSError``."""
        ...


class FileBlocks:
    """Blocks of an open file descriptor. ``waits``: the descriptor may have no data for a while (a pipe); reading does not block then.

    Otherwise it waits for data in short turns: a signal that comes right before a blocking read would be noticed only after it.
    """

    def __init__(self, descriptor: int, *, waits: bool) -> None:
        self._descriptor = descriptor
        self._waits = waits
        self.raw_read = 0

    def read(self) -> bytes | None:
        while not has_data(self._descriptor, timeout_s=0.0 if self._waits else _TURN_S):
            if self._waits:
                return None
        block = os.read(self._descriptor, BLOCK_BYTES)
        self.raw_read += len(block)
        return block


class SniffedBlocks:
    """The blocks of ``source``, unpacked if the first byte is that of gzip. Several members and zero padding are allowed."""

    def __init__(self, source: Blocks, name: str) -> None:
        self._source = source
        self._name = name
        self._unzip: zlib._Decompress | None = None
        self._at_start = True
        self._damage: InputError | None = None

    @property
    def raw_read(self) -> int:
        return self._source.raw_read

    @property
    def unpacks(self) -> bool:
        """Whether the data is gzip. Valid after the first block."""
        return self._unzip is not None

    def read(self) -> bytes | None:
        if self._damage is not None:
            raise self._damage
        if not self._at_start:
            return self._source.read() if self._unzip is None else self._unpack(b"")
        block = self._source.read()
        if not block:
            return block
        self._at_start = False
        if not block.startswith(GZIP_MAGIC):
            return block
        self._unzip = _member()
        return self._unpack(block)

    def _unpack(self, packed: bytes) -> bytes | None:
        """Return at most one block of unpacked bytes, so that a small file that unpacks to a huge one needs little memory."""
        assert self._unzip is not None
        while True:
            if self._unzip.eof:
                packed = self._unzip.unused_data.lstrip(b"\0")
                if not packed:
                    more = self._source.read()
                    if not more:
                        return more
                    packed = more.lstrip(b"\0")
                    if not packed:
                        continue
                self._unzip = _member()
            packed = packed or self._unzip.unconsumed_tail
            if not packed:
                more = self._source.read()
                if more is None:
                    return None
                packed = more
            before = self._unzip.copy()  # costs 10 µs per block of 1 ms; the bytes before a damaged one can then be recovered
            try:
                block = self._unzip.decompress(packed, BLOCK_BYTES)
            except zlib.error as error:
                self._damage = InputError(
                    f"{self._name} is damaged: within its first {self.raw_read} bytes it is no longer gzip ({error}). The lines before the "
                    "damage were processed. Read an intact copy under another name; events that were processed already are skipped."
                )
                return _salvage(before, packed) or self.read()
            if block:
                return block
            if not packed and not self._unzip.eof:
                raise InputError(
                    f"{self._name} is cut off in the middle of its gzip data. Everything before that was processed; put the complete file "
                    "in its place and run the same command again."
                )
            packed = b""


def _salvage(unzip: zlib._Decompress, packed: bytes) -> bytes:
    """Return what ``packed`` unpacks to up to its first damaged byte."""
    block = bytearray()
    try:
        for at in range(len(packed)):
            block += unzip.decompress(packed[at : at + 1])
    except zlib.error:
        pass
    return bytes(block)


def _member() -> zlib._Decompress:
    return zlib.decompressobj(wbits=31)
