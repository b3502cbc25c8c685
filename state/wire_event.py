"""What the decoder expects of a message on the fast path (``state/decode.py``)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from state.event_contract import DEFAULT_TENANT, MAX_TENANT


class WireEvent(msgspec.Struct, gc=False, rename="camel"):
    """An event as it is sent. Most sound events decode to it; ``state/decode.py`` checks the rest."""

    event_id: Annotated[str, Meta(min_length=1, max_length=128)]
    event_type: str
    timestamp: Annotated[datetime, Meta(tz=True)]
    user_id: Annotated[str, Meta(max_length=256)] | None = None
    anonymous_id: Annotated[str, Meta(max_length=256)] | None = None
    tenant_id: Annotated[str, Meta(min_length=1, max_length=MAX_TENANT)] = DEFAULT_TENANT
    session_id: Annotated[str, Meta(max_length=256)] | None = None
    name: Annotated[str, Meta(max_length=256)] | None = None
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    traits: msgspec.Raw = msgspec.Raw()
    schema_version: int = 1


class Sender(msgspec.Struct, gc=False, rename="camel"):
    """Who sent an event. Nothing else is read of it."""

    user_id: str | None = None
    anonymous_id: str | None = None
    tenant_id: str = DEFAULT_TENANT
