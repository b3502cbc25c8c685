"""Reads the rows of a file: CSV, JSON lines or Parquet. A row that cannot be read is returned with the reason, and reading goes on."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from sources.errors import InputError
from sources.files.blocks import Blocks, FileBlocks, SniffedBlocks
from sources.files.kinds import packed_advice
from sources.tables.csv_rows import csv_rows
from sources.tables.mapping import FileOptions, Format
from sources.tables.parquet_rows import parquet_rows
from sources.tables.text_lines import ByteLines, Transcoded, Unfolded
from sources.tables.values import parse_json

_FORMATS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_PARQUET: Final = b"PAR1"
_STANDARD_INPUT: Final = 0
_WIDE_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class TableRow(NamedTuple):
    """A row: its values by column, or (``values`` None) its text and why it cannot be read. ``line``: of the file, or the row's number."""

    line: int
    values: Mapping[str, Any] | None
    fault: str = ""
    text: str = ""


class RowFile:
    """An open file of rows; ``-`` is standard input. Iterate over it once. ``read_bytes`` of ``size`` (0: unknown) are read."""

    def __init__(self, path: Path, options: FileOptions, wanted: Sequence[str]) -> None:
        """Open the file and look at its beginning. ``wanted``: the columns of the mapping. Raises ``InputError`` or ``OSError``."""
        self._path = path
        self._options = options
        self._wanted = wanted
        self._open = ExitStack()
        self.name = "standard input" if str(path) == "-" else str(path)
        self.size = 0
        self._share = 0.0
        descriptor = _STANDARD_INPUT
        if str(path) != "-":
            descriptor = os.open(path, os.O_RDONLY)
            self._open.callback(os.close, descriptor)
            self.size = os.fstat(descriptor).st_size
        blocks = _Begun(SniffedBlocks(FileBlocks(descriptor, waits=False), self.name))
        try:
            self._head = blocks.head(self.name)
            self._blocks = blocks
            if not self._head.strip():
                raise InputError(f"{self.name} is empty; it needs rows.")
            if advice := packed_advice(str(path), self._head, into="| onramp import -"):
                raise InputError(advice)
            self.format: Format = options.format or self._format()
            self._check()
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    @property
    def read_bytes(self) -> int:
        """Bytes that were read so far, before unpacking; for Parquet an estimate."""
        return self._blocks.raw_read if self.format != "parquet" else round(self._share * self.size)

    def __iter__(self) -> Iterator[TableRow]:
        """Yield the rows. Raises ``InputError`` where the file as a whole cannot be read on."""
        if self.format == "parquet":
            for number, (share, found) in enumerate(parquet_rows(self._path, self._wanted), 1):
                self._share = share
                yield TableRow(number, found)
            return
        lines = self._lines()
        if self.format == "jsonl":
            yield from _json_rows(lines)
            return
        tabs = Path(self.name.removesuffix(".gz")).suffix in {".tsv", ".tab"}
        for line, values, fault, text in csv_rows(lines, self._options, self._wanted, default_separator="\t" if tabs else ","):
            yield TableRow(line, values, fault, text)

    def _lines(self) -> ByteLines:
        encoding = next((name for mark, name in _WIDE_MARKS if self._head.startswith(mark)), self._options.encoding)
        blocks: Blocks = self._blocks
        if "a\n".encode(encoding) != b"a\n":
            blocks, encoding = Transcoded(blocks, encoding, self.name), "utf-8"
        if b"\n" not in self._head and b"\r" in self._head and encoding == self._options.encoding:
            blocks = Unfolded(blocks)
        return ByteLines(blocks, encoding)

    def _format(self) -> Format:
        if self._head.startswith(_PARQUET):
            return "parquet"
        if found := _FORMATS.get(Path(self.name.removesuffix(".gz")).suffix.lower()):
            return found
        if self._head.lstrip()[:1] == b"{":
            return "jsonl"
        raise InputError(f"{self.name}: it is not clear what the file is; set file.format in the mapping to csv, jsonl or parquet.")

    def _check(self) -> None:
        if self.format == "parquet":
            if str(self._path) == "-":
                raise InputError("Parquet cannot be read from a pipe, because its index is at its end; save it as a file.")
            if not self._head.startswith(_PARQUET):
                raise InputError(f"{self.name} is not a Parquet file; set file.format in the mapping to what it is.")
            if self._blocks.unpacked:
                raise InputError(f"{self.name} is a Parquet file inside gzip; unpack it first: gzip -d {self.name}")
        elif self._head.startswith(_PARQUET):
            raise InputError(f"{self.name} is a Parquet file; set file.format in the mapping to parquet, or leave it out.")
        elif self.format == "jsonl" and self._head.lstrip()[:1] == b"[":
            raise InputError(f"{self.name} is a JSON array; make one object a line of it: jq -c '.[]' {self.name} | onramp import -")


class _Begun:
    """Blocks whose first one was looked at."""

    def __init__(self, source: SniffedBlocks) -> None:
        self._source = source
        self._first: bytes | None = None
        self.unpacked = False

    @property
    def raw_read(self) -> int:
        return self._source.raw_read

    def head(self, name: str) -> bytes:
        self._first = _whole(self._source, name)
        self.unpacked = self._source.unpacks
        return self._first

    def read(self) -> bytes | None:
        first, self._first = self._first, None
        return first if first is not None else _whole(self._source, "")


def _whole(source: SniffedBlocks, name: str) -> bytes:
    try:
        block = source.read()
    except IsADirectoryError:
        raise InputError(f"{name} is a directory; name a file.") from None
    except InputError as error:
        raise InputError(f"The gzip data is damaged or not complete, so nothing was written: {str(error).partition(':')[0]}.") from error
    assert block is not None, "the descriptor blocks"
    return block


def _json_rows(lines: ByteLines) -> Iterator[TableRow]:
    for number, text, fault in lines:
        if fault:
            yield TableRow(number, None, fault, text)
        elif text.strip():
            try:
                values = parse_json(text)
            except ValueError as error:
                yield TableRow(number, None, str(error), text)
                continue
            if isinstance(values, dict):
                yield TableRow(number, values)
            else:
                yield TableRow(number, None, "is JSON, but not an object", text)
