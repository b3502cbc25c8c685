"""Mends messages: what JSON or RFC 3339 allows and the decoder refuses is replaced, so that a sound event is not rejected for its form."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import msgspec

from state.messages import MAX_MESSAGE

_BOM: Final = b"\xef\xbb\xbf"
_HIGH: Final = r"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW: Final = r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE: Final = re.compile(f"{_HIGH}(?!{_LOW})|(?<!{_HIGH}){_LOW}")
"""A surrogate without its other half, in a text without escaped backslashes: there each backslash begins an escape."""
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_LEAP_SECOND: Final = re.compile(rb'("\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:)60((?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")')


def mend(value: bytes) -> tuple[bytes, int]:
    """Replace what JSON or RFC 3339 allows and the decoder refuses. Return the same object where there is nothing of the kind.

    That is what ``mend_text`` replaces, and a leap second, for which 59 is written, so that the second number, in milliseconds, must be
    added to the time.
    """
    if len(value) > MAX_MESSAGE:
        return value, 0
    value = mend_text(value)
    if b":60" not in value:
        return value, 0
    try:
        fields = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
        found = _LEAP_SECOND.fullmatch(bytes(fields.get("timestamp", b"")).strip())
        if found is None:
            return value, 0
        text = found[1] + b"59" + found[2]
        second = msgspec.json.decode(text, type=datetime).astimezone(UTC)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        return value, 0
    if (second.hour, second.minute) != (23, 59):
        return value, 0
    return msgspec.json.encode({**fields, "timestamp": msgspec.Raw(text)}), 1_000


def mend_text(value: bytes) -> bytes:
    """Replace what JSON allows and the decoder refuses in any message. Return the same object where there is nothing of the kind.

    That is a byte order mark, and a lone surrogate, which becomes U+FFFD. Mending what is mended changes nothing. The work is done in a few
    calls, however many escapes there are: anybody may send a message that has nothing else.
    """
    if len(value) > MAX_MESSAGE:
        return value
    value = value.removeprefix(_BOM)
    if _SURROGATE.search(value) is None:
        return value
    # Beyond Latin-1, so that no byte of the message stands for the same: U+0100 for an escaped backslash, U+0101 for what was lone.
    text, lone = _LONE.subn("\u0101", value.decode("latin-1").replace(r"\\", "\u0100"))
    return text.replace("\u0101", r"\ufffd").replace("\u0100", r"\\").encode("latin-1") if lone else value
