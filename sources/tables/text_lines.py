"""Lines of text out of blocks of bytes. A line that is no text in its encoding, or too long, is marked, and the next one is read."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Final

from sources.errors import InputError
from sources.files.blocks import Blocks
from sources.files.lines import MAX_LINE_BYTES, LineReader

_NUMBERED = tuple[int, str, str]
_TOO_LONG: Final = f"is longer than {MAX_LINE_BYTES // 1024**2} MiB"


class ByteLines:
    """Iterates over (line number, text without its end, fault). The blocks must not be those of a pipe that does not block."""

    def __init__(self, blocks: Blocks, encoding: str) -> None:
        self._reader = LineReader(blocks)
        self._encoding = encoding
        self._number = 0
        self._lines = self._read()
        self._again: list[_NUMBERED] = []

    def __iter__(self) -> Iterator[_NUMBERED]:
        return self

    def __next__(self) -> _NUMBERED:
        return self._again.pop() if self._again else next(self._lines)

    def put_back(self, lines: list[_NUMBERED]) -> None:
        """Give these lines out again, before the others."""
        self._again += reversed(lines)

    def _read(self) -> Iterator[_NUMBERED]:
        while not self._reader.ended:
            chunk = self._reader.read()
            if chunk is None:
                continue
            for ended in chunk.lines:
                self._number += 1
                line = ended.removesuffix(b"\r")
                fault = _TOO_LONG if len(line) >= MAX_LINE_BYTES else ""
                try:
                    text = line.decode(self._encoding)
                except UnicodeDecodeError:
                    text = line.decode(self._encoding, "replace")
                    fault = fault or f"is not {self._encoding} text; set file.encoding in the mapping"
                yield self._number, text, fault


class Transcoded:
    """Blocks as UTF-8, of text whose line ends are not single bytes (UTF-16 and the like)."""

    def __init__(self, source: Blocks, encoding: str, name: str) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._encoding, self._name = encoding, name
        self._ended = False

    @property
    def raw_read(self) -> int:
        return self._source.raw_read

    def read(self) -> bytes | None:
        while not self._ended:
            block = self._source.read()
            if block is None:
                return None
            self._ended = not block
            try:
                text = self._decoder.decode(block, final=self._ended)
            except UnicodeDecodeError:
                raise InputError(f"{self._name} is not {self._encoding} text; set file.encoding in the mapping to what it is.") from None
            if text:
                return text.encode("utf-8", "replace")
        return b""


class Unfolded:
    """Blocks in which a carriage return alone ends a line, as old spreadsheet programs write it."""

    def __init__(self, source: Blocks) -> None:
        self._source = source

    @property
    def raw_read(self) -> int:
        return self._source.raw_read

    def read(self) -> bytes | None:
        block = self._source.read()
        return None if block is None else block.replace(b"\r", b"\n")
