"""Recognises whole requests of plain events in one step, so that a batch does not cost a decoder's run for each event.

It accepts a request only if the job's decoder (``state/decode.py``) would accept every event unchanged. It uses the same types, sets and
patterns, and applies them to all events at once. In all other cases it returns None, and the decoder decides about each event.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from state.decode import is_storable
from state.event_contract import DEFAULT_TENANT, HIDDEN, MAX_AHEAD, MAX_DEPTH, MAX_PAYLOAD, MAX_TENANT, MIN_TIMESTAMP, is_tenant_id
from state.event_fields import CHECKED, REQUIRED, fault_of
from state.event_time import milliseconds
from state.placeholders import PLACEHOLDER_IDS, TAG_BEGINS, is_placeholder_id
from state.vocabulary import IDENTITY_MERGED, KNOWN_TYPES, SWITCHED

_PLAIN_TYPES: Final = KNOWN_TYPES - {SWITCHED, IDENTITY_MERGED}
_JUDGED_TYPES: Final = CHECKED | set(REQUIRED)
"""Types whose payload has rules."""
_ZEROS: Final = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_NUMBER: Final = b"0" * 19


class _PlainEvent(msgspec.Struct, gc=False, rename="camel"):
    event_id: Annotated[str, Meta(min_length=1, max_length=128)]
    event_type: str
    timestamp: Annotated[datetime, Meta(tz=True)]
    user_id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    anonymous_id: Annotated[str, Meta(max_length=256)] | None = None
    tenant_id: Annotated[str, Meta(min_length=1, max_length=MAX_TENANT)] = DEFAULT_TENANT
    session_id: Annotated[str, Meta(max_length=256)] | None = None
    name: Annotated[str, Meta(max_length=256)] | None = None
    payload: dict[str, Any] = {}
    schema_version: Literal[1] = 1


_decoder: Final = msgspec.json.Decoder(list[_PlainEvent])


class PlainEvents(msgspec.Struct, frozen=True, gc=False):
    """A request of valid events: ``ids`` and ``users`` for each event in order, ``types`` and ``tenants`` that occur.

    ``visitors``: whether an event came without a ``userId``; its entry in ``users`` is then the ``anonymousId``.
    """

    ids: list[str]
    users: list[str]
    types: frozenset[str]
    tenants: frozenset[str]
    visitors: bool


def read_plain(values: Sequence[bytes], now: int) -> PlainEvents | None:
    """Return the content of the events if all of them are certainly valid, None if the decoder must decide. Raises nothing.

    ``now`` is in milliseconds since 1970 UTC.
    """
    body = b"[%b]" % b",".join(values)
    try:
        events = _decoder.decode(body)
        # A value like `{…},{…}` counts as two events here, but is not JSON by itself.
        if not events or len(events) != len(values) or not _in_time([each.timestamp for each in events], now):
            return None
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        return None
    users = [each.user_id or each.anonymous_id for each in events]
    visitors = any(each.user_id is None for each in events)
    ids = [each.event_id for each in events]
    tenants = frozenset([each.tenant_id for each in events])
    types = frozenset([each.event_type for each in events])
    if not (types <= _PLAIN_TYPES and _name_somebody({*users, *ids}, visitors=visitors) and all(map(_is_tenant, tenants))):
        return None
    if not types.isdisjoint(_JUDGED_TYPES) and not all(_fits(each) for each in events if each.event_type in _JUDGED_TYPES):
        return None
    if not _keepable(events, values, body):
        return None
    return PlainEvents(ids, users, types, tenants, visitors)  # type: ignore[arg-type]  # no user is None: `_name_somebody`


def _in_time(moments: list[datetime], now: int) -> bool:
    return milliseconds(min(moments)) >= MIN_TIMESTAMP and milliseconds(max(moments)) <= now + MAX_AHEAD


def _name_somebody(names: Collection[str | None], *, visitors: bool) -> bool:
    """Whether no id is missing, hidden or a placeholder. Stricter than the decoder, which examines unusual ids more closely."""
    texts = [name for name in names if name]
    if len(texts) != len(names):
        return False
    joined = "".join(texts)
    if not (joined.isascii() and joined.isprintable()) and HIDDEN.search(joined):
        return False
    if not PLACEHOLDER_IDS.isdisjoint(map(str.strip, texts)):
        return False
    return not any(is_placeholder_id(text) for text in texts if visitors or text[0] in TAG_BEGINS)


def _is_tenant(tenant: str) -> bool:
    return tenant == DEFAULT_TENANT or is_tenant_id(tenant)


def _fits(event: _PlainEvent) -> bool:
    needed = REQUIRED.get(event.event_type)
    if needed is not None:
        given = event.payload.get(needed)
        return isinstance(given, str) and given != ""
    return not fault_of(event.event_type, event.payload)


def _keepable(events: Sequence[_PlainEvent], values: Sequence[bytes], body: bytes) -> bool:
    """Whether no payload is too large or too deep, or has a number that is too large. A cheap count says whether to look closer."""
    if len(body) > MAX_PAYLOAD and any(len(value) > MAX_PAYLOAD for value in values):
        return False
    # The list, and an event each, are brackets that no payload has.
    deep = body.count(b"{") + body.count(b"[") >= len(events) + 1 + MAX_DEPTH + sum(1 for each in events if each.payload)
    return not (deep or _LONG_NUMBER in body.translate(_ZEROS)) or all(is_storable(each.payload) for each in events)
