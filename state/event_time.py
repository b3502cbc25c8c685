"""The event time of a message, for whoever needs no more of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from state.mend_message import mend


class _Timestamp(msgspec.Struct, gc=False):
    timestamp: Annotated[datetime, Meta(tz=True)]


_timestamp_decoder = msgspec.json.Decoder(_Timestamp)


def peek_timestamp(value: bytes) -> int | None:
    """Event time of a message in milliseconds, or ``None`` where it has none. Validates nothing else."""
    try:
        return milliseconds(_timestamp_decoder.decode(value).timestamp)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        pass
    mended, leap = mend(value)
    if mended is value:
        return None
    try:
        return milliseconds(_timestamp_decoder.decode(mended).timestamp) + leap
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        return None


def milliseconds(moment: datetime) -> int:
    """Return milliseconds since 1970 UTC. Raises ``OverflowError`` for a moment that has none."""
    return round(moment.timestamp() * 1000)
