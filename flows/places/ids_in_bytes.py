"""Finds ids in bytes: ``u-1`` is not found in ``u-17``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

LONGEST_CONTEXT: Final = 4
"""Bytes before and after an id that a pattern looks at."""
_WORD: Final = rb"[0-9A-Za-z_]"


def as_values(ids: Sequence[str]) -> re.Pattern[bytes]:
    """Return a pattern for whole strings of MessagePack, of a pickle or of JSON that are one of the ``ids``."""
    return re.compile(b"|".join(_as_value(text) for text in texts_of(ids)))


def as_words(ids: Sequence[str]) -> re.Pattern[bytes]:
    """Return a pattern for the ``ids`` in any file: whole strings, and what is not a part of a longer word."""
    words = [rb"(?<!%s)%s(?!%s)" % (_WORD, re.escape(text), _WORD) for text in texts_of(ids)]
    return re.compile(b"|".join((*words, *(_as_value(text) for text in texts_of(ids)))))


def texts_of(ids: Sequence[str]) -> list[bytes]:
    """The ``ids`` as they may be written: as they are, and as JSON escapes them."""
    return sorted({text for each in ids for text in (each.encode("utf-8", "surrogatepass"), json.dumps(each)[1:-1].encode())})


def may_have(value: bytes, texts: Sequence[bytes]) -> bool:
    """Whether JSON may hold one of ``texts``: as it is, or written with escapes."""
    return b"\\" in value or any(text in value for text in texts)


def _as_value(text: bytes) -> bytes:
    """A string behind its length (of a short one MessagePack writes it into the byte of the type), or in quotes, which may be escaped."""
    size, escaped = len(text), re.escape(text)
    heads = {bytes([size & 0xFF]), *([bytes([0xA0 | size])] if size < 0x20 else [size.to_bytes(4, "little")] if size > 0xFF else [])}
    behind_length = b"|".join(rb"(?<=%s)" % re.escape(head) for head in sorted(heads))
    return rb"(?:%s)%s|(?<=\")%s(?=[\"\\])" % (behind_length, escaped, escaped)
