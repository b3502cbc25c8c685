"""Reads the ``traceparent`` of W3C trace context (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import re
from typing import Final

_VERSION_00: Final = 55
"""Characters of the fields that version 00 defines. Later versions may append others."""
_FIELDS: Final = re.compile(r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def read_traceparent(text: str) -> str:
    """The fields of version 00 of ``text``, empty where it is no traceparent. Never longer than 55 characters."""
    fields = _FIELDS.match(text)
    if fields is None or (len(text) > _VERSION_00 and (text.startswith("00") or text[_VERSION_00] != "-")):
        return ""
    return fields[0]


def trace_id(traceparent: str) -> str | None:
    """The trace id, ``None`` where there is no traceparent."""
    fields = _FIELDS.match(read_traceparent(traceparent))
    return fields[1] if fields is not None else None
