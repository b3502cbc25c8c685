"""Finds the write key in a body, before anything else of it is read: until then nobody knows who sends it."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Final

import msgspec

from gateway.errors import not_json, unauthorized
from gateway.split_json import split_object
from gateway.validation import read_mended

LONGEST_KEY: Final = 200
_MOST_TRIED: Final = 1_000
"""Different texts of one body that are tried. A damaged body hardly has a second one."""


class _Keyed(msgspec.Struct, rename="camel"):
    write_key: str = ""


_LIKE_A_KEY: Final = re.compile(rb'"writeKey"\s*:\s*"([!-~]{1,%d}?)"' % LONGEST_KEY)
_keyed: Final = msgspec.json.Decoder(_Keyed)
_text: Final = msgspec.json.Decoder(str)


def find_write_key(body: bytes, is_known: Callable[[str], bool]) -> str:
    """Return the ``writeKey`` of the object in ``body``, not that of an object within it.

    Raises ``RefusedError``: 401 where it has none; 400 where a text of that name is known, and nobody can tell whose it is, because the
    body was cut or has something behind it.

    What the decoder refuses takes longer, in proportion to its size. So it is looked into only if a text of that name, wherever it stands,
    ``is_known``.
    """
    try:
        found = _keyed.decode(body).write_key
    except (ValueError, RecursionError):  # a DecodeError is a ValueError; so is what is raised for bytes that are not UTF-8
        texts = islice(dict.fromkeys(_LIKE_A_KEY.findall(body)), _MOST_TRIED)
        found = _key_of_damaged(body) if any(is_known(text.decode()) for text in texts) else ""
    if not 0 < len(found) <= LONGEST_KEY:
        raise unauthorized("send the write key as the user of Basic auth, or as writeKey in the body")
    return found


def _key_of_damaged(body: bytes) -> str:
    mended = read_mended(_keyed, body)
    if mended is not None:
        return mended.write_key
    fields = split_object(body)
    if fields is None:
        raise not_json()
    return read_mended(_text, fields.get("writeKey", b"")) or ""
