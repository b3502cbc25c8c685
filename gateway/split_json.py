"""Splits a JSON array or object into the bytes of its members, also where one of them is not JSON by itself.

The fast decoder refuses the whole for one lone surrogate, ``NaN`` or ``Infinity``. What it refuses is scanned again, by the scanner of the
standard library, which finds where such a value ends. Nobody can tell where a member ends that is nested too deep, or whose brackets or
quotes do not match: then there is no answer.
"""

from __future__ import annotations

import json
import re
from itertools import cycle
from typing import Final

import msgspec

MOST_EVENTS: Final = 1000
"""Events in one request. Where there are more, nobody looks for the others."""

_raw_list: Final = msgspec.json.Decoder(list[msgspec.Raw])
# Values are thrown away. `len` takes what the scanner found and does no work, whatever the length of a number.
_SCANNER: Final = json.JSONDecoder(strict=False, parse_int=len, parse_float=len, parse_constant=len, object_pairs_hook=len)
_SIGN: Final = re.compile(r"[ \t\n\r]*([\[{,:}\]]|)[ \t\n\r]*")


def split_array(body: bytes) -> list[bytes] | None:
    """Return the elements of an array as they were sent, or None for what is no array. Blocks in proportion to their size.

    Of an array that the decoder refuses only the first ones are returned, one more than ``MOST_EVENTS``.
    """
    try:
        return [bytes(each) for each in _raw_list.decode(body)]
    except (msgspec.DecodeError, RecursionError):
        return _members(body, "[", ",", "]")


def split_object(body: bytes) -> dict[str, bytes] | None:
    """Return the fields of an object that no decoder reads, or None for what is no object. A byte order mark before it is passed over."""
    found = _members(body.removeprefix(b"\xef\xbb\xbf"), "{", ":,", "}")
    if found is None or len(found) % 2:
        return None
    return {name.decode("utf-8", "replace").strip('"'): value for name, value in zip(found[::2], found[1::2], strict=True)}


def _members(body: bytes, first: str, between: str, last: str) -> list[bytes] | None:
    text = body.decode("latin-1")  # one character a byte, so that places agree; what is beyond ASCII stands within strings
    found: list[bytes] = []
    sign = _SIGN.match(text)
    if sign is None or sign[1] != first:
        return None
    try:
        for expected in cycle(between):
            _, end = _SCANNER.raw_decode(text, sign.end())
            found.append(body[sign.end() : end])
            sign = _SIGN.match(text, end)
            assert sign is not None  # it matches nothing, too
            if sign[1] != expected or len(found) > MOST_EVENTS:
                break
    except (ValueError, RecursionError):
        return None
    return found if len(found) > MOST_EVENTS or (sign[1] == last and sign.end() == len(text)) else None
