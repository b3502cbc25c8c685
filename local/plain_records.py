"""Checks the append-only files of Valkey that come from elsewhere: the server runs what they say, and some commands open or replace files.

Our records are texts, sets, hashes and sorted sets under keys, which a few commands write. A base file is a snapshot (RDB) of the same;
another kind of value, or a library of functions, has no place in it. A compact value is passed over as one text: the server checks
what is inside when it loads it. Both formats are those of Redis:
https://redis.io/docs/latest/develop/reference/protocol-spec/ and https://rdb.fnordig.de/file_format.html.
"""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path
from typing import Final

_DIRECTORY: Final = "appendonlydir"
_MANIFEST: Final = "appendonly.aof.manifest"
_LISTED: Final = re.compile(rb"file (appendonly\.aof\.([0-9]{1,18})\.(?:base\.rdb|base\.aof|incr\.aof)) seq \2 type [bhi]\n")
_COMMANDS: Final = frozenset(
    b"SELECT MULTI EXEC SET DEL UNLINK INCRBY EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST SADD SREM SPOP HSET HSETNX HDEL ZADD ZREM".split()
)
"""Those by which ``sinks/redis``, the gateway, the model service (``llm/``) and the server itself change and end records. None of them does
anything but that. A script stands in the file as the commands that it called."""
_ARGUMENTS: Final = re.compile(rb"\*([1-9][0-9]{0,6})\r\n")
_LENGTH: Final = re.compile(rb"\$(0|[1-9][0-9]{0,9})\r\n")
_LONGEST_HEAD: Final = 13  # bytes of either
_SNAPSHOT: Final = re.compile(rb"REDIS[0-9]{4}|VALKEY[0-9]{3}")
_HEAD: Final = 9  # bytes of it
_ABOUT: Final = frozenset({b"valkey-ver", b"redis-ver", b"redis-bits", b"ctime", b"used-mem", b"aof-base", b"aof-preamble"})
"""What a snapshot says about itself."""
_ABOUT_IT, _SIZES, _ENDS_MS, _ENDS, _DATABASE, _END = 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF
_TEXTS: Final = frozenset({0, 11, 16, 17, 20})
"""Kinds that stand there as one text: a text, and the compact forms of a set of numbers, a hash, a sorted set and a set."""
_MEMBERS: Final = {2: (1, 0), 4: (2, 0), 5: (1, 8)}
"""Kinds with a number of members, a set, a hash and a sorted set: the texts of each member, and the bytes after them."""
_NUMBERS: Final = {0xC0: 1, 0xC1: 2, 0xC2: 4}
"""Kinds of a text that is kept as a number, and bytes of it."""
_PACKED: Final = 0xC3
_CHECKSUM: Final = 8


class _FaultError(Exception):
    """Something else than a record. The text is a part of a sentence."""


class _CutOffError(Exception):
    """The file ends in the middle of a command, as after a kill."""


def what_is_no_record(valkey: Path) -> str | None:
    """Return what in the directory ``valkey`` does more than write records, as a part of a sentence; None if nothing does.

    Reads every file, and cuts off a command that one ends in, as the server does. No server may run on the files. Raises ``OSError``.
    """
    directory = valkey / _DIRECTORY
    if not directory.exists():
        return None
    try:
        listed = (directory / _MANIFEST).read_bytes()
        names = [line[1].decode() for line in _LISTED.finditer(listed)]
        if _LISTED.sub(b"", listed) or sorted([*names, _MANIFEST]) != sorted(path.name for path in directory.iterdir()):
            return f"{_MANIFEST} does not list the files that are there"
    except FileNotFoundError:
        return f"{_MANIFEST} is missing"
    for name in names:
        try:
            _check(directory / name)
        except _FaultError as fault:
            return f"{name} {fault}"
    return None


def _check(path: Path) -> None:
    size = path.stat().st_size
    if size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = _after_snapshot(data) if _SNAPSHOT.match(data) else 0
        try:
            while at < size:
                at = _after_command(data, at)
        except _CutOffError:
            pass
    os.truncate(path, at)


def _after_command(data: mmap.mmap, start: int) -> int:
    count, at = _number(_ARGUMENTS, data, start)
    name = b""
    for position in range(count):
        length, at = _number(_LENGTH, data, at)
        end = at + length
        if end + 2 > len(data):
            raise _CutOffError
        if data[end : end + 2] != b"\r\n":
            raise _FaultError(f"has no command at byte {start:,}")
        if position == 0:
            name = data[at : min(end, at + 100)].upper()
            if name not in _COMMANDS:
                raise _FaultError(f"has the command {name.decode(errors='replace')!r}, which writes no record")
        at = end + 2
    return at


def _number(pattern: re.Pattern[bytes], data: mmap.mmap, at: int) -> tuple[int, int]:
    found = pattern.match(data, at)
    if found is None:
        if len(data) - at < _LONGEST_HEAD and b"\n" not in data[at:]:
            raise _CutOffError
        raise _FaultError(f"has no command at byte {at:,}")
    return int(found[1]), found.end()


def _after_snapshot(data: mmap.mmap) -> int:
    """Return where a snapshot ends. Raises ``_FaultError``."""
    at = _HEAD
    try:
        while (kind := data[at]) != _END:
            at += 1
            if kind == _ABOUT_IT:
                end = _after_text(data, at)
                name = data[at + 1 : min(end, at + 100)]  # a short text follows one byte for its length
                if name not in _ABOUT:
                    raise _FaultError(f"has the field {name.decode(errors='replace')!r}, which is none of a snapshot of records")
                at = _after_text(data, end)
            elif kind == _SIZES:
                at = _length(data, _length(data, at)[1])[1]
            elif kind == _DATABASE:
                at = _length(data, at)[1]
            elif kind in {_ENDS_MS, _ENDS}:
                at += 8 if kind == _ENDS_MS else 4
            elif kind in _TEXTS:
                at = _after_text(data, _after_text(data, at))
            elif kind in _MEMBERS:
                at = _after_members(data, _after_text(data, at), *_MEMBERS[kind])
            else:
                raise _FaultError(f"has something of kind {kind}, which no record has")
        end = at + 1 + _CHECKSUM
        data[end - 1]  # is there
    except IndexError:
        raise _FaultError("has a snapshot that is cut off") from None
    return end


def _after_members(data: mmap.mmap, at: int, texts: int, more: int) -> int:
    count, at = _length(data, at)
    for _ in range(count):
        for _ in range(texts):
            at = _after_text(data, at)
        at += more
    return at


def _after_text(data: mmap.mmap, at: int) -> int:
    first = data[at]
    if first in _NUMBERS:
        return at + 1 + _NUMBERS[first]
    if first == _PACKED:
        packed, at = _length(data, at + 1)
        return _length(data, at)[1] + packed
    length, at = _length(data, at)
    return at + length


def _length(data: mmap.mmap, at: int) -> tuple[int, int]:
    """Return the length that stands at ``at``, and where it ends. Raises ``_FaultError`` and ``IndexError``."""
    first = data[at]
    if first < 0x40:
        return first, at + 1
    if first < 0x80:
        return (first & 0x3F) << 8 | data[at + 1], at + 2
    size = {0x80: 4, 0x81: 8}.get(first)
    if size is None:
        raise _FaultError(f"has no length at byte {at:,} of its snapshot")
    return int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size
