"""Recognises what a file is that does not hold JSON lines, by its beginning, and says how to turn it into them."""

from __future__ import annotations

import json
import re
import shlex
import zlib
from contextlib import suppress
from typing import Final

HEAD_BYTES: Final = 64 * 1024
_PACKED: Final = (
    (b"\x28\xb5\x2f\xfd", "zstd data", "zstd -dc"),
    (b"\x1f\x8b", "gzip data inside gzip data", "gzip -dc"),
    (b"BZh", "bzip2 data", "bzip2 -dc"),
    (b"\xfd7zXZ", "xz data", "xz -dc"),
    (b"\x04\x22\x4d\x18", "lz4 data", "lz4 -dc"),
    (b"PK\x03\x04", "a zip archive", "unzip -p"),
)
_OLD_SPREADSHEET: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SPREADSHEET_PARTS: Final = (b"xl/", b"application/vnd.oasis.opendocument.spreadsheet")
_SPREADSHEETS: Final = (".xlsx", ".xlsm", ".xlsb", ".ods")
_OTHER: Final = (
    (b"Obj\x01", "an Avro file"),
    (b"ORC", "an ORC file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"%PDF", "a PDF file"),
)
_TEXT_CODES: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_SEPARATORS: Final = ",\t;"


def head_of(beginning: bytes) -> bytes:
    """Return the beginning of the text of a file, unpacked if the file is gzip, as the source does it."""
    if beginning.startswith(b"\x1f\x8b"):
        with suppress(zlib.error):
            return zlib.decompressobj(wbits=31).decompress(beginning, HEAD_BYTES)
    return beginning


def advice(name: str, head: bytes) -> str:
    """Return a sentence on what ``head``, the beginning of the file ``name``, is and what to do; empty if it may well be JSON lines."""
    file = "" if name == "-" else f" {shlex.quote(name)}"
    into = "| onramp run --input -"
    if not head.strip():
        return "The input is empty. Give one JSON object a line, each of them an event."
    if packed := packed_advice(name, head, into=into):
        return packed
    if head.startswith(b"PAR1"):
        return f"The input is a Parquet file. Make events of its rows: onramp import{file or ' FILE'} --mapping YAML"
    for magic, what in _OTHER:
        if head.startswith(magic):
            return f"The input is {what}. Export its rows as JSON, one object a line, and read that."
    for mark, code in (*_TEXT_CODES, *_unmarked(head)):
        if head.startswith(mark):
            return f"The input is {code} text. Convert it: iconv -f {code} -t UTF-8{file} {into}"
    return _text_advice(head.removeprefix(b"\xef\xbb\xbf").lstrip(), file, into)


def packed_advice(name: str, head: bytes, *, into: str) -> str:
    """Return a sentence on how to unpack the file ``name`` for the command ``into``; empty if ``head`` is not that of an archive.

    A spreadsheet is an archive too, which is of no use unpacked.
    """
    if _is_spreadsheet(name, head):
        return (
            "The input is a spreadsheet. Save its table as CSV (UTF-8), and make events of its rows: onramp import FILE.csv --mapping YAML"
        )
    file = "" if name == "-" else f" {shlex.quote(name)}"
    for magic, what, command in _PACKED:
        if head.startswith(magic):
            return f"The input is {what}. Unpack it: {command}{file} {into}"
    if head[257:262] == b"ustar":
        return f"The input is a tar archive. Unpack it: tar -xOf{file or ' -'} {into}"
    return ""


def _is_spreadsheet(name: str, head: bytes) -> bool:
    packed = head.startswith(b"PK\x03\x04") and (name.lower().endswith(_SPREADSHEETS) or any(part in head for part in _SPREADSHEET_PARTS))
    return packed or head.startswith(_OLD_SPREADSHEET)


def _unmarked(head: bytes) -> tuple[tuple[bytes, str], ...]:
    """UTF-16 without a mark: every second byte of JSON is zero then."""
    if len(head) >= 4 and not any(head[1:64:2]):
        return ((head[:1], "UTF-16LE"),)
    if len(head) >= 4 and not any(head[0:64:2]):
        return ((head[:1], "UTF-16BE"),)
    return ()


def _text_advice(head: bytes, file: str, into: str) -> str:
    text = head.decode("utf-8", "replace")
    first = text.partition("\n")[0].strip()
    if text.startswith("["):
        return f"The input is a JSON array. Make one object a line of it: jq -c '.[]'{file} {into}"
    if text.startswith("{"):
        try:
            whole = json.loads(first)
        except ValueError:
            if re.match(r"\{\s*'", text):
                return "The input has single quotes, as Python prints objects. JSON needs double quotes: write it with json.dumps."
            if "\n" in text and not first.endswith("}"):
                return f"The input has objects over several lines. Make one line of each: jq -c .{file} {into}"
            return ""
        lists = [key for key, value in whole.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
        if len(lists) == 1 and "eventId" not in whole:
            path = f".{lists[0]}[]" if lists[0].isidentifier() else f".[{json.dumps(lists[0])}][]"
            return f"The input is one object with a list of events. Make one line of each: jq -c {shlex.quote(path)}{file} {into}"
        return ""
    if text.startswith("<"):
        return "The input is XML or HTML. Write its events as JSON, one object a line."
    for separator in _SEPARATORS:
        if first.count(separator) >= 2 and first.isprintable() | (separator == "\t"):
            return f"The input looks like a table (CSV). Make events of its rows: onramp import{file or ' -'} --mapping YAML"
    return ""
