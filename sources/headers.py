"""The headers of a message, as Kafka and the local event log carry them."""

from __future__ import annotations

from typing import Final

MAX_TRACEPARENT: Final = 256
"""Version 00 of W3C trace context has 55 characters. A value longer than this is no trace context, and is ignored."""

Header = tuple[str, bytes | None]


def traceparent_of(headers: tuple[Header, ...]) -> str:
    """Return the first ``traceparent`` that has a value of a sane length; an empty text without one."""
    for name, value in headers:
        if name == "traceparent" and value and len(value) <= MAX_TRACEPARENT:
            return value.decode("ascii", "replace")
    return ""
